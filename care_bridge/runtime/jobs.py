"""What a restoration of files is made of: the images that were named, where each one goes, and
whether it is there already."""

from __future__ import annotations

import glob
import logging
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import CareBridgeError, ConfigError, ImageError
from care_bridge.images import Storage, is_image, is_image_name, list_images
from care_bridge.images.storage import TIFF_SUFFIXES, UNCERTAINTY_SUFFIXES, ZARR_SUFFIX, ending_of
from care_bridge.images.zarr_folder import holds_zarr
from care_bridge.runtime.manifest import (
    MANIFEST,
    Recipe,
    Records,
    SourceState,
    read_records,
    unexplained,
)
from care_bridge.runtime.options import RestoreOptions

SUFFIX_IN_SAME_FOLDER = "_restored"

# Endings that no folder for results is meant to have.
_OTHER_FILES = re.compile(
    r".*\.(avi|bmp|csv|gif|h5|jp2|jpe?g|json|mat|mov|mp4|mrc|n5|nii|np[yz]|nrrd|pdf|png|svg|txt|zip)",
    re.IGNORECASE,
)

# What may be the misspelt ending of a file.
_LIKE_A_FILE = re.compile(r".+\.[a-z][a-z0-9]{1,3}", re.IGNORECASE)

log = logging.getLogger("care_bridge")


@dataclass(frozen=True)
class Job:
    """An image to restore, the name it has in the output folder's manifest (its path below the
    folder that was named), the image to write, the one whose grey levels it is to have, and the
    one to write beside it that tells its uncertainty."""

    source: Path
    name: str
    target: Path
    rescale_to: Path | None = None
    uncertainty: Path | None = None

    @property
    def written(self) -> tuple[Path, ...]:
        """What is written."""
        return (self.target,) if self.uncertainty is None else (self.target, self.uncertainty)


@dataclass(frozen=True)
class Output:
    """Where results go: into `folder`, or into the one `file` in it."""

    folder: Path
    file: Path | None = None

    @classmethod
    def of(cls, out: Path) -> Output:
        """What is meant by `out`: a file where it is named like an image and is no plain folder.
        ImageError where it cannot be written to."""
        if _OTHER_FILES.fullmatch(out.name) and not out.exists():
            raise _like_a_file(out)
        is_file = is_image_name(out.name) and (out.suffix.lower() == ".zarr" or not out.is_dir())
        output = cls(out.parent, out) if is_file else cls(out)
        _check_writable(output.folder)
        _check_outside_zarr(output.folder)
        return output


def find_jobs(
    sources: Sequence[str | Path],
    output: Output,
    options: RestoreOptions,
    records: Records,
    *,
    may_be_empty: bool = False,
) -> tuple[Job, ...]:
    """What is to be restored and where to; an image that is named twice, or has links beside it,
    is restored once, under its own name.

    Results keep their names, with "_restored" added where they land beside their source, and the
    ending of another format; what the records of the output name as results is not restored again.
    Raises ImageError where a source is missing, where a folder holds no image and a pattern fits
    none, unless these may be empty, and where a folder for the result of one image is not there and
    named like a file; see also `check_jobs`.
    """
    named = [
        pair for source in sources for pair in _expand(str(source), output, options, may_be_empty)
    ]
    # A watch, where folders may be empty, would tell of the links at each look.
    found = _without_aliases(named, tell=not may_be_empty)
    if output.file is not None:
        if len(found) != 1:
            raise ImageError(
                f"{len(found)} images cannot be restored into the one file {output.file}: name a "
                "folder"
            )
        jobs = [
            Job(
                image,
                relative.name,
                output.file,
                _partner(relative, options),
                _uncertainty(output.file, options),
            )
            for image, relative in found.values()
        ]
    else:
        alone = len(sources) == 1 and Path(sources[0]).is_file()
        if alone and _LIKE_A_FILE.fullmatch(output.folder.name) and not output.folder.exists():
            raise _like_a_file(output.folder)
        storage, folder = options.storage, output.folder.resolve()
        jobs = []
        for path, (image, relative) in found.items():
            if not _is_result(path, folder, records):
                target = _target(image, relative, output.folder, storage)
                second, partner = _uncertainty(target, options), _partner(relative, options)
                jobs.append(Job(image, relative.as_posix(), target, partner, second))
        if not jobs and not may_be_empty:
            raise ImageError(
                f"there is nothing to restore: what was named holds results in {output.folder} "
                "alone, name the images, or use another output"
            )
    return tuple(jobs)


def records_of(output: Output) -> Records:
    """What is known of the results in an output; a single file has no manifest."""
    return Records() if output.file else read_records(output.folder / MANIFEST)


def is_done(job: Job, output: Output, records: Records, recipe: Recipe) -> bool:
    """Whether the job's target is there, as the job would write it. ImageError where another one
    is there."""
    if not job.target.exists():
        return False
    record = records.of(target_name(job, output))
    if record is None:
        raise unexplained(job.target)
    record.accounts_for(job.target, SourceState.of(job.source, job.name), recipe)
    return True


def target_name(job: Job, output: Output) -> str:
    """The name of a job's target in the manifest of the output."""
    return job.target.relative_to(output.folder).as_posix()


def check_jobs(jobs: Sequence[Job], storage: Storage) -> None:
    """Raise the first of the jobs' conflicts."""
    for conflict in conflicts(jobs, storage).values():
        raise conflict


def conflicts(jobs: Sequence[Job], storage: Storage) -> dict[Job, CareBridgeError]:
    """Jobs that would write what an earlier job writes, or replace an image to be restored or to
    rescale to, or have no image to rescale to, or a target that cannot be stored so."""
    sources = {_real(job.source) for job in jobs}
    truths = {job.rescale_to.resolve() for job in jobs if job.rescale_to}
    taken: dict[Path, Path] = {}
    found: dict[Job, CareBridgeError] = {}
    for job in jobs:
        try:
            storage.check_name(job.target.name)
        except (ConfigError, ImageError) as error:
            found[job] = error
            continue
        if job.rescale_to and not job.rescale_to.exists():
            found[job] = ImageError(
                f"{job.rescale_to} is not there, to which {job.source} is to be rescaled: put it "
                "there, or name another folder"
            )
        for written in job.written:
            if written in taken:
                found[job] = ImageError(
                    f"{taken[written]} and {job.source} would both be written to {written}: "
                    "restore them into different folders"
                )
            elif written.resolve() in sources:
                found[job] = ImageError(
                    f"{written} is an image to be restored, and would be replaced: use another "
                    "output"
                )
            elif written.resolve() in truths:
                found[job] = ImageError(
                    f"{written} is an image to rescale to, and would be replaced: use another "
                    "output"
                )
            taken.setdefault(written, job.source)
    return found


def _without_aliases(
    named: Sequence[tuple[Path, Path]], *, tell: bool
) -> dict[Path, tuple[Path, Path]]:
    """Images by where they really are, each once: a link only where the image itself is not
    named. tell: say which links were left out."""
    found: dict[Path, tuple[Path, Path]] = {}
    for image, relative in sorted(named, key=lambda pair: pair[0].is_symlink()):
        known, _ = found.setdefault(_real(image), (image, relative))
        if tell and image.is_symlink() and image != known:
            log.info("%s is the same image as %s, which is restored once", image, known)
    return found


def _real(path: Path) -> Path:
    """Where a path leads to; unlike Path.resolve without an error where links form a circle."""
    return Path(os.path.realpath(path))


def _expand(
    source: str, output: Output, options: RestoreOptions, may_be_empty: bool
) -> list[tuple[Path, Path]]:
    """Images of a source, each with the path it gets below the output folder."""
    if not source:
        raise ImageError("the name of an image is empty: name an image, a folder or a pattern")
    path = Path(source)
    if path.is_dir() and not is_image(path):
        place = output.folder.resolve()
        # A pattern like in/* gives the output below in too, before anything is in it.
        images = _images_in(path, options, may_be_empty or path.resolve() == place)
        if path.resolve() in place.parents:
            # Results below the images are not restored again.
            images = [image for image in images if place not in _real(image).parents]
        return [(image, image.relative_to(path)) for image in images]
    if path.exists() or path.is_symlink():
        return [(path, Path(path.name))]
    matches = sorted(glob.glob(source))
    if not matches and not (may_be_empty and glob.has_magic(source)):
        raise ImageError(f"{source} is not there: name an image, a folder or a pattern like *.tif")
    return [pair for match in matches for pair in _expand(match, output, options, may_be_empty)]


def _images_in(folder: Path, options: RestoreOptions, may_be_empty: bool) -> list[Path]:
    try:
        return list_images(folder, options.include_subfolders)
    except ImageError:  # the folder is there, so it holds none
        if may_be_empty:
            return []
        raise


def _is_result(image: Path, folder: Path, records: Records) -> bool:
    """Whether the records of `folder` name an image, both resolved, as a result, or as what tells
    the uncertainty of one."""
    if not image.is_relative_to(folder):
        return False
    name = image.relative_to(folder).as_posix()
    ending = ending_of(name)
    restored, _, kind = name.removesuffix(ending).rpartition("_")
    record = records.of(restored + ending)
    told = record is not None and record.recipe.options.get("uncertainty") == kind
    return told or bool(records.of(name))


def _target(source: Path, relative: Path, folder: Path, storage: Storage) -> Path:
    name = relative.name
    if source.is_dir() and not is_image_name(name):
        name += ".ome.zarr"  # as a plate's field, which has no ending
    target = folder / relative.with_name(storage.name(name))
    if not _is_beside(source, target):
        return target
    return _with_suffix(target, SUFFIX_IN_SAME_FOLDER)


def _uncertainty(target: Path, options: RestoreOptions) -> Path | None:
    """The image beside a restored one that tells its uncertainty: of a.tif a_scale.tif."""
    kind = options.uncertainty
    return None if kind == "none" else _with_suffix(target, UNCERTAINTY_SUFFIXES[kind])


def _with_suffix(path: Path, suffix: str) -> Path:
    ending = ending_of(path.name)
    return path.with_name(path.name.removesuffix(ending) + suffix + ending)


def _partner(relative: Path, options: RestoreOptions) -> Path | None:
    """The image to rescale to: the one that was named, or the one of the same name in the folder
    that was named."""
    given = options.rescale_to
    if given is None or not given.is_dir() or is_image_name(given.name):
        return given
    return given / relative


def _is_beside(source: Path, target: Path) -> bool:
    return target.parent.resolve() == source.parent.resolve()


def _like_a_file(out: Path) -> ImageError:
    endings = ", ".join((*TIFF_SUFFIXES, ZARR_SUFFIX))
    return ImageError(
        f"{out} is named like a file that cannot be written: end it in {endings}, or name a folder "
        "(one that is there may have any name)"
    )


def _check_outside_zarr(folder: Path) -> None:
    """Raise ImageError for a folder in an OME-Zarr, whose readers would not expect images there."""
    for above in (folder, *folder.absolute().parents):
        if holds_zarr(above):
            raise ImageError(f"{folder} lies in the Zarr {above}: use an output outside of it")


def _check_writable(folder: Path) -> None:
    existing = next(path for path in (folder, *folder.absolute().parents) if path.exists())
    if not existing.is_dir():
        raise ImageError(f"{existing} is a file: name a folder for the results")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise ImageError(f"the folder {existing} cannot be written to: choose another output")
