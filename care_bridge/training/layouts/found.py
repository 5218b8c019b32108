"""Which layout DATA has."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

from care_bridge.errors import ConfigError, TrainingError
from care_bridge.images.files import is_image
from care_bridge.training.data_config import DataConfig
from care_bridge.training.layouts import folders, table, within_files
from care_bridge.training.layouts.fields import Field, Pairing, Split, View, reading
from care_bridge.training.layouts.folders import Sides, names_of_pairs, sides_in, subfolders

_TRAINING = ("train", "training")
_VALIDATION = ("val", "validation")
_SHOWN = 6


def find_fields(data: Path, config: DataConfig) -> Pairing:
    """What is paired with what in DATA: a folder, a CSV file that lists pairs, or a single image.

    Errors in one line: TrainingError where DATA has none of the layouts, or more than one, where
    images have no partners or a list is wrong, or where the file system refuses; ConfigError where
    a source is its own target, or is there twice; ImageError where a folder has no images.
    """
    with reading(data):
        return _found(data, config)


def _found(data: Path, config: DataConfig) -> Pairing:
    if not data.exists():
        raise TrainingError(f"{data} does not exist: give {_understood(config)}")
    paired = config.target is not None
    listed = data if table.is_table(data) else None
    if listed:
        fields, layout = table.fields_of(data, config, paired=paired), data.name
        if paired and not within_files.holds_targets(config):
            _check_targets(fields, data)
    elif is_image(data):
        view = View(data, data.name, config.axes)
        fields, layout = (Field((view,), None),), data.name
        if paired and not within_files.holds_targets(config):
            raise TrainingError(f"{data} is a single image: give {_understood(config)}")
    elif data.is_file():
        raise TrainingError(f"{data} is no image: give {_understood(config)}")
    else:
        fields, layout = _in_folders(data, config)
    told = ", ".join(filter(None, (layout, within_files.said(config))))
    fields = tuple(within_files.taken(field, config) for field in fields)
    _check_sources(fields)
    return Pairing(fields, told, listed)


def _in_folders(data: Path, config: DataConfig) -> tuple[tuple[Field, ...], str]:
    trained = [data, *_called(data, _TRAINING)]
    sides, paired = _only(data, trained, config)
    kept = _called(data, _VALIDATION)
    if config.validation_folder is not None:
        kept = [data / config.validation_folder]
        if not kept[0].is_dir():
            raise TrainingError(
                f"there is no folder {kept[0]}, which data.validation_folder names: give one in "
                f"{data}, or an absolute path"
            )
    if not kept:
        return tuple(folders.fields_of(sides, config, None, "")), sides.said(data)
    if len(kept) > 1:
        raise TrainingError(
            f"{data} holds {kept[0].name}/ and {kept[1].name}/: keep one for validation, or name "
            "it with data.validation_folder"
        )
    validated, _ = _only(kept[0], kept, config, paired=paired)
    parts: list[tuple[Sides, Split, str]] = [
        (sides, "training", ""),
        (validated, "validation", f"{kept[0].name}/"),
    ]
    fields = [
        field
        for part, split, prefix in parts
        for field in folders.fields_of(part, config, split, prefix)
    ]
    return tuple(fields), f"{sides.said(data)}, validation in {validated.said(data)}"


def _only(
    data: Path, roots: Sequence[Path], config: DataConfig, *, paired: bool | None = None
) -> tuple[Sides, bool]:
    """The one layout that `data` has, in one of `roots`, and whether it has folders of targets."""
    wanted = [config.target is not None] if paired is None else [paired]
    if paired is None and config.target is not None and within_files.holds_targets(config):
        wanted.append(False)
    for way in wanted:
        # Absolute names lead to the same folders from every root.
        found = set(chain(*(sides_in(root, config, paired=way) for root in roots)))
        if len(found) > 1:
            several = " and also ".join(
                "images" if sides.sources == (data,) else sides.said(data)
                for sides in sorted(found, key=lambda sides: sides.sources)
            )
            keys = "data.source and data.target" if way else "data.source"
            inside = min(sides.sources[0] for sides in found if sides.sources != (data,))
            raise TrainingError(
                f"{data} holds {several}: name the folders with {keys}, or give a folder with one "
                f"of them{'' if way else f', e.g. {inside}'}"
            )
        if found:
            return found.pop(), way
    raise TrainingError(f"{data} holds {_held(data)}: expected {_understood(config)}")


def _called(data: Path, names: Sequence[str]) -> list[Path]:
    return [folder for folder in subfolders(data) if folder.name.lower() in names]


def _check_targets(fields: Sequence[Field], file: Path) -> None:
    for field in fields:
        if field.target is None:
            raise TrainingError(
                f"{file} names no target of {field.sources[0].name}: give one in the column target"
            )


def _check_sources(fields: Sequence[Field]) -> None:
    """ConfigError where a source is there twice: it could be trained and validated on."""
    seen = set()
    for field in fields:
        for view in field.sources:
            key = (field.split, view.path.resolve(), view.channels)
            if key in seen:
                raise ConfigError(
                    f"{view.path} is a source twice: name each folder once in data.source, and "
                    "each channel once in data.source_channels"
                )
            seen.add(key)


def _held(data: Path) -> str:
    """What a folder holds, in short."""
    inside = subfolders(data)
    told = [f"{folder.name}/" for folder in inside[:_SHOWN]]
    if len(inside) > _SHOWN:
        told.append(f"{len(inside) - _SHOWN} more folders")
    images = sum(is_image(each) for each in data.iterdir())
    if images:
        told.append(f"{images} images")
    tables = [each.name for each in sorted(data.iterdir()) if table.is_table(each)]
    return ", ".join([*told, *tables[:1]]) or "nothing"


def _understood(config: DataConfig) -> str:
    """The layouts that would be understood."""
    if config.target is None:
        return (
            "a folder of images, or one with source/ or raw/ or train/ and val/ with images, or a "
            "CSV file with the column source, or an image; data.source names another folder"
        )
    told = " or ".join(
        f"{', '.join(sources)} and {target}" for sources, target in names_of_pairs(config)
    )
    return (
        f"a folder with the folders {told}, or with train and val that hold these, or a CSV file "
        "with the columns source and target; data.source and data.target name other folders"
    )
