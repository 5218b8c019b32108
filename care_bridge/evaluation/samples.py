"""What is compared: the images of one field of view, their pixels in one layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.errors import ImageError
from care_bridge.evaluation.one_field import one_field
from care_bridge.evaluation.region import Region
from care_bridge.images import open_image
from care_bridge.images.image import Image

Block = NDArray[np.generic]
"""Pixels as (channels, frames, Z, Y, X)."""

_LAYOUT = "CSTZYX"
_NOTHING: Mapping[str, Image] = MappingProxyType({})


@dataclass(frozen=True)
class Sample:
    """One field of view. blocks: the compared region of each role's image ("truth", "restored",
    "input", "members"). spacing: of the voxels along Z, Y and X; None where not all are known.
    factors: pixels of the truth a pixel of the input along Z, Y and X, the slices of a projection
    aside. whole_truth: its channels beyond the region, too, by which members are scaled; None
    without one. notes: what is left out, and why, a line each."""

    name: str
    blocks: Mapping[str, Block]
    spacing: tuple[float, float, float] | None
    factors: tuple[float, ...]
    whole_truth: Block | None
    notes: tuple[str, ...] = ()


def read_sample(
    files: Mapping[str, Path],
    axes: str | None,
    region: Region,
    made: Mapping[str, Image] = _NOTHING,
    *,
    filters: bool = False,
) -> Sample:
    """Read, cut and check the images of one field of view.

    axes: of plain TIFF files that do not say their own; members have channels of their own and
    must say theirs. made: images by role that a model made of the input. filters: whether the input
    is to be filtered. Raises ImageError where an image holds NaN or is constant, and the errors of
    `one_field`.
    """
    read = {
        role: open_image(path, axes if role != "members" else None) for role, path in files.items()
    }
    names = {role: str(path) for role, path in files.items()}
    names |= dict.fromkeys(made, "the restored image")
    field = one_field({**read, **made}, names, region, filters=filters)
    for role, image in field.images.items():
        _check_pixels(image.pixels, names[role])
    main = "truth" if "truth" in read else "restored"
    size = read[main].calibration.voxel_size
    whole = read.get("truth")
    return Sample(
        name=files[main].name,
        blocks={role: as_block(image.axes, image.pixels) for role, image in field.images.items()},
        spacing=(size["Z"], size["Y"], size["X"]) if {*"ZYX"} <= size.keys() else None,
        factors=field.factors,
        whole_truth=as_block(
            whole.axes, region.along("C").cut(whole.pixels, whole.axes, names[main])
        )
        if whole
        else None,
        notes=field.notes,
    )


def as_block(axes: Axes, pixels: NDArray[np.generic]) -> Block:
    """Pixels with these axes as a block; samples and time points are its frames."""
    flat = axes.to(pixels, _LAYOUT)
    return flat.reshape(flat.shape[0], -1, *flat.shape[3:])


def as_image(block: Block) -> Image:
    """The image of a block: frames along T, axes of length 1 left out."""
    sizes = dict(zip("CTZYX", block.shape, strict=True))
    axes = Axes("".join(axis for axis, size in sizes.items() if size > 1 or axis in "YX"))
    return Image(block.reshape([sizes[axis] for axis in axes]), axes)


def _check_pixels(pixels: NDArray[np.generic], name: str) -> None:
    if not np.isfinite(pixels).all():
        raise ImageError(
            f"{name} has {np.count_nonzero(~np.isfinite(pixels))} pixels that are NaN or "
            "infinite: replace them first"
        )
    if pixels.min() == pixels.max():
        raise ImageError(
            f"{name} is constant ({pixels.min():g}) where it is compared: there is nothing to "
            "compare"
        )
