"""A CSV file that lists pairs, a line each."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import TrainingError
from care_bridge.training.data_config import DataConfig
from care_bridge.training.layouts.fields import Field, Split, View

COLUMNS = ("source", "target", "axes", "target_axes", "split")
_SPLITS: dict[str, Split | None] = {
    "": None,
    "train": "training",
    "training": "training",
    "val": "validation",
    "validation": "validation",
}


@dataclass(frozen=True)
class _Line:
    """What a line says. number: of the line in the file."""

    number: int
    source: str
    target: str
    axes: str
    target_axes: str
    split: str


def is_table(path: Path) -> bool:
    """Whether this is a file that lists pairs, by its name."""
    return path.suffix.lower() == ".csv" and path.is_file()


def fields_of(file: Path, config: DataConfig, *, paired: bool) -> tuple[Field, ...]:
    """The fields of view that a list names: lines with the same target are one.

    Columns: source and target, relative to the list or absolute; if wanted axes and target_axes (of
    plain TIFFs; targets by default as their sources) and split (train or val; where any line says
    val, the others are trained on). Separated by commas or semicolons. paired: False where sources
    are learned from alone; targets are left unread then. TrainingError where the list cannot be
    read or contradicts itself.
    """
    lines = list(_lines(file))
    if not lines:
        raise TrainingError(f"{file} lists no pairs: write a line for each, below the names")
    known: dict[Path, int] = {}
    grouped: dict[Path, list[_Line]] = {}
    for line in lines:
        _check(line, file, paired=paired)
        # Not as they are written: one file can be named in several ways.
        source = (file.parent / line.source).resolve()
        target = (file.parent / line.target).resolve() if paired and line.target else source
        if source in known:
            raise TrainingError(
                f"line {line.number} of {file} lists {line.source} again, which line "
                f"{known[source]} does: give each source one target"
            )
        known[source] = line.number
        grouped.setdefault(target, []).append(line)
    fields = tuple(_field(found, file, config, paired=paired) for found in grouped.values())
    if all(field.split == "validation" for field in fields):
        raise TrainingError(f"{file} keeps all for validation: mark some lines with train")
    return fields


def _field(lines: list[_Line], file: Path, config: DataConfig, *, paired: bool) -> Field:
    first = lines[0]
    for line in lines:
        for column in ("target_axes", "split"):
            if getattr(line, column) != getattr(first, column):
                raise TrainingError(
                    f"lines {first.number} and {line.number} of {file} share the target "
                    f"{line.target} and differ in their {column}: give them the same"
                )
    sources = tuple(
        View(file.parent / line.source, line.source, line.axes or config.axes) for line in lines
    )
    split = _SPLITS[first.split.lower()]
    if not (paired and first.target):
        return Field(sources, None, split)
    axes = first.target_axes or config.target_axes or first.axes or config.axes
    return Field(sources, View(file.parent / first.target, first.target, axes), split)


def _check(line: _Line, file: Path, *, paired: bool) -> None:
    where = f"line {line.number} of {file}"
    if line.split.lower() not in _SPLITS:
        raise TrainingError(f'{where} has the split "{line.split}": write train or val')
    for column in ("source", "target") if paired else ("source",):
        name = getattr(line, column)
        if name and not (file.parent / name).exists():
            # A name that Windows wrote is one name here.
            how = ", with / between folders" if "\\" in Path(name).name else ""
            raise TrainingError(
                f"{where} names the {column} {name}, which does not exist: give its place relative "
                f"to {file.parent}{how}"
            )
    if not line.source:
        raise TrainingError(f"{where} names no source: give one in every line")


def _lines(file: Path) -> Iterator[_Line]:
    """The lines that hold anything, below the names of the columns."""
    try:
        text = file.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TrainingError(
            f"{file} cannot be read as UTF-8 text ({error}): save it as CSV UTF-8"
        ) from None
    head = text.partition("\n")[0]
    rows = csv.reader(text.splitlines(), delimiter=";" if ";" in head else ",")
    names = [name.strip().lower() for name in next(rows, [])]
    unknown = [name for name in names if name not in COLUMNS]
    if unknown or "source" not in names or len(set(names)) < len(names):
        raise TrainingError(
            f"the first line of {file} is {head.strip()!r}: expected the names of its columns, "
            f"source, target and if wanted {', '.join(COLUMNS[2:])}"
        )
    for row in rows:
        values = [value.strip() for value in row]
        if not any(values):
            continue
        if len(values) != len(names):
            raise TrainingError(
                f"line {rows.line_num} of {file} has {len(values)} values, the first line "
                f"{len(names)} names: write as many"
            )
        told = dict(zip(names, values, strict=True))
        yield _Line(rows.line_num, *(told.get(column, "") for column in COLUMNS))
