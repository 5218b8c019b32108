"""Progress of a restoration on stderr: one bar over its files and one over the tiles of a file."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, NoReturn

if TYPE_CHECKING:
    from tqdm import tqdm

    from care_bridge.runtime.batch import BatchWork
    from care_bridge.runtime.jobs import Job
    from care_bridge.runtime.one_file import Restored


class Bars:
    """The two bars; both are silent where stderr is no terminal. Made by `bars`."""

    def __init__(self) -> None:
        self._shown = sys.stderr.isatty()
        self._files: tqdm[NoReturn] | None = None
        self._tiles: tqdm[NoReturn] | None = None
        self._job: Job | None = None
        self._places: dict[Job, int] = {}

    def planned(self, work: BatchWork) -> None:
        """Show a bar over the files, where there are several."""
        if not self._shown or work.total < 2:
            return
        from tqdm import tqdm

        self._places = {job: len(work.done) + at for at, job in enumerate(work.jobs)}
        self._files = tqdm(total=work.total, initial=len(work.done), unit="file", position=0)

    def update(self, job: Job, done: int, total: int) -> None:
        """Show that `done` of `total` tiles of the job's image are done."""
        if not self._shown:
            return
        from tqdm import tqdm

        if job != self._job or self._tiles is None:
            self._close_tiles()
            self._job = job
            self._move_files(self._places.get(job, 0))
            self._tiles = tqdm(
                desc=job.source.name, total=total, unit="tile", position=1, leave=False
            )
        self._tiles.total = total
        self._tiles.update(done - self._tiles.n)

    def restored(self, result: Restored) -> None:
        """Show that a file is done."""
        self._close_tiles()
        self._move_files(self._places.get(result.job, 0) + 1)

    def write(self, line: str) -> None:
        """Print a line on stdout, above the bars."""
        if self._shown:
            from tqdm import tqdm

            tqdm.write(line, file=sys.stdout)
        else:
            print(line, flush=True)

    def close(self) -> None:
        """Leave the bar over the files as it is."""
        self._close_tiles()
        if self._files is not None:
            self._files.close()

    def _close_tiles(self) -> None:
        if self._tiles is not None:
            self._tiles.close()
            self._tiles = None

    def _move_files(self, place: int) -> None:
        if self._files is not None:
            self._files.update(place - self._files.n)


@contextmanager
def bars() -> Iterator[Bars]:
    """Bars that leave what is logged readable."""
    shown = Bars()
    try:
        if shown._shown:
            from tqdm.contrib.logging import logging_redirect_tqdm

            with logging_redirect_tqdm([logging.getLogger("care_bridge")]):
                yield shown
        else:
            yield shown
    finally:
        shown.close()
