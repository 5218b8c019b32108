"""Targets that are copies of their sources, as when files were copied into the wrong folder.

A network that learns from such pairs learns to change nothing, and all its figures are perfect.
"""

from __future__ import annotations

import numpy as np

from care_bridge.images.source import boxes_of
from care_bridge.training.dataset import Dataset
from care_bridge.training.pixels import BLOCK, Pixels


def said_of_copies(dataset: Dataset) -> str | None:
    """In which pairs all frames have the same pixels on both sides, in a line; None where in none.
    Some frames may: blank ones do."""
    if dataset.pairing.fields[0].target is None:
        return None
    same: dict[str, bool] = {}
    for stack in (*dataset.training, *dataset.validation):
        same[stack.name] = same.get(stack.name, True) and _same(stack.source, stack.target)
    copies = [name for name, is_copy in same.items() if is_copy]
    if not copies:
        return None
    return (
        f"{len(copies)} of {len(same)} targets, first that of {copies[0]}, have the same pixels as "
        "their sources, so a network would learn to change nothing: put the right images there, or "
        "leave the pairs out"
    )


def _same(one: Pixels, other: Pixels) -> bool:
    if one.shape != other.shape:
        return False
    boxes = boxes_of(
        tuple(slice(0, size) for size in one.shape),
        tuple(one.pieces[axis] for axis in one.dimensions),
        BLOCK,
    )
    return all(np.array_equal(one[box], other[box]) for box in boxes)
