"""Training images on disk: checked once, then read patch by patch.

Each file is decoded once into a scratch folder and mapped from there, so that memory does not grow
with the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ImageError, TrainingError
from care_bridge.images import open_image
from care_bridge.images.image import Image
from care_bridge.normalization import percentiles
from care_bridge.training.config import NormalizationConfig
from care_bridge.training.pairs import Pair
from care_bridge.training.sampling import cut_to, zoomed_image

FOREGROUND_PERCENTILE = 99.9
_TABLE_STEPS = 16


@dataclass(frozen=True)
class Statistics:
    """What is known of an image's intensities, one entry a channel, over all its frames.

    percents: ascending, in percent. levels: (channels, percents) grey levels of these percentiles.
    mean, square: means of the pixels and of their squares. pixels: their number.
    """

    percents: NDArray[np.float64]
    levels: NDArray[np.float64]
    mean: NDArray[np.float64]
    square: NDArray[np.float64]
    pixels: int

    def level(self, percent: float) -> NDArray[np.float64]:
        """The percentile of each channel; between tabulated percents by linear interpolation."""
        return np.array([np.interp(percent, self.percents, row) for row in self.levels])


@dataclass(frozen=True)
class Stack:
    """One frame of a pair, channels first: source (C_in, [Z,] Y, X), target (C_out, [Z,] Y, X); or
    source (C_in, Z, Y, X) and target (C_out, Y, X), its projection.

    The arrays are mapped from disk, in their file's type. The statistics are those of the whole
    file, or of its whole sample where it has several: restoring scales each sample by itself.
    Samples are images of their own, and named so.
    """

    name: str
    source: NDArray[np.generic]
    target: NDArray[np.generic]
    source_statistics: Statistics
    target_statistics: Statistics

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels of the target along [Z,] Y, X."""
        return self.target.shape[1:]

    def crop(self, area: tuple[slice, ...]) -> Stack:
        """The part of this stack in `area` (a slice for each of [Z,] Y, X)."""
        return replace(self, source=part_of(self.source, area), target=part_of(self.target, area))


def part_of(pixels: NDArray[np.generic], area: tuple[slice, ...]) -> NDArray[np.generic]:
    """What lies in `area`, of the last axes; the axes before them whole."""
    whole = (slice(None),) * (pixels.ndim - len(area))
    return np.asarray(pixels[(*whole, *area)])


def as_target(stack: Stack) -> NDArray[np.generic]:
    """The source with the target's axes: its maximum projection where that is a plane."""
    flat = stack.source.ndim > stack.target.ndim
    return np.asarray(stack.source.max(axis=1)) if flat else stack.source


def network_axes(pairs: tuple[Pair, ...], wanted: str, file_axes: str | None) -> str:
    """ "YX" or "ZYX": as `wanted` says, or for "auto" ZYX where the first source has slices."""
    if wanted != "auto":
        return wanted
    return "ZYX" if open_image(pairs[0].source, file_axes).sizes.get("Z", 1) > 1 else "YX"


def open_stacks(
    pair: Pair,
    axes: str,
    patch: tuple[int, ...],
    normalization: NormalizationConfig,
    file_axes: str | None,
    scratch: Path,
    zoom: Mapping[str, float] | None = None,
) -> list[Stack]:
    """A stack for each frame of each sample of `pair` (in 2D: each slice), mapped from disk.

    axes: of the network. patch: along [Z,] Y, X; along Y, X alone where stacks are projected. zoom:
    factors by which the source is made finer, whose statistics are those of before.

    TrainingError where the two do not fit together or to the network's axes, hold NaN, have no
    contrast, or are smaller than the patch.
    """
    source = open_image(pair.source, file_axes)
    target = source if pair.alone else open_image(pair.target, file_axes)
    target_axes = axes[-len(patch) :]
    stacked = ((source, pair.source), (target, pair.target))[: 2 if target_axes == axes else 1]
    for image, path in stacked:
        if "Z" in axes and image.sizes.get("Z", 1) == 1:
            raise TrainingError(
                f"{path} has axes {image.axes} and no slices, the network expects ZYX: give "
                "stacks (data.axes names the axes of plain TIFF files), or set network.axes=YX"
            )
    percents = _percents(normalization)
    source_statistics = _statistics(source, pair.source, percents)
    if zoom:
        source = zoomed_image(source, zoom)
        target = cut_to(target, source, zoom)
    _check_shapes(pair, source, target, target_axes, patch, flat=target_axes != axes)
    target_statistics = source_statistics
    if not pair.alone:
        target_statistics = _statistics(target, pair.target, percents)
    if normalization.mode == "percentile":
        _check_contrast(source_statistics, pair.source, normalization)
        if normalization.target == "own":
            _check_contrast(target_statistics, pair.target, normalization)
    several = len(source_statistics) > 1
    sources = _mapped(source, scratch / f"source-{pair.name}.npy")
    targets = sources if pair.alone else _mapped(target, scratch / f"target-{pair.name}.npy")
    frames = zip(_frames(sources, axes), _frames(targets, target_axes), strict=True)
    return [
        Stack(
            f"{pair.name}, sample {sample}" if several else pair.name,
            before,
            after,
            source_statistics[sample],
            target_statistics[sample],
        )
        for (sample, before), (_, after) in frames
    ]


def _check_shapes(
    pair: Pair, source: Image, target: Image, axes: str, patch: tuple[int, ...], *, flat: bool
) -> None:
    shapes = [{key: image.sizes.get(key, 1) for key in "STZYX"} for image in (source, target)]
    if flat:
        shapes[0]["Z"] = 1  # the target is a projection
    if shapes[0] != shapes[1]:
        raise TrainingError(
            f"{pair.source} has {_describe(source)}, its partner {pair.target} has "
            f"{_describe(target)}: both must show the same pixels"
        )
    for axis, pixels in zip(axes, patch, strict=True):
        if shapes[0][axis] < pixels:
            raise TrainingError(
                f"{pair.source} has {_describe(source)}, smaller than the training patch "
                f"({' x '.join(map(str, patch))}): leave it out, or set a smaller patches.size"
            )


def _describe(image: Image) -> str:
    return " ".join(f"{axis}={size}" for axis, size in image.sizes.items())


def _percents(normalization: NormalizationConfig) -> NDArray[np.float64]:
    """The percents worth knowing: those of prediction and of the background, and a fine table of
    the ranges from which training draws."""
    return np.unique(
        [
            normalization.low,
            normalization.high,
            FOREGROUND_PERCENTILE,
            *np.linspace(*normalization.train_low, _TABLE_STEPS + 1),
            *np.linspace(*normalization.train_high, _TABLE_STEPS + 1),
        ]
    )


def _statistics(image: Image, path: Path, percents: NDArray[np.float64]) -> list[Statistics]:
    """Of each sample."""
    try:
        return [
            Statistics(
                percents,
                np.array([percentiles(channel, tuple(percents)) for channel in sample]),
                np.array([channel.mean(dtype=np.float64) for channel in sample]),
                np.array([_mean_square(channel) for channel in sample]),
                sample[0].size,
            )
            for sample in image.axes.to(image.pixels, "SCTZYX")
        ]
    except ImageError as error:
        raise TrainingError(f"{path}: {error}") from None


def _check_contrast(
    samples: Sequence[Statistics], path: Path, normalization: NormalizationConfig
) -> None:
    low = max(normalization.low, normalization.train_low[1])
    high = min(normalization.high, normalization.train_high[0])
    for statistics in samples:
        flat = statistics.level(low) >= statistics.level(high)
        if flat.any():
            raise TrainingError(
                f"{path} has no contrast: its percentiles {low:g} and {high:g} are both "
                f"{statistics.level(low)[flat][0]:g}; leave it out, or set normalization.mode=fixed"
            )


def _mean_square(pixels: NDArray[np.generic]) -> float:
    """Mean of the squares in float64, a plane at a time."""
    planes = pixels.reshape(-1, pixels.shape[-1])
    total = 0.0
    for start in range(0, len(planes), 1024):
        values = planes[start : start + 1024].astype(np.float64)
        total += float(np.vdot(values, values))
    return total / pixels.size


def _mapped(image: Image, path: Path) -> Image:
    """The image with its pixels mapped from `path`, which is written."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.save(path, image.pixels)
    return image.replace(pixels=np.load(path, mmap_mode="r"))


def _frames(image: Image, axes: str) -> Iterator[tuple[int, NDArray[np.generic]]]:
    """Views with axes C + `axes`, one for each index of the other axes, each with the number of its
    sample."""
    inner = "C" + axes
    outer = "".join(letter for letter in "STZ" if letter not in inner)
    pixels = image.axes.to(np.asarray(image.pixels), outer + inner)
    for index in np.ndindex(pixels.shape[: len(outer)]):
        yield index[0], pixels[index]
