"""Restoring one image: normalise the whole, run tile by tile, invert, give type and axes back."""

from __future__ import annotations

import dataclasses
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

import care_bridge
from care_bridge.axes import CANONICAL, Axes
from care_bridge.errors import OutOfMemoryError
from care_bridge.images.image import Display, Image
from care_bridge.images.pixels import cast_pixels, check_pixel_type, to_pixel_type
from care_bridge.normalization import Percentiles
from care_bridge.package.package import Package, load_package
from care_bridge.runtime.blocks import blocks, channels_restored
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.planner import UNKNOWN_MEMORY_PER_PIXEL, memory_budget, plan_tiles
from care_bridge.runtime.scaling import SampleScales, fit_scales, result_dtype
from care_bridge.runtime.session import Session
from care_bridge.tiling import Tile, TileGrid

Progress = Callable[[int, int], None]

_BLOCK = Axes("CZYX")
_WASTEFUL_SHARE = 5

log = logging.getLogger("care_bridge")
# The device is the session's and no matter of the file at hand: see batch._named.
_device_log = logging.getLogger("care_bridge.device")


@dataclass(frozen=True)
class Plan:
    """What will be done to an image, known before its first tile: the result's type, the tiles of
    each block, and the scales of each sample."""

    dtype: np.dtype[Any]
    grid: TileGrid
    scales: tuple[SampleScales, ...]


class Restorer:
    """A package loaded for restoring: one model load for any number of images.

    Raises PackageError, InferenceError or DeviceError where it cannot be loaded. `device` says
    what was taken: "cpu" or "cuda:0".
    """

    def __init__(
        self, package: Package | str | Path, options: RestoreOptions | None = None
    ) -> None:
        self.package = package if isinstance(package, Package) else load_package(package)
        self.options = options or RestoreOptions()
        self._session = Session(self.package.weights(), self.options.device)
        self.device = self._session.device
        self._device_told = False

    def plan(self, image: Image) -> Plan:
        """The result's type, the tiles and the scales for `image`. Raises AxesError, ImageError
        or TilingError where this model cannot restore it."""
        spec = self.package.spec
        spec.check_axes(image.sizes, image.rgb)
        pixels = image.axes.to(image.pixels, CANONICAL)
        scales = fit_scales(spec.normalization, pixels, spec.channels_in, spec.channels_out)
        grid = self._grid({axis: image.sizes[axis] for axis in spec.tiling})
        if grid.computed_share > _WASTEFUL_SHARE:
            log.warning(
                "tiles of %s compute %.0f times the image's pixels, most of them as context: "
                "larger tiles are faster",
                grid.tile,
                grid.computed_share,
            )
        return Plan(result_dtype(self.options.dtype, pixels.dtype, scales), grid, scales)

    def restore_image(self, image: Image, progress: Progress | None = None) -> Image:
        """The restored image with the input's axes, calibration and display; a C axis is added
        where the model makes several channels of one.

        `progress` is called after each tile with the tiles done and the tiles in all.
        """
        try:
            return self._restore(image, progress)
        except MemoryError as error:
            raise OutOfMemoryError(
                f"an image of shape {image.pixels.shape} and its result do not fit into memory: "
                "restore it in parts, or free some memory",
                {},
            ) from error

    def _restore(self, image: Image, progress: Progress | None) -> Image:
        plan = self.plan(image)
        self._tell_device()
        spec = self.package.spec
        source = image.axes.to(image.pixels, CANONICAL)
        channels = channels_restored(spec, source.shape[2])
        restored = np.empty((*source.shape[:2], channels, *source.shape[3:]), plan.dtype)
        parts = list(blocks(spec, source.shape))
        grid = plan.grid
        for number, block in enumerate(parts):
            scales = plan.scales[block.sample].part(block.channels_in, block.channels_out)
            counted = _counted(progress, number, len(parts))
            if all(scales.stays):
                unchanged = source[block.source].astype(np.float64)
                restored[block.target] = cast_pixels(unchanged, plan.dtype)
                counted(len(grid), len(grid))
                continue
            grid = self._restore_block(
                source[block.source], restored[block.target], scales, grid, counted
            )
        axes = image.axes if channels == 1 or "C" in image.axes else Axes("C" + image.axes)
        return image.replace(
            pixels=np.ascontiguousarray(Axes(CANONICAL).to(restored, axes)),
            axes=axes,
            display=self._display(image, channels),
            rgb=image.rgb and channels == source.shape[2],
            history=(*image.history, self._record(plan)),
        )

    def _tell_device(self) -> None:
        """Say once what was taken, when there is something to compute on it."""
        if not self._device_told:
            _device_log.info("device: %s (%s)", self.device, self._session.engine)
        self._device_told = True

    def _grid(self, sizes: Mapping[str, int]) -> TileGrid:
        spec = self.package.spec
        if self.options.tile is not None:
            return TileGrid.fit(sizes, spec.tiling, self.options.tile)
        return plan_tiles(
            sizes,
            spec.tiling,
            spec.memory_per_pixel or UNKNOWN_MEMORY_PER_PIXEL,
            memory_budget(self.device),
        )

    def _restore_block(
        self,
        source: NDArray[np.generic],
        target: NDArray[np.generic],
        scales: SampleScales,
        grid: TileGrid,
        progress: Progress,
    ) -> TileGrid:
        """Restore `source` into `target` (both CZYX); returns the grid that went through: a
        smaller one where the engine ran out of memory."""
        while True:
            try:
                for done, tile in enumerate(grid, 1):
                    keep = _index(tile, "keep")
                    target[keep] = self._restore_tile(source, tile, grid, scales, target.dtype)
                    progress(done, len(grid))
                return grid
            except OutOfMemoryError as error:
                if self.options.tile is not None:
                    raise OutOfMemoryError(str(error), grid.tile) from error
                grid = self._half(grid, error)
                log.warning("%s: going on with tiles of %s", error, grid.tile)

    def _restore_tile(
        self,
        source: NDArray[np.generic],
        tile: Tile,
        grid: TileGrid,
        scales: SampleScales,
        dtype: np.dtype[Any],
    ) -> NDArray[np.generic]:
        spec = self.package.spec
        part = source[_index(tile, "read")]  # a slice ends at the image's border by itself
        normalized = np.stack(
            [scale.apply(channel) for scale, channel in zip(scales.before, part, strict=True)]
        )
        missing = [
            (0, tile.shape[axis] - size if axis in grid.limits else 0)
            for axis, size in _BLOCK.sizes(part.shape).items()
        ]
        padded = np.pad(normalized, missing, mode="reflect")
        result = self._session.run(
            np.ascontiguousarray(_BLOCK.to(padded, _as_axes(spec.input.axes)))
        )
        output = _as_axes(spec.output.axes).to(result, _BLOCK)[_index(tile, "crop")]
        unchanged = source[_index(tile, "keep")]
        pixels = np.stack(
            [
                unchanged[channel].astype(np.float64) if stays else scale.invert(output[channel])
                for channel, (scale, stays) in enumerate(
                    zip(scales.after, scales.stays, strict=True)
                )
            ]
        )
        return cast_pixels(pixels, dtype)

    def _half(self, grid: TileGrid, reason: OutOfMemoryError) -> TileGrid:
        """The grid of tiles with at most half of the pixels."""
        try:
            return plan_tiles(grid.sizes, grid.limits, 1, math.prod(grid.tile.values()) // 2)
        except OutOfMemoryError:
            raise OutOfMemoryError(
                f"even a tile of {grid.tile}, which cannot be cut further, does not fit into the "
                f"memory of {self.device}: close other programs, or use another device",
                grid.tile,
            ) from reason

    def _display(self, image: Image, channels: int) -> Display:
        """As the image is shown, where the result has as many channels in its grey levels."""
        if channels != image.sizes.get("C", 1):
            return Display()
        normalization = self.package.spec.normalization
        if isinstance(normalization, Percentiles) and not normalization.inverted:
            return dataclasses.replace(image.display, ranges=())
        return image.display

    def _record(self, plan: Plan) -> str:
        spec = self.package.spec
        ranges = ", ".join(
            f"{scale.offset:.6g}..{scale.offset + scale.gain:.6g}"
            for sample in plan.scales
            for scale in sample.before
        )
        return (
            f"care_bridge {care_bridge.__version__}: {spec.name} {spec.version} "
            f"(rdf sha256 {spec.rdf_sha256[:16]}), grey levels taken as 0..1: {ranges}, "
            f"result {plan.dtype}"
        )


def restore(
    image: NDArray[Any],
    *,
    axes: str,
    package: Package | str | Path,
    tile: Mapping[str, int] | None = None,
    device: str = RestoreOptions.device,
    dtype: str = RestoreOptions.dtype,
) -> NDArray[Any]:
    """`image` restored, with the same axes.

    image: uint8, uint16 or float32, whose dimensions `axes` names (letters of STCZYX, e.g.
    "ZYX"). package: a folder, a .zip, or the name of a bundled model; or a loaded Package. tile:
    the largest tile in pixels by axis letter, e.g. {"Y": 256, "X": 256}; None plans it from free
    memory. dtype: see RestoreOptions. For many images make one Restorer.
    """
    given = np.asarray(image)
    check_pixel_type(given.dtype, "the image")
    restorer = Restorer(package, RestoreOptions(tile=tile, device=device, dtype=dtype))
    pixels = to_pixel_type(given, "the image")
    return restorer.restore_image(Image(pixels, Axes(axes))).pixels


def _counted(progress: Progress | None, number: int, blocks: int) -> Progress:
    """Progress of block `number` told as progress of all blocks."""

    def count(done: int, tiles: int) -> None:
        if progress:
            progress(number * tiles + done, blocks * tiles)

    return count


def _index(tile: Tile, which: str) -> tuple[slice, ...]:
    """Index of a tile's span "read", "keep" or "crop" into a CZYX array."""
    return tuple(
        getattr(tile.spans[axis], which) if axis in tile.spans else slice(None) for axis in _BLOCK
    )


def _as_axes(model_axes: str) -> Axes:
    """A model's axes with its batch, which is always 1 here, as the sample axis."""
    return Axes(model_axes.replace("B", "S"))
