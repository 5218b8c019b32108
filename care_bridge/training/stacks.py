"""Training images on disk: checked once, then read patch by patch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import TrainingError
from care_bridge.images.image import ImageInfo
from care_bridge.images.source import ImageSource
from care_bridge.images.zoomed import zoomed, zoomed_info
from care_bridge.training.config import TrainConfig
from care_bridge.training.image_statistics import (
    Statistics,
    check_contrast,
    statistics_of,
)
from care_bridge.training.layouts.fields import View
from care_bridge.training.pixels import Index, OpenFiles, Pixels, kept, where_it_lies
from care_bridge.training.views import open_view


@dataclass(frozen=True)
class Stack:
    """One frame of a pair, channels first: source (C_in, [Z,] Y, X), target (C_out, [Z,] Y, X); or
    source (C_in, Z, Y, X) and target (C_out, Y, X), its projection.

    The pixels stay on disk, in their file's type. The statistics are those of the whole file, or of
    its whole sample where it has several: restoring scales each sample by itself. Samples are
    images of their own, and named so.
    """

    name: str
    source: Pixels
    target: Pixels
    source_statistics: Statistics
    target_statistics: Statistics

    @property
    def shape(self) -> tuple[int, ...]:
        """Pixels of the target along [Z,] Y, X."""
        return self.target.shape[1:]

    def crop(self, area: Index) -> Stack:
        """The part of this stack in `area` (a slice for each of [Z,] Y, X)."""
        return replace(self, source=self.source.part(area), target=self.target.part(area))


def projected(pixels: NDArray[np.generic], dimensions: int) -> NDArray[np.generic]:
    """A stack (C, Z, Y, X), as its maximum projection where a target has fewer `dimensions`."""
    return np.asarray(pixels.max(axis=1)) if pixels.ndim > dimensions else pixels


@dataclass(frozen=True)
class Opened:
    """An image ready to be read, all of STCZYX: what it is, its pixels, and their statistics by
    sample."""

    view: View
    info: ImageInfo
    pixels: Pixels
    statistics: list[Statistics]


@dataclass(frozen=True)
class Opener:
    """Opens images for a network with these axes. config: resolved. told: whether somebody chose
    the axes; else they are those of the first image, and suit images of its kind alone. scratch: a
    folder for pixels that cannot be read where they lie."""

    config: TrainConfig
    axes: str
    told: bool
    scratch: Path
    files: OpenFiles

    def open(self, view: View, name: str, *, target: bool) -> Opened:
        """The image, its pixels in scratch under `name` where they are kept there.

        TrainingError where it does not suit the network's axes, holds NaN or numbers near
        infinity, or has no contrast.
        """
        normalization = self.config.normalization
        flat = target and self.target_axes != self.axes
        with open_view(view) as source:
            slices = source.info.sizes.get("Z", 1)
            if "Z" not in self.axes and slices > 1 and not self.told and not target:
                raise TrainingError(
                    f"{view.path} has axes {source.info.axes} and {slices} slices, the first image "
                    "has none: give images of one kind, or set network.axes=YX to take slices as "
                    "images of their own"
                )
            if "Z" in self.axes and not flat and slices == 1:
                otherwise = ", or set network.axes=YX"
                if self.config.task == "projection":
                    otherwise = ""
                elif target:
                    otherwise += ", or, where the sources are stacks, take the task projection"
                raise TrainingError(
                    f"{view.path} has axes {source.info.axes} and no slices, the network expects "
                    f"ZYX: give stacks (data.axes names the axes of plain TIFF files){otherwise}"
                )
            pixels = self._pixels(view, source, name)
        statistics = statistics_of(pixels, view.path, normalization)
        if normalization.mode == "percentile" and not (target and normalization.target == "source"):
            check_contrast(statistics, view.path, normalization)
        return Opened(view, source.info, pixels, statistics)

    def stacks(self, source: Opened, target: Opened, name: str) -> list[Stack]:
        """A stack for each frame of each sample of the pair (in 2D: each slice). A target with one
        frame is that of all.

        The source is zoomed before by the configuration's factors, into scratch under `name`; its
        statistics stay those of before. TrainingError where the two do not fit together, or are
        smaller than the patch.
        """
        zoom = self.config.upsampling.zoom
        finer = zoomed_info(source.info, zoom) if zoom else source.info
        fitting = _cut_to(target.info, finer, zoom)
        self._check_shapes(source, finer, target, fitting)
        pixels = source.pixels
        if zoom:
            with open_view(source.view) as coarse:
                pixels = kept(zoomed(coarse, zoom), self.scratch / f"{name}-zoomed")
        whole = tuple(slice(0, size) for size in fitting.canonical_shape)
        several = len(source.statistics) > 1
        view = source.view
        return [
            Stack(
                f"{view.name}, sample {sample}" if several else view.name,
                before,
                after,
                source.statistics[sample],
                target.statistics[sample],
            )
            for sample, before, after in self._frames(pixels, target.pixels.part(whole))
        ]

    @property
    def target_axes(self) -> str:
        """The network's axes, without Z where it projects."""
        return self.axes[-len(self.config.patches.size or ()) :]

    def _pixels(self, view: View, source: ImageSource, name: str) -> Pixels:
        if source.info.container.startswith("zarr") and view.frames != "mean":
            return where_it_lies(view, source, self.files)
        return kept(source, self.scratch / name)

    def _frames(self, source: Pixels, target: Pixels) -> Iterator[tuple[int, Pixels, Pixels]]:
        """Of each sample, frame and, in 2D, slice: the sample's number, source and target."""
        samples, frames, _, slices, *_ = source.shape
        planes = range(slices) if "Z" not in self.axes else [None]
        for sample in range(samples):
            for frame in range(frames):
                shown = frame if target.shape[1] == frames else 0
                for plane in planes:
                    yield (
                        sample,
                        _frame(source, sample, frame, plane, self.axes),
                        _frame(target, sample, shown, plane, self.target_axes),
                    )

    def _check_shapes(
        self, source: Opened, finer: ImageInfo, target: Opened, fitting: ImageInfo
    ) -> None:
        patch = self.config.patches.size or ()
        ours = {key: finer.sizes.get(key, 1) for key in "STZYX"}
        theirs = {key: fitting.sizes.get(key, 1) for key in "STZYX"}
        if self.target_axes != self.axes:
            ours["Z"] = 1  # the target is a projection
        if theirs["T"] == 1:
            theirs["T"] = ours["T"]  # one target for all frames
        if ours != theirs:
            zoom = self.config.upsampling.zoom
            enlarged = ", ".join(f"upsampling.{axis.lower()}={zoom[axis]:.4g}" for axis in zoom)
            raise TrainingError(
                f"{source.view.path} has {_describe(finer)}"
                f"{f' when enlarged by {enlarged}' if enlarged else ''}, its partner "
                f"{target.view.path} has {_describe(target.info)}: both must show the same pixels"
            )
        for axis, pixels in zip(self.target_axes, patch, strict=True):
            if ours[axis] < pixels:
                raise TrainingError(
                    f"{source.view.path} has {_describe(finer)}, smaller than the training patch "
                    f"({' x '.join(map(str, patch))}): leave it out, or set a smaller patches.size"
                )


def network_axes(view: View, wanted: str) -> str:
    """ "YX" or "ZYX": as `wanted` says, or for "auto" ZYX where the image has slices."""
    if wanted != "auto":
        return wanted
    with open_view(view) as source:
        return "ZYX" if source.info.sizes.get("Z", 1) > 1 else "YX"


def _frame(pixels: Pixels, sample: int, frame: int, plane: int | None, axes: str) -> Pixels:
    """One frame (or slice) with the dimensions C + `axes`."""
    one = [slice(None)] * pixels.ndim
    one[0], one[1] = slice(sample, sample + 1), slice(frame, frame + 1)
    if plane is not None:
        one[3] = slice(plane, plane + 1)
    dimensions = (2, 4, 5) if axes == "YX" else (2, 3, 4, 5)
    return replace(pixels.part(tuple(one)), dimensions=dimensions)


def _cut_to(info: ImageInfo, other: ImageInfo, factors: Mapping[str, float]) -> ImageInfo:
    """`info` without the pixels at its far ends that are beyond `other`, a zoomed one: fewer than a
    factor of them along each axis. Itself where it has no such surplus."""
    sizes = dict(info.sizes)
    for axis, factor in factors.items():
        surplus = sizes.get(axis, 1) - other.sizes.get(axis, 1)
        if 0 < surplus < factor:
            sizes[axis] -= surplus
    return info.replace(shape=tuple(sizes.values()))


def _describe(info: ImageInfo) -> str:
    return " ".join(f"{axis}={size}" for axis, size in info.sizes.items())
