"""Restoring what an acquisition writes: each file once, when it is complete.

A file is taken for complete when it has not changed for a while and can be restored. One that
changes afterwards was not complete: it is restored again, and its result replaced. One that cannot
be restored is tried again when it changes, and reported when it has not for long. An OME-Zarr
folder counts as one file, whose parts are looked at together.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import CareBridgeError, ConfigError, ImageError
from care_bridge.package.package import Package, load_package
from care_bridge.runtime.batch import remove_leftovers_of
from care_bridge.runtime.file_restoring import Way, restore_in_this_process
from care_bridge.runtime.jobs import Job, Output, conflicts, find_jobs, target_name
from care_bridge.runtime.manifest import (
    Recipe,
    Record,
    Records,
    SourceState,
    open_manifest,
    unexplained,
)
from care_bridge.runtime.one_file import (
    BatchProgress,
    FileRestorer,
    Restored,
    is_disk_full,
)
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer

log = logging.getLogger("care_bridge")


@dataclass(frozen=True)
class Pace:
    """Seconds: from one look to the next; without a change until a file is complete; without a
    change until one that cannot be restored is reported; and without any news until the end."""

    look: float = 1.0
    settle: float = 5.0
    patience: float = 60.0
    idle: float = math.inf


@dataclass(frozen=True)
class Watched:
    """What came of it: how many files were restored, which could not be, and whether it was
    Ctrl-C that ended it."""

    restored: int
    failures: tuple[tuple[str, str], ...]
    interrupted: bool


def watch_files(
    sources: Sequence[str | Path],
    package: Package | str | Path,
    out: Path,
    options: RestoreOptions,
    pace: Pace = Pace(),
    *,
    way: Way = restore_in_this_process,
    on_progress: BatchProgress | None = None,
    on_restored: Callable[[Restored], None] | None = None,
    on_failed: Callable[[Job, str], None] | None = None,
) -> Watched:
    """Restore into the folder `out` what is in the sources (folders, patterns, files) and what
    comes into them, until Ctrl-C or until nothing was new for `pace.idle` seconds.

    The manifest in `out` says what was restored by an earlier run; it is not restored again,
    unless options.overwrite. `on_failed` gets a file that could not be restored, and why. Raises
    the errors of `restore_files`, besides those of single files.
    """
    output = Output.of(out)
    if output.file is not None:
        raise ConfigError(f"{out} is a file: name a folder for the results of what is watched")
    package = package if isinstance(package, Package) else load_package(package)
    recipe = Recipe.of(package.spec, options)
    with open_manifest(output.folder) as manifest:
        present = find_jobs(sources, output, options, manifest.records, may_be_empty=True)
        remove_leftovers_of(present)
        restorer = Restorer(package, options)
        files = FileRestorer(restorer, output, recipe, manifest, on_progress, way)
        watch = _Watch(sources, files, manifest.records, pace, on_restored, on_failed)
        try:
            watch.run()
        except KeyboardInterrupt:
            return watch.end(interrupted=True)
        return watch.end(interrupted=False)


@dataclass
class _Seen:
    """A source and the image to rescale it to as they were last seen: since when (in seconds of a
    clock), whether the source is done with, and why it could not be restored."""

    state: SourceState
    truth: SourceState | None
    since: float
    finished: bool = False
    error: CareBridgeError | None = None


class _Watch:
    def __init__(
        self,
        sources: Sequence[str | Path],
        files: FileRestorer,
        records: Records,
        pace: Pace,
        on_restored: Callable[[Restored], None] | None,
        on_failed: Callable[[Job, str], None] | None,
    ) -> None:
        self._sources = sources
        self._files = files
        self._records = records
        self._options = files.restorer.options
        self._pace = pace
        self._on_restored = on_restored
        self._on_failed = on_failed
        self._seen: dict[Job, _Seen] = {}
        self._restored = 0
        self._news = time.monotonic()
        self._away = False

    def run(self) -> None:
        """Look and restore until nothing was new for the pace's idle time."""
        while self._has_news():
            started = time.monotonic()
            jobs = self._find_jobs()
            wrong = conflicts(jobs, self._options.storage)
            for job in jobs:
                self._look_at(job, wrong.get(job))
            # To look at very many files may take long: rest for as long, at least.
            time.sleep(max(self._pace.look, time.monotonic() - started))

    def _find_jobs(self) -> tuple[Job, ...]:
        """What there is to be restored now; nothing while a folder is away, as a share may be."""
        output, options = self._files.output, self._options
        try:
            jobs = find_jobs(self._sources, output, options, self._records, may_be_empty=True)
        except (ImageError, OSError) as error:
            if not self._away:
                log.warning("%s (it is looked for again)", error)
            self._away = True
            return ()
        self._away = False
        return jobs

    def _has_news(self) -> bool:
        untried = (seen for seen in self._seen.values() if not (seen.finished or seen.error))
        return any(untried) or time.monotonic() - self._news < self._pace.idle

    def end(self, *, interrupted: bool) -> Watched:
        """What came of it; what is still to be reported is reported."""
        for job, seen in self._seen.items():
            if seen.error and not seen.finished:
                self._report(job, seen, seen.error)
        failures = tuple(
            (str(job.source), str(seen.error)) for job, seen in self._seen.items() if seen.error
        )
        return Watched(self._restored, failures, interrupted)

    def _look_at(self, job: Job, conflict: CareBridgeError | None) -> None:
        try:
            state, truth = SourceState.of(job.source, job.name), _truth_state(job)
        except ImageError:
            return  # removed since the folder was listed
        now = time.monotonic()
        seen = self._seen.get(job)
        if seen is None or (seen.state, seen.truth) != (state, truth):
            self._seen[job] = _Seen(state, truth, now)
            self._news = now
        elif seen.finished or now - seen.since < self._pace.settle:
            return
        elif seen.error is None and conflict:
            seen.error = conflict
        elif seen.error is None:
            self._attempt(job, seen)
        elif now - seen.since >= self._pace.patience:
            self._report(job, seen, seen.error)

    def _attempt(self, job: Job, seen: _Seen) -> None:
        """Restore a file that seems complete, unless it was restored before."""
        try:
            overwrite = self._options.overwrite or self._is_ours(job, seen.state)
        except ImageError as error:
            self._report(job, seen, error)
            return
        if not self._options.overwrite and self._is_done(job, seen.state):
            seen.finished = True
            return
        try:
            result = self._files.restore(job, overwrite=overwrite)
        except CareBridgeError as error:
            if is_disk_full(error):
                raise
            seen.error = error
            return
        seen.finished = True
        self._restored += 1
        self._news = time.monotonic()
        if self._on_restored:
            self._on_restored(result)

    def _is_ours(self, job: Job, state: SourceState) -> bool:
        """Whether the target was restored from this source by this recipe, in whatever state the
        source was. ImageError where it is there and was not."""
        record = self._record(job)
        if record and record.recipe == self._files.recipe and record.state.source == job.name:
            return True
        if job.target.exists():
            if record is None:
                raise unexplained(job.target)
            record.accounts_for(job.target, state, self._files.recipe)
        return False

    def _is_done(self, job: Job, state: SourceState) -> bool:
        record = self._record(job)
        return bool(
            record and job.target.exists() and record.state == state and not record.replaces
        )

    def _record(self, job: Job) -> Record | None:
        return self._records.of(target_name(job, self._files.output))

    def _report(self, job: Job, seen: _Seen, error: CareBridgeError) -> None:
        seen.finished, seen.error = True, error
        self._files.record_failure(job, error)
        if self._on_failed:
            self._on_failed(job, str(error))


def _truth_state(job: Job) -> SourceState | None:
    """The state of the image to rescale to: none where there is none, or none yet."""
    if job.rescale_to is None or not job.rescale_to.exists():
        return None
    return SourceState.of(job.rescale_to, job.rescale_to.name)
