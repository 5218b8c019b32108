"""Restoring one file of many, and what is recorded of it."""

from __future__ import annotations

import dataclasses
import errno
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from care_bridge.errors import CareBridgeError
from care_bridge.images import Storage
from care_bridge.runtime.file_restoring import FileTask, Way, restore_in_this_process
from care_bridge.runtime.jobs import Job, Output, target_name
from care_bridge.runtime.manifest import (
    FAILED,
    RESTORED,
    STARTED,
    Manifest,
    Recipe,
    Record,
    SourceState,
)
from care_bridge.runtime.restorer import Restorer
from care_bridge.runtime.told import naming

BatchProgress = Callable[[Job, int, int], None]

_FULL = (errno.ENOSPC, errno.EDQUOT)


@dataclass(frozen=True)
class Restored:
    """A file that was restored: its type, its shape, the seconds it took, and other figures."""

    job: Job
    dtype: str
    shape: tuple[int, ...]
    seconds: float
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class FileRestorer:
    """A loaded model, the manifest of the folder that results go into (None: there is none, as
    for a single file), and the way in which a file is restored."""

    restorer: Restorer
    output: Output
    recipe: Recipe
    manifest: Manifest | None
    on_progress: BatchProgress | None = None
    way: Way = restore_in_this_process
    told: set[str] = field(default_factory=set)

    def restore(self, job: Job, *, overwrite: bool) -> Restored:
        """Restore one file; its result appears whole or not at all. CareBridgeError names it."""
        state = SourceState.of(job.source, job.name)
        try:
            result = self._restore(job, state, overwrite)
        except CareBridgeError as error:
            name_file(error, job)
            raise
        more = {
            "seconds": round(result.seconds, 3),
            "shape": result.shape,
            "dtype": result.dtype,
            **result.figures,
        }
        self._record(RESTORED, job, state, more)
        return result

    def record_failure(self, job: Job, error: CareBridgeError) -> None:
        """Write down that a file failed, unless it was removed."""
        if not job.source.exists():
            return
        state = SourceState.of(job.source, job.name)
        self._record(FAILED, job, state, {"error": str(error)})

    def _restore(self, job: Job, state: SourceState, overwrite: bool) -> Restored:
        started = time.perf_counter()
        tiles = 0

        def begin() -> None:
            self._record(STARTED, job, state, {})

        def progress(done: int, total: int) -> None:
            nonlocal tiles
            tiles = total
            if self.on_progress:
                self.on_progress(job, done, total)

        storage = dataclasses.replace(self.restorer.options.storage, overwrite=overwrite)
        task = FileTask(
            job.source, job.target, storage, job.rescale_to, self._uncertainty(job, storage)
        )
        with naming(job.source.name, self.told):
            outcome = self.way(self.restorer, task, begin, progress)
        seconds = time.perf_counter() - started
        figures = {
            "tiles": tiles,
            "tile": outcome.plan.grid.tile,
            "levels": outcome.plan.scales.levels,
            "device": self.restorer.device,
            **({"uncertainty": str(job.uncertainty)} if job.uncertainty else {}),
        }
        return Restored(job, str(outcome.result.dtype), outcome.result.shape, seconds, figures)

    def _uncertainty(self, job: Job, storage: Storage) -> tuple[Path, Storage] | None:
        """The file of the uncertainty. What an interrupted run left of it without the result, which
        appears last, is replaced."""
        if job.uncertainty is None:
            return None
        known = self.manifest.records.of(target_name(job, self.output)) if self.manifest else None
        return job.uncertainty, dataclasses.replace(
            storage, overwrite=storage.overwrite or (known is not None and not job.target.exists())
        )

    def _record(self, status: str, job: Job, state: SourceState, more: Mapping[str, Any]) -> None:
        if self.manifest is None:
            return
        replaces = status == STARTED and job.target.exists()
        target = target_name(job, self.output)
        self.manifest.add(Record(status, target, state, self.recipe, replaces, more))


def is_disk_full(error: BaseException) -> bool:
    """Whether there was no room left, so that the next file would fail as well."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, OSError) and cause.errno in _FULL:
            return True
        cause = cause.__cause__
    return False


def name_file(error: CareBridgeError, job: Job) -> None:
    """Make the message name the file, if it does not yet."""
    if str(job.source) not in str(error):
        error.args = (f"{job.source}: {error}",)
