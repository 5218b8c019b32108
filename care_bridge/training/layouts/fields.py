"""What is paired with what: the one thing that every layout of training data comes down to."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from care_bridge.errors import TrainingError

Frames = Literal["each", "mean", "but last", "but first"]
Split = Literal["training", "validation"]


@dataclass(frozen=True)
class View:
    """An image as one side of a pair takes it from a file.

    name: what the run calls it; no other view on its side is called so. axes: of a plain TIFF;
    None: the file says. channels: these of the file's, in this order; None: all. frames: each of
    them, their mean as the only one, or all but the last or the first.
    """

    path: Path
    name: str
    axes: str | None = None
    channels: tuple[int, ...] | None = None
    frames: Frames = "each"


@dataclass(frozen=True)
class Field:
    """A field of view: images of it that the network gets, and the one that it shall make of each.

    target: None where the network learns from the sources alone. split: what it is for; None: not
    said. A field is never trained and validated on, unless it is the only one.
    """

    sources: tuple[View, ...]
    target: View | None
    split: Split | None = None


@dataclass(frozen=True)
class Pairing:
    """All of DATA. said: the layout in which it was found. listed: the file that says what belongs
    together, where there is one."""

    fields: tuple[Field, ...]
    said: str
    listed: Path | None = None


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """TrainingError where the file system does not let `path`, or what lies in it, be read."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or error
        raise TrainingError(f"{error.filename or path} cannot be read: {reason}") from None


def split_fields(
    fields: Sequence[Field], share: float, seed: int
) -> tuple[tuple[Field, ...], tuple[Field, ...]]:
    """Fields to train on and fields to validate on: as they say, or else `share` of them for
    validation, at least one of two or more.

    The choice depends on `seed` alone. A single field is in both: it must be split by area.
    """
    chosen = {index for index, field in enumerate(fields) if field.split == "validation"}
    if not chosen:
        if len(fields) == 1:
            return tuple(fields), tuple(fields)
        count = min(max(1, round(share * len(fields))), len(fields) - 1)
        chosen = set(np.random.default_rng(seed).permutation(len(fields))[:count].tolist())
    training = tuple(field for index, field in enumerate(fields) if index not in chosen)
    return training, tuple(fields[index] for index in sorted(chosen))


def fingerprints(pairing: Pairing) -> dict[str, str]:
    """BLAKE2b of the bytes of every file, by side and name; of the files in a folder of Zarr data
    together, with their places in it. TrainingError where one cannot be read."""
    hashes: dict[Path, str] = {}
    found = {}
    for field in pairing.fields:
        views = [("source", view) for view in field.sources]
        for side, view in [*views, *([("target", field.target)] if field.target else [])]:
            if view.path not in hashes:
                hashes[view.path] = _hash(view.path)
            found[f"{side} {view.name}"] = hashes[view.path]
    if pairing.listed:
        found["list of pairs"] = _hash(pairing.listed)
    return found


def _hash(path: Path) -> str:
    if path.is_file():
        with reading(path), path.open("rb") as stream:
            return hashlib.file_digest(stream, "blake2b").hexdigest()
    together = hashlib.blake2b()
    for file in sorted(each for each in path.rglob("*") if each.is_file()):
        together.update(f"{file.relative_to(path).as_posix()}\0{_hash(file)}\0".encode())
    return together.hexdigest()
