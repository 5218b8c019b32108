"""Restoring files: what goes where, and one model load for all."""

from __future__ import annotations

import glob
import logging
import os
import time
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import BatchError, CareBridgeError, ImageError
from care_bridge.images import is_image_name, list_images, open_image, write_image
from care_bridge.package.package import Package
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer

SUFFIX_IN_SAME_FOLDER = "_restored"

BatchProgress = Callable[["Job", int, int], None]

log = logging.getLogger("care_bridge")


@dataclass(frozen=True)
class Job:
    """A file to restore and the file to write."""

    source: Path
    target: Path


@dataclass(frozen=True)
class Restored:
    """A file that was restored: its type, its shape and the seconds it took."""

    job: Job
    dtype: str
    shape: tuple[int, ...]
    seconds: float


def restore_files(
    sources: Sequence[str | Path],
    package: Package | str | Path,
    out: Path,
    options: RestoreOptions,
    *,
    on_progress: BatchProgress | None = None,
    on_restored: Callable[[Restored], None] | None = None,
) -> tuple[Restored, ...]:
    """Restore files, folders of images and glob patterns into the folder `out` (or, for a single
    file, into the file `out`).

    Results keep their names, with "_restored" added where they land beside their source. The
    model is loaded once. `on_progress` is called with the job, its tiles done and its tiles in
    all, `on_restored` after each file that is written. A file that fails is reported and the rest
    goes on; at the end BatchError names the failed ones (for a single file its own error is
    raised).
    """
    jobs = plan_jobs(sources, out, options)
    restorer = Restorer(package, options)
    restored: list[Restored] = []
    failures: list[tuple[str, str]] = []
    for job in jobs:
        try:
            result = restore_file(restorer, job, on_progress)
        except CareBridgeError as error:
            told = str(error)
            if str(job.source) not in told:
                told = f"{job.source}: {told}"
            if len(jobs) == 1:
                error.args = (told,)
                raise
            log.error("%s", told)
            failures.append((str(job.source), told))
            continue
        restored.append(result)
        if on_restored:
            on_restored(result)
    if failures:
        names = ", ".join(Path(source).name for source, _ in failures)
        raise BatchError(
            f"{len(failures)} of {len(jobs)} files could not be restored: {names} "
            "(the reasons are above)",
            failures,
        )
    return tuple(restored)


def restore_file(
    restorer: Restorer, job: Job, on_progress: BatchProgress | None = None
) -> Restored:
    """Restore one file; its result appears whole or not at all."""
    started = time.perf_counter()

    def progress(done: int, total: int) -> None:
        if on_progress:
            on_progress(job, done, total)

    image = open_image(job.source, restorer.options.axes)
    with _named(job.source.name):
        result = restorer.restore_image(image, progress)
    write_image(result, job.target, overwrite=restorer.options.overwrite)
    seconds = time.perf_counter() - started
    return Restored(job, str(result.pixels.dtype), result.pixels.shape, seconds)


@contextmanager
def _named(name: str) -> Iterator[None]:
    """Begin what is logged of a file with its name."""

    def prefix(record: logging.LogRecord) -> bool:
        record.msg, record.args = f"{name}: {record.getMessage()}", ()
        return True

    log.addFilter(prefix)
    try:
        yield
    finally:
        log.removeFilter(prefix)


def plan_jobs(sources: Sequence[str | Path], out: Path, options: RestoreOptions) -> tuple[Job, ...]:
    """What will be restored and where to; a file that is named twice is restored once.

    Raises ImageError before anything is done where a source is missing, two results have one
    name, a result would replace a source, or is there already (unless options.overwrite), or
    `out` cannot be written.
    """
    found = {
        image.resolve(): (image, relative)
        for source in sources
        for image, relative in _expand(str(source), options)
    }
    if is_image_name(out.name) and not out.is_dir():
        if len(found) != 1:
            raise ImageError(
                f"{len(found)} images cannot be restored into the one file {out}: name a folder"
            )
        folder = out.parent
        jobs = [Job(image, out) for image, _ in found.values()]
    else:
        folder = out
        jobs = [Job(image, _target(image, relative, out)) for image, relative in found.values()]
        # What an earlier run left beside its source is no image to be restored again.
        beside = {
            job.target.resolve()
            for job in jobs
            if job.target.parent.resolve() == job.source.parent.resolve()
        }
        jobs = [job for job in jobs if job.source.resolve() not in beside]
    _check_targets(jobs, {job.source.resolve() for job in jobs}, options.overwrite)
    _check_writable(folder)
    return tuple(jobs)


def _expand(source: str, options: RestoreOptions) -> list[tuple[Path, Path]]:
    """Files of a source, each with the path it gets below the output folder."""
    path = Path(source)
    if path.is_dir():
        images = list_images(path, options.include_subfolders)
        return [(image, image.relative_to(path)) for image in images]
    if path.exists():
        return [(path, Path(path.name))]
    matches = sorted(glob.glob(source))
    if not matches:
        raise ImageError(f"{source} is not there: name an image, a folder or a pattern like *.tif")
    return [pair for match in matches for pair in _expand(match, options)]


def _check_targets(jobs: Sequence[Job], sources: Container[Path], overwrite: bool) -> None:
    taken: dict[Path, Path] = {}
    for job in jobs:
        if job.target in taken:
            raise ImageError(
                f"{taken[job.target]} and {job.source} would both be written to {job.target}: "
                "restore them into different folders"
            )
        taken[job.target] = job.source
        if job.target.resolve() in sources:
            raise ImageError(
                f"{job.target} is an image to be restored, and would be replaced: use another "
                "output"
            )
        if job.target.exists() and not overwrite:
            raise ImageError(
                f"{job.target} is there already: use another output, or overwrite to replace it"
            )


def _target(source: Path, relative: Path, out: Path) -> Path:
    target = out / relative
    if target.parent.resolve() != source.parent.resolve():
        return target
    ending = (
        "".join(target.suffixes[-2:]) if target.stem.lower().endswith(".ome") else target.suffix
    )
    return target.with_name(target.name.removesuffix(ending) + SUFFIX_IN_SAME_FOLDER + ending)


def _check_writable(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ImageError(f"{existing} is a file: name a folder for the results")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ImageError(f"the folder {existing} cannot be written to: choose another output")
