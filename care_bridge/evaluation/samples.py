"""What is compared: the images of one field of view, their pixels in one layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError, ImageError
from care_bridge.evaluation.region import Region
from care_bridge.evaluation.sampling import sampling_factors
from care_bridge.images import open_image
from care_bridge.images.image import Image

Block = NDArray[np.generic]
"""Pixels as (channels, frames, Z, Y, X)."""

_LAYOUT = "CSTZYX"


@dataclass(frozen=True)
class Sample:
    """One field of view. blocks: the compared region of each role's image ("truth", "restored",
    "input", "members"). spacing: of the voxels along Z, Y and X; None where not all are known.
    factors: pixels of the truth a pixel of the input along Z, Y and X, the slices of a projection
    aside. whole_truth: the truth beyond the region, too, by which members are scaled; None without
    one."""

    name: str
    blocks: Mapping[str, Block]
    spacing: tuple[float, float, float] | None
    factors: tuple[float, ...]
    whole_truth: Block | None


def read_sample(files: Mapping[str, Path], axes: str | None, region: Region) -> Sample:
    """Read, cut and check the images of one field of view.

    axes: of plain TIFF files that do not say their own; members have channels of their own and
    must say theirs. Raises ImageError where an image holds
    NaN or is constant, or shows other pixels than the truth: the restored one and the members must
    not, the input may be a stack of which the truth is a projection, or sampled more coarsely (see
    `sampling.sampling_factors`). ConfigError where the region does not fit.
    """
    images = {
        role: open_image(path, axes if role != "members" else None) for role, path in files.items()
    }
    factors = _check_sizes(images, files, region)
    blocks = {}
    for role, image in images.items():
        cut = region.cut(image.pixels, image.axes, str(files[role]))
        if not np.isfinite(cut).all():
            raise ImageError(
                f"{files[role]} has {np.count_nonzero(~np.isfinite(cut))} pixels that are NaN or "
                "infinite: replace them first"
            )
        if cut.min() == cut.max():
            raise ImageError(
                f"{files[role]} is constant ({cut.min():g}) where it is compared: there is "
                "nothing to compare"
            )
        blocks[role] = as_block(image.axes, cut)
    main = "truth" if "truth" in images else "restored"
    size = images[main].calibration.voxel_size
    spacing = (size["Z"], size["Y"], size["X"]) if {*"ZYX"} <= size.keys() else None
    truth = images.get("truth")
    whole_truth = as_block(truth.axes, truth.pixels) if truth else None
    return Sample(files[main].name, blocks, spacing, factors, whole_truth)


def as_block(axes: Axes, pixels: NDArray[np.generic]) -> Block:
    """Pixels with these axes as a block; samples and time points are its frames."""
    flat = axes.to(pixels, _LAYOUT)
    return flat.reshape(flat.shape[0], -1, *flat.shape[3:])


def as_image(block: Block) -> Image:
    """The image of a block: frames along T, axes of length 1 left out."""
    sizes = dict(zip("CTZYX", block.shape, strict=True))
    axes = Axes("".join(axis for axis, size in sizes.items() if size > 1 or axis in "YX"))
    return Image(block.reshape([sizes[axis] for axis in axes]), axes)


def _check_sizes(
    images: Mapping[str, Image], files: Mapping[str, Path], region: Region
) -> tuple[float, ...]:
    """The factors between input and truth; ImageError where images do not fit together."""
    if "truth" not in images:
        return (1.0, 1.0, 1.0)
    truth = images["truth"]
    for role, axes in (("restored", _LAYOUT), ("members", "STZYX"), ("input", "CST")):
        if role in images and _lengths(images[role], axes) != _lengths(truth, axes):
            raise ImageError(
                f"{files[role]} has {_told(images[role])}, its truth {_told(truth)}: both must "
                + ("be of one field of view" if role == "input" else "show the same pixels")
            )
    if "input" not in images:
        return (1.0, 1.0, 1.0)
    factors = sampling_factors(images["input"], truth)
    if factors is None:
        raise ImageError(
            f"{files['input']} has {_told(images['input'])}, its truth {_told(truth)}: neither is "
            "the truth a whole number of times as large (or as the files' voxel sizes say), nor a "
            "projection of it; compare images of one field of view"
        )
    for axis, *sizes in zip(
        "ZYX", _lengths(images["input"], "ZYX"), _lengths(truth, "ZYX"), strict=True
    ):
        if sizes[0] != sizes[1] and axis in region.axes:
            raise ConfigError(
                f"--roi cuts {axis}, along which {files['input']} has {sizes[0]} pixels and its "
                f"truth {sizes[1]}: leave {axis} out of the region"
            )
    return factors


def _lengths(image: Image, axes: str) -> list[int]:
    return [image.sizes.get(axis, 1) for axis in axes]


def _told(image: Image) -> str:
    return " ".join(f"{axis}={size}" for axis, size in image.sizes.items())
