"""Restore images with a model: files, folders or patterns like *.tif.

Results go into a folder, with a manifest (care_bridge_manifest.jsonl) that says what was restored
from what: the same command again goes on where it was interrupted.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from care_bridge.cli import restore_lines as lines
from care_bridge.cli.restore_arguments import Once, add_restore_options, restore_options
from care_bridge.cli.restore_progress import bars
from care_bridge.cli.restore_way import way_of
from care_bridge.errors import BatchError, CareBridgeError, ConfigError

if TYPE_CHECKING:
    from care_bridge.package.package import Package
    from care_bridge.runtime.batch import BatchWork
    from care_bridge.runtime.jobs import Job
    from care_bridge.runtime.one_file import Restored
    from care_bridge.runtime.options import RestoreOptions
    from care_bridge.runtime.restorer import Restorer

_EMPTY = {"model": "package or a kept model", "out": "folder or a file for the results"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="files, folders or patterns")
    parser.add_argument(
        "--model",
        action=Once,
        required=True,
        metavar="PACKAGE",
        help="a package (folder or .zip) or the name of a kept model",
    )
    parser.add_argument(
        "--out",
        action=Once,
        required=True,
        metavar="FOLDER|FILE",
        help="where results go; for a single image it may be a file",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="only say what would be done to each file, with how much memory and how long",
    )
    parser.add_argument(
        "--watch",
        action="store_true",
        help="go on with what comes into the folders, each file when it is complete, until Ctrl-C",
    )
    parser.add_argument(
        "--watch-idle",
        type=_seconds,
        metavar="SECONDS",
        help="watch, and end when nothing was new for so long",
    )
    parser.add_argument(
        "--cluster",
        metavar="ADDRESS|local|local:N",
        help="restore on the workers of a dask cluster, into OME-Zarr: the address of its "
        "scheduler, or N processes of this machine",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print the results as JSON: one document at the end, or a line each when watching",
    )
    parser.add_argument(
        "--worker",
        action="store_true",
        help="let the warm process of care-bridge worker do it, which is started where there is "
        "none: the model is loaded once for all calls",
    )
    add_restore_options(parser)


def run(arguments: argparse.Namespace) -> int:
    """Restore, and print a line for each result."""
    options = restore_options(arguments)
    # An empty name, as of a variable that a script did not set, would be the current folder.
    for name in ("model", "out"):
        if not getattr(arguments, name):
            raise ConfigError(f"{name} is empty: name a {_EMPTY[name]}")
    arguments.out = Path(arguments.out)
    if arguments.cluster and options.format == "auto":
        options = dataclasses.replace(options, format="zarr")
    watched = arguments.watch or arguments.watch_idle is not None
    if arguments.dry_run and watched:
        raise ConfigError("dry-run and watch were both given: use one of the two")
    if arguments.dry_run:
        _foretell(arguments, options)
    elif watched:
        _watch(arguments, options)
    else:
        _restore(arguments, options)
    return 0


def _restore(arguments: argparse.Namespace, options: RestoreOptions) -> None:
    from care_bridge.runtime.batch import restore_files
    from care_bridge.runtime.loaded import loaded_restorer

    restored: list[Restored] = []
    todo: tuple[Job, ...] = ()
    skipped: tuple[Job, ...] = ()
    failed: tuple[tuple[str, str], ...] = ()
    with bars() as shown, way_of(arguments.cluster) as way:

        def planned(work: BatchWork) -> None:
            nonlocal todo, skipped
            todo, skipped = work.jobs, work.done
            shown.planned(work)

        def tell(result: Restored) -> None:
            shown.restored(result)
            restored.append(result)
            if not arguments.json:
                shown.write(lines.restored_line(result))

        def load(package: Package, options: RestoreOptions) -> Restorer:
            restorer = loaded_restorer(package, options)
            restorer.tell_device_again()  # a worker may have told another call
            return restorer

        try:
            restore_files(
                arguments.images,
                arguments.model,
                arguments.out,
                options,
                way=way,
                load=load,
                on_planned=planned,
                on_progress=shown.update,
                on_restored=tell,
            )
        except BatchError as error:
            failed = error.failures
            raise
        except CareBridgeError as error:
            # That of the only file, or one, like a device's, that keeps all that are left from it.
            done = {result.job for result in restored}
            failed = tuple((str(job.source), str(error)) for job in todo if job not in done)
            raise
        finally:
            shown.close()
            if arguments.json:
                document = lines.document(
                    restored=map(lines.restored_entry, restored),
                    skipped=map(lines.skipped_entry, skipped),
                    failed=(lines.failed_entry(*failure) for failure in failed),
                )
                print(document)


def _foretell(arguments: argparse.Namespace, options: RestoreOptions) -> None:
    from care_bridge.runtime.forecast import Forecast, forecast_files

    foreseen = forecast_files(arguments.images, arguments.model, arguments.out, options)
    work = foreseen.work
    forecasts: list[Forecast] = []
    failures: list[tuple[str, str]] = []
    if not arguments.json:
        for job in work.done:
            print(f"{job.source} -> {job.target}  is restored already")
    for job, forecast in foreseen.forecasts:
        if isinstance(forecast, Forecast):
            forecasts.append(forecast)
            told = lines.forecast_line(forecast)
        else:
            failures.append((str(job.source), str(forecast)))
            told = f"would fail: {forecast}"
        if not arguments.json:
            print(told, flush=True)
    if arguments.json:
        print(
            lines.document(
                restored=map(lines.forecast_entry, forecasts),
                skipped=map(lines.skipped_entry, work.done),
                failed=(lines.failed_entry(*failure) for failure in failures),
            )
        )
    else:
        print(lines.forecast_summary(forecasts, work.total, foreseen.device))
    if failures:
        names = ", ".join(Path(source).name for source, _ in failures)
        raise BatchError(f"{len(failures)} of {work.total} files would fail: {names}", failures)


def _watch(arguments: argparse.Namespace, options: RestoreOptions) -> None:
    from care_bridge.runtime.watch import Pace, watch_files

    idle = math.inf if arguments.watch_idle is None else arguments.watch_idle
    with bars() as shown, way_of(arguments.cluster) as way:

        def tell(result: Restored) -> None:
            shown.restored(result)
            told = (
                lines.json_line("restored", lines.restored_entry(result))
                if arguments.json
                else lines.restored_line(result)
            )
            shown.write(told)

        def tell_failure(job: Job, error: str) -> None:
            if arguments.json:
                shown.write(lines.json_line("failed", lines.failed_entry(str(job.source), error)))
            print(error, file=sys.stderr)

        watched = watch_files(
            arguments.images,
            arguments.model,
            arguments.out,
            options,
            Pace(idle=idle),
            way=way,
            on_progress=shown.update,
            on_restored=tell,
            on_failed=tell_failure,
        )
    failed = f", {len(watched.failures)} could not be" if watched.failures else ""
    were = "was" if watched.restored == 1 else "were"
    print(f"watched: {watched.restored} {were} restored{failed}", file=sys.stderr)
    if watched.failures and not watched.interrupted:
        names = ", ".join(Path(source).name for source, _ in watched.failures)
        raise BatchError(f"could not be restored: {names}", watched.failures)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f'"{text}" is no time to wait: give seconds, more than 0')
    return seconds
