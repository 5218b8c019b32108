"""Pairs of images by file name, and which of them are kept for validation."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from care_bridge.errors import TrainingError
from care_bridge.images import list_images
from care_bridge.training.config import DataConfig


@dataclass(frozen=True)
class Pair:
    """A degraded image and the good image of the same field of view; the same file twice where a
    task learns from noisy images alone."""

    source: Path
    target: Path

    @property
    def name(self) -> str:
        """The file name they share."""
        return self.source.name

    def fingerprints(self) -> dict[str, str]:
        """BLAKE2b of the bytes of both files, by side and name."""
        sides = {"source": self.source}
        if not self.alone:
            sides["target"] = self.target
        found = {}
        for side, path in sides.items():
            with path.open("rb") as stream:
                found[f"{side} {self.name}"] = hashlib.file_digest(stream, "blake2b").hexdigest()
        return found

    @property
    def alone(self) -> bool:
        """Is the image its own target?"""
        return self.source == self.target


def find_pairs(folder: Path, config: DataConfig) -> tuple[Pair, ...]:
    """The pairs in `folder`/source and `folder`/target (names of `config`), in natural order.

    Without a target folder every image is a pair with itself. TrainingError where a folder is
    missing or an image has no partner, ImageError where a folder has no images.
    """
    sources = _images(folder, "source", config)
    if config.target is None:
        return tuple(Pair(path, path) for path in sources.values())
    targets = _images(folder, "target", config)
    for ours, theirs in ((sources, targets), (targets, sources)):
        alone = [name for name in ours if name not in theirs]
        if alone:
            other = next(iter(theirs.values())).parent
            more = f" (nor have {len(alone) - 1} others)" if len(alone) > 1 else ""
            raise TrainingError(
                f"{ours[alone[0]]} has no partner{more}: put the matching image into {other} "
                f"under the name {alone[0]}"
            )
    return tuple(Pair(sources[name], targets[name]) for name in sources)


def split_pairs(
    pairs: Sequence[Pair], share: float, seed: int
) -> tuple[tuple[Pair, ...], tuple[Pair, ...]]:
    """Pairs to train on and pairs to validate on: `share` of them, at least one of two or more.

    The choice depends on `seed` alone. A single pair is in both: it must be split by area.
    """
    if len(pairs) == 1:
        return tuple(pairs), tuple(pairs)
    count = min(max(1, round(share * len(pairs))), len(pairs) - 1)
    chosen = set(np.random.default_rng(seed).permutation(len(pairs))[:count].tolist())
    training = tuple(pair for index, pair in enumerate(pairs) if index not in chosen)
    return training, tuple(pairs[index] for index in sorted(chosen))


def _images(data: Path, side: str, config: DataConfig) -> dict[str, Path]:
    folder = data / getattr(config, side)
    if not folder.is_dir():
        folders = " and ".join(filter(None, (config.source, config.target)))
        raise TrainingError(
            f"there is no folder {folder}: {data} needs {folders} with images, of the same names "
            f"on both sides, or name yours with data.{side}"
        )
    return {path.name: path for path in list_images(folder)}
