"""Folders of sources and of targets, whose files belong together by their names."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import TrainingError
from care_bridge.images import list_images
from care_bridge.images.files import is_image
from care_bridge.images.storage import stem_of
from care_bridge.training.data_config import DataConfig
from care_bridge.training.layouts.fields import Field, Split, View

_HERE = "."  # DATA itself
_SOURCES = ("source", "raw")
# By the default for the target.
_COUPLES = {"GT": (("source", "GT"), ("raw", "gt")), "target": (("source", "target"),)}


@dataclass(frozen=True)
class Sides:
    """Folders that hold what is paired, and what to say of them. target: None where there is none,
    because sources are learned from alone or hold their targets."""

    sources: tuple[Path, ...]
    target: Path | None

    def said(self, data: Path) -> str:
        """The folders as they are told to people, e.g. "source/ -> GT/"."""
        told = ", ".join(_told(folder, data) for folder in self.sources)
        return f"{told} -> {_told(self.target, data)}" if self.target else told


def sides_in(root: Path, config: DataConfig, *, paired: bool) -> list[Sides]:
    """The layouts that a folder has, one by right; paired: sources with targets, else sources."""
    if paired:
        return [
            Sides(folders, beside)
            for names, target in names_of_pairs(config)
            if (folders := _folders(root, names)) and (beside := _folder(root, target))
        ]
    if config.source != ((_HERE,) if config.target is None else _SOURCES[:1]):
        folders = _folders(root, config.source)
        return [Sides(folders, None)] if folders else []
    here = [(root,)] if any(is_image(each) for each in root.iterdir()) else []
    inside = [found for name in _SOURCES if (found := _folders(root, (name,)))]
    return [Sides(folders, None) for folders in (*here, *inside)]


def names_of_pairs(config: DataConfig) -> tuple[tuple[tuple[str, ...], str], ...]:
    """Names that the folders of sources and targets may have: the configured ones, or all that are
    usual where these are. Lower and upper case are the same."""
    target = config.target or ""
    usual = _COUPLES.get(target, ()) if config.source == _SOURCES[:1] else ()
    return tuple(((source,), truth) for source, truth in usual) or ((config.source, target),)


def fields_of(
    sides: Sides, config: DataConfig, split: Split | None, prefix: str
) -> Iterator[Field]:
    """The fields of view in these folders, in natural order of their targets' names. prefix: of the
    names by which they are called. ImageError where a folder has no images, TrainingError where an
    image has no partner."""
    images = [_by_stem(folder) for folder in sides.sources]
    named = len(images) > 1
    views: dict[str, list[View]] = {}
    for folder, found in zip(sides.sources, images, strict=True):
        for stem, path in found.items():
            name = f"{folder.name}/{path.name}" if named else path.name
            views.setdefault(stem, []).append(View(path, prefix + name, config.axes))
    if sides.target is None:
        # Sources in several folders may have one name by chance, and show different fields.
        yield from (Field((view,), None, split) for found in views.values() for view in found)
        return
    targets = _by_stem(sides.target)
    _check_partners(images, targets, sides)
    axes = config.target_axes or config.axes
    for stem, path in targets.items():
        yield Field(tuple(views[stem]), View(path, prefix + path.name, axes), split)


def subfolders(root: Path) -> list[Path]:
    """The folders in a folder that are no images, hidden ones left out, by name."""
    inside = sorted(root.iterdir()) if root.is_dir() else []
    return [
        each
        for each in inside
        if each.is_dir() and not each.name.startswith(".") and not is_image(each)
    ]


def _told(folder: Path, data: Path) -> str:
    if folder == data:
        return f"{folder.resolve().name}/"
    inside = folder.is_relative_to(data)
    return f"{(folder.relative_to(data) if inside else folder).as_posix()}/"


def _folder(root: Path, name: str) -> Path | None:
    """The folder of that name, or else the one whose name differs in case alone."""
    if (root / name).is_dir():
        return root / name
    return next((each for each in subfolders(root) if each.name.lower() == name.lower()), None)


def _folders(root: Path, names: tuple[str, ...]) -> tuple[Path, ...]:
    """The folders of all these names; those of the name and a number (source_1, source_2) where
    there is no folder of an only name; or none."""
    found = [_folder(root, name) for name in names]
    if len(names) == 1 and found == [None]:
        pattern = re.compile(rf"{re.escape(names[0])}[-_ ]?([0-9]+)", re.IGNORECASE)
        numbered = [
            (int(match[1]), each)
            for each in subfolders(root)
            if (match := pattern.fullmatch(each.name))
        ]
        return tuple(each for _, each in sorted(numbered))
    return tuple(filter(None, found)) if all(found) else ()


def _by_stem(folder: Path) -> dict[str, Path]:
    """The images of a folder by their names without endings."""
    found: dict[str, Path] = {}
    for path in list_images(folder):
        stem = stem_of(path)
        if stem in found:
            raise TrainingError(
                f"{folder} holds {found[stem].name} and {path.name}, which differ in their endings "
                "alone: keep one, since images are paired by their names without endings"
            )
        found[stem] = path
    return found


def _check_partners(
    images: Sequence[Mapping[str, Path]], targets: Mapping[str, Path], sides: Sides
) -> None:
    sources = {stem: path for found in images for stem, path in found.items()}
    if not sources.keys() & targets.keys():
        one, other = next(iter(sources.values())), next(iter(targets.values()))
        raise TrainingError(
            f"{sides.sources[0]} holds {one.name} …, {sides.target} {other.name} …: no name is on "
            "both sides; give the files of a pair the same name, or list the pairs in a CSV file"
        )
    for ours, theirs, folders in (
        (sources, targets, (sides.target,)),
        (targets, sources, sides.sources),
    ):
        alone = [path for stem, path in ours.items() if stem not in theirs]
        if alone:
            more = f" (nor have {len(alone) - 1} others)" if len(alone) > 1 else ""
            raise TrainingError(
                f"{alone[0]} has no partner{more} among {len(theirs)} images: put the matching one "
                f"into {' or '.join(map(str, folders))} under the name {alone[0].name}"
            )
