"""Restore images with a model: files, folders or patterns like *.tif."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from care_bridge.cli.restore_arguments import add_restore_options, restore_options

if TYPE_CHECKING:
    from tqdm import tqdm

    from care_bridge.runtime.jobs import Job
    from care_bridge.runtime.one_file import Restored


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="files, folders or patterns")
    parser.add_argument(
        "--model",
        required=True,
        metavar="PACKAGE",
        help="a package (folder or .zip) or the name of a bundled model",
    )
    parser.add_argument(
        "--out",
        required=True,
        type=Path,
        metavar="FOLDER|FILE",
        help="where results go; for a single image it may be a file",
    )
    add_restore_options(parser)
    parser.add_argument("--json", action="store_true", help="print the results as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Restore, and print a line for each result."""
    options = restore_options(arguments)
    from care_bridge.errors import BatchError
    from care_bridge.runtime.batch import restore_files

    bar = _Bar()
    restored: list[Restored] = []

    def tell(result: Restored) -> None:
        bar.close()
        restored.append(result)
        if not arguments.json:
            print(_as_line(result), flush=True)

    failed: Sequence[tuple[str, str]] = ()
    try:
        restore_files(
            arguments.images,
            arguments.model,
            arguments.out,
            options,
            on_progress=bar.update,
            on_restored=tell,
        )
    except BatchError as error:
        failed = error.failures
        raise
    finally:
        bar.close()
        if arguments.json:
            print(_as_json(restored, failed))
    return 0


class _Bar:
    """A progress bar over the tiles of a file on stderr; silent where stderr is no terminal."""

    def __init__(self) -> None:
        self._job: Job | None = None
        self._bar: tqdm[NoReturn] | None = None

    def update(self, job: Job, done: int, total: int) -> None:
        """Show that `done` of `total` tiles of the job's image are done."""
        if not sys.stderr.isatty():
            return
        from tqdm import tqdm

        if job != self._job or self._bar is None:
            self.close()
            self._job = job
            self._bar = tqdm(desc=job.source.name, total=total, unit="tile")
        self._bar.total = total
        self._bar.update(done - self._bar.n)

    def close(self) -> None:
        """Leave the last bar as it is."""
        if self._bar is not None:
            self._bar.close()


def _as_line(result: Restored) -> str:
    shape = " x ".join(map(str, result.shape))
    return f"{result.job.target}  {shape} {result.dtype}  {result.seconds:.1f} s"


def _as_json(restored: Sequence[Restored], failed: Sequence[tuple[str, str]]) -> str:
    return json.dumps(
        {
            "restored": [
                {
                    "source": str(result.job.source),
                    "target": str(result.job.target),
                    "shape": result.shape,
                    "dtype": result.dtype,
                    "seconds": round(result.seconds, 3),
                }
                for result in restored
            ],
            "failed": [{"source": source, "error": error} for source, error in failed],
        },
        indent=2,
    )
