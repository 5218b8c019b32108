"""Which files belong together: images by their names, and what `restore` writes beside them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import ConfigError, ImageError
from care_bridge.images import list_images
from care_bridge.images.storage import UNCERTAINTY_SUFFIXES, stem_of

_MEMBERS = UNCERTAINTY_SUFFIXES["members"]


def match_files(places: Mapping[str, Path]) -> list[dict[str, Path]]:
    """The files of each role, one entry a field of view: `places` are all files, or all folders
    whose images are paired by their names without endings.

    Of what `restore --uncertainty` writes, NAME_members belongs to the truth NAME, and is what
    counts in a folder of members; among restored images every kind is left out.
    Raises ConfigError for a mixture of both, ImageError where a place is missing, a folder empty,
    an image without partner or two of one name.
    """
    for role, path in places.items():
        if not path.exists():
            raise ImageError(f"{path} (--{role}) does not exist: give a file or a folder")
    folders = {role: path for role, path in places.items() if path.is_dir()}
    if not folders:
        return [dict(places)]
    if len(folders) < len(places):
        role = next(role for role in places if role not in folders)
        raise ConfigError(
            f"{places[role]} (--{role}) is no folder, {next(iter(folders.values()))} is one: give "
            "files only or folders only"
        )
    images = {role: list_images(folder) for role, folder in folders.items()}
    recorded = {stem_of(path) for path in images["truth" if "truth" in images else "input"]}
    found = {}
    for role, folder in folders.items():
        kept, suffix = images[role], ""
        if role == "restored":
            told = _uncertainties(kept, recorded)
            kept = [path for path in kept if stem_of(path) not in told]
        elif role == "members":
            kept, suffix = _members(kept, recorded)
        found[role] = _Named(folder, _by_stem(folder, kept, suffix), suffix)
    first = next(iter(found.values()))
    for other in found.values():
        _check_partners(first, other)
        _check_partners(other, first)
    return [{role: named.images[stem] for role, named in found.items()} for stem in first.images]


@dataclass(frozen=True)
class _Named:
    """The images of a folder by their names without endings and without `suffix`."""

    folder: Path
    images: Mapping[str, Path]
    suffix: str


def _check_partners(ours: _Named, theirs: _Named) -> None:
    alone = [stem for stem in ours.images if stem not in theirs.images]
    if alone:
        path = ours.images[alone[0]]
        ending = path.name.removeprefix(stem_of(path))
        more = f" (nor have {len(alone) - 1} others)" if len(alone) > 1 else ""
        raise ImageError(
            f"{path} has no partner{more}: expected "
            f"{theirs.folder / (alone[0] + theirs.suffix + ending)}"
        )


def _by_stem(folder: Path, images: list[Path], suffix: str) -> dict[str, Path]:
    found: dict[str, Path] = {}
    for path in images:
        stem = stem_of(path).removesuffix(suffix)
        if stem in found:
            raise ImageError(
                f"{folder} holds {found[stem].name} and {path.name}, which differ in their endings "
                "alone: keep one, since images are paired by their names without endings"
            )
        found[stem] = path
    return found


def _uncertainties(images: list[Path], recorded: set[str]) -> set[str]:
    """The names of those that tell the uncertainty of another; what was recorded under such a name
    does not."""
    stems = {stem_of(path) for path in images}
    told = {stem + suffix for stem in stems for suffix in UNCERTAINTY_SUFFIXES.values()}
    return (told & stems) - recorded


def _members(images: list[Path], recorded: set[str]) -> tuple[list[Path], str]:
    """Those that hold members, and what is added to the names of all of them."""
    named = [path for path in images if stem_of(path).endswith(_MEMBERS)]
    named = [path for path in named if stem_of(path) not in recorded]
    if named:
        return named, _MEMBERS
    told = _uncertainties(images, recorded)
    other = next((path for path in images if stem_of(path) in told), None)
    if other:
        raise ImageError(
            f"{other} tells another uncertainty than members: restore with --uncertainty members, "
            "or leave --members out"
        )
    return images, ""
