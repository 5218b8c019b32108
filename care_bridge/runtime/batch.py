"""Restoring many files: one model load for all, and going on where a batch was interrupted."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, ExitStack, nullcontext
from dataclasses import dataclass
from pathlib import Path

from care_bridge.atomic import remove_leftovers
from care_bridge.errors import BatchError, CareBridgeError
from care_bridge.images import open_source
from care_bridge.package.package import Package, load_package
from care_bridge.runtime.file_restoring import Way, restore_in_this_process
from care_bridge.runtime.jobs import Job, Output, check_jobs, find_jobs, is_done, records_of
from care_bridge.runtime.manifest import Manifest, Recipe, Records, open_manifest
from care_bridge.runtime.one_file import (
    BatchProgress,
    FileRestorer,
    Restored,
    is_disk_full,
)
from care_bridge.runtime.operations import wants_dataset
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer

log = logging.getLogger("care_bridge")


@dataclass(frozen=True)
class BatchWork:
    """What a batch has to do, and what an earlier one has done."""

    jobs: tuple[Job, ...]
    done: tuple[Job, ...]

    @property
    def total(self) -> int:
        """Files in all."""
        return len(self.jobs) + len(self.done)


def restore_files(
    sources: Sequence[str | Path],
    package: Package | str | Path,
    out: Path,
    options: RestoreOptions,
    *,
    way: Way = restore_in_this_process,
    load: Callable[[Package, RestoreOptions], Restorer] = Restorer,
    on_planned: Callable[[BatchWork], None] | None = None,
    on_progress: BatchProgress | None = None,
    on_restored: Callable[[Restored], None] | None = None,
) -> tuple[Restored, ...]:
    """Restore files, folders of images and glob patterns into the folder `out` (or, for a single
    file, into the file `out`).

    Results keep their names, with "_restored" added where they land beside their source. What the
    manifest in `out` says was restored from the same file by the same model with the same options
    is left out, so that the same call goes on where one was interrupted. The model is loaded once.
    way: how a file is restored. load: gives the loaded model (`loaded_restorer`: one that is kept).

    `on_planned` is called with what is to be done, `on_progress` with the job, its tiles done and
    its tiles in all, `on_restored` after each file that is written. A file that fails is reported
    and the rest goes on, unless the disk is full; at the end BatchError names the failed ones (for
    a single file its own error is raised). KeyboardInterrupt comes with how far it went.
    """
    output = Output.of(out)
    jobs = find_jobs(sources, output, options, records_of(output))
    check_jobs(jobs, options.storage)
    package = package if isinstance(package, Package) else load_package(package)
    recipe = Recipe.of(package.spec, options)
    with manifest_of(output) as manifest:
        work = sort_jobs(jobs, output, manifest.records if manifest else Records(), recipe, options)
        remove_leftovers_of(work.jobs)
        if work.done:
            log.info("%d of %d were restored already", len(work.done), work.total)
        if on_planned:
            on_planned(work)
        if not work.jobs:
            return ()
        # Also of those that are done: a batch that goes on is to be normalised as the whole.
        restorer = over_dataset(load(package, options), (*work.jobs, *work.done))
        files = FileRestorer(restorer, output, recipe, manifest, on_progress, way)
        return _restore_all(files, work, on_restored)


def over_dataset(restorer: Restorer, jobs: Iterable[Job]) -> Restorer:
    """`restorer`, normalising by statistics of the images of all jobs where its package asks for
    that."""
    if not wants_dataset(restorer.package.spec.normalization):
        return restorer
    with ExitStack() as opened:
        axes = restorer.options.axes
        files = sorted({job.source for job in jobs})
        return restorer.with_dataset(
            [opened.enter_context(open_source(file, axes)) for file in files]
        )


def manifest_of(output: Output) -> AbstractContextManager[Manifest | None]:
    """The manifest of an output, open; a single file has none."""
    return open_manifest(output.folder) if output.file is None else nullcontext()


def sort_jobs(
    jobs: Iterable[Job],
    output: Output,
    records: Records,
    recipe: Recipe,
    options: RestoreOptions,
) -> BatchWork:
    """What is to be done and what is done already, by the records of the output's manifest.

    Raises ImageError where a target is there that is not what its job would write, unless
    options.overwrite is set: then all is to be done.
    """
    todo: list[Job] = []
    done: list[Job] = []
    for job in jobs:
        if not options.overwrite and is_done(job, output, records, recipe):
            done.append(job)
        else:
            todo.append(job)
    return BatchWork(tuple(todo), tuple(done))


def remove_leftovers_of(jobs: Iterable[Job]) -> None:
    """Remove what killed processes left where the jobs will write."""
    for folder in {job.target.parent for job in jobs}:
        remove_leftovers(folder)


def _restore_all(
    files: FileRestorer, work: BatchWork, on_restored: Callable[[Restored], None] | None
) -> tuple[Restored, ...]:
    restored: list[Restored] = []
    failures: list[tuple[str, str]] = []
    overwrite = files.restorer.options.overwrite

    def so_far() -> str:
        again = "starts all over" if overwrite else "goes on with the rest"
        done = len(restored) + len(work.done)
        return f"{done} of {work.total} are restored, the same command again {again}"

    try:
        for job in work.jobs:
            try:
                result = files.restore(job, overwrite=overwrite)
            except CareBridgeError as error:
                if work.total == 1:
                    raise
                log.error("%s", error)
                failures.append((str(job.source), str(error)))
                if is_disk_full(error):
                    raise BatchError(f"the disk is full: {so_far()}", failures) from error
                files.record_failure(job, error)
                continue
            restored.append(result)
            if on_restored:
                on_restored(result)
    except KeyboardInterrupt as stop:
        raise type(stop)(f"interrupted: {so_far()}") from None
    if failures:
        names = ", ".join(Path(source).name for source, _ in failures)
        raise BatchError(
            f"{len(failures)} of {work.total} files could not be restored: {names} "
            "(the reasons are above)",
            failures,
        )
    return tuple(restored)
