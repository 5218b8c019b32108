"""Restoring one image: normalise the whole, run tile by tile, invert, give type and axes back."""

from __future__ import annotations

import copy
import dataclasses
import logging
import threading
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes, by_letter
from care_bridge.errors import ConfigError, OutOfMemoryError, PackageFormatError
from care_bridge.images.image import Image, ImageInfo
from care_bridge.images.pixels import PIXEL_TYPES, check_pixel_type, to_pixel_type
from care_bridge.images.source import ImageInMemory, ImageSink, ImageSource
from care_bridge.images.zoomed import zoomed
from care_bridge.package.package import Package, load_package
from care_bridge.package.steps import Operations
from care_bridge.resampling import zoomed_part
from care_bridge.runtime.domain import warn_of_domain, warn_of_intensities
from care_bridge.runtime.more_inputs import check_inputs, open_more
from care_bridge.runtime.operations import Dataset, Fitting, dataset_values, wants_dataset
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.pipeline import overlapped
from care_bridge.runtime.plan import (
    Plan,
    check_model,
    check_projection,
    check_same_size,
    chosen_channels,
    full_window,
    result_info,
    warn_of_spacing,
)
from care_bridge.runtime.planner import Before, plan_tiles, tile_memory
from care_bridge.runtime.precision import precision_line
from care_bridge.runtime.progress import Progress
from care_bridge.runtime.record import record_line
from care_bridge.runtime.scaling import ImageScales, chosen_normalization, fit_scales
from care_bridge.runtime.session import Session
from care_bridge.runtime.tiles import TileRunner
from care_bridge.runtime.uncertainty import Uncertainty
from care_bridge.tiling import TileGrid

_WASTEFUL_SHARE = 5

log = logging.getLogger("care_bridge")
# The device is the session's and no matter of the file at hand: see told.naming.
_device_log = logging.getLogger("care_bridge.device")


class Restorer:
    """A package loaded for restoring: one model load for any number of images.

    Raises PackageError, InferenceError or DeviceError where it cannot be loaded, ConfigError where
    the options do not fit it. `device` says what was taken: "cpu" or "cuda:0".
    """

    def __init__(
        self, package: Package | str | Path, options: RestoreOptions | None = None
    ) -> None:
        self._given = package if isinstance(package, Package) else load_package(package)
        self.options = options or RestoreOptions()
        self.package = _as_asked(self._given, self.options)
        self.session = Session(
            self.package.weights(), self.options.device, self.options.precision, self.options.memory
        )
        _check_tensors(self.package, self.session)
        self._dataset: Dataset = {}
        self.device = self.session.device
        self._device_told = threading.Event()  # by this or by a copy with other options
        self._before = Before.now(self.device, self.session.memory_factor)

    def with_options(self, options: RestoreOptions) -> Restorer:
        """The same loaded model with other options; the device and the precision stay as they
        were loaded."""
        other = copy.copy(self)
        other.options = options
        other.package = _as_asked(self._given, options)
        return other

    def with_dataset(self, sources: Iterable[ImageSource]) -> Restorer:
        """The same where a package names statistics over all images: those of `sources`, which are
        read for them. Without, each image stands for itself."""
        spec = self.package.spec
        if not wants_dataset(spec.normalization):
            return self
        with ExitStack() as opened:
            fittings = []
            for source in sources:
                channels = chosen_channels(source.info, self.options.channels)
                check_model(spec, source.info, channels)
                more = opened.enter_context(open_more(spec, self.options, source.info))
                fittings.append(Fitting(spec, (source, *more), channels, per_frame=False))
            other = copy.copy(self)
            other._dataset = dataset_values(fittings)
            return other

    def plan(
        self,
        source: ImageSource,
        window: Mapping[str, slice] | None = None,
        progress: Progress | None = None,
        sink: int | None = None,
    ) -> Plan:
        """What will be done to the image of `source`, or to a window of it: normalised as the whole
        image, with the halo around it. The window has explicit bounds by axis S, T, Z, Y or X, in
        the image's own pixels also where it is zoomed.

        Reads the image once, for its percentiles; `progress` is called with the pixels read and
        those to be read. sink: bytes that the result's sink will hold (`images.sink_memory`);
        None: the whole result.
        Raises AxesError, ImageError or TilingError where this model cannot restore it, and
        OutOfMemoryError where no tile fits the memory.
        """
        spec, given = self.package.spec, source.info
        check_pixel_type(given.dtype, "the image", PIXEL_TYPES)
        channels = chosen_channels(given, self.options.channels)
        check_model(spec, given, channels)
        warn_of_spacing(spec, given)
        warn_of_domain(spec, given.calibration)
        warn_of_intensities(spec, source, channels)
        finer = zoomed(source, spec.procedure.zoom)
        info = finer.info
        for axis, factor in spec.procedure.zoom.items():
            if window and axis in window:
                window = {**window, axis: zoomed_part(axis, window[axis], factor)}
        kept = full_window(info, window)
        check_projection(spec, info, kept)
        scales = fit_scales(source, spec, self.options, channels, progress)
        scales = self._with_operations(scales, source, channels, progress)
        told = Uncertainty.of(spec, self.options)
        result = result_info(spec, info, self.options, channels, kept, scales)
        grid, memory = self._grid(finer, result, kept, sink)
        wasteful = grid.computed_share > _WASTEFUL_SHARE and not spec.procedure.combination
        if wasteful and len(grid) > 1:
            log.warning(
                "tiles of %s compute %.0f times the image's pixels, most of them as context: "
                "larger tiles are faster",
                by_letter(grid.tile),
                grid.computed_share,
            )
        result = result.replace(history=(*info.history, record_line(spec, self.options, scales)))
        raw_channels = len(channels) if self.options.with_raw else 0
        return Plan(
            info=result,
            channels=channels,
            raw_channels=raw_channels,
            window=kept,
            grid=grid,
            scales=scales,
            memory=memory,
            uncertainty=told.info(result, raw_channels) if told else None,
        )

    def restore(
        self,
        source: ImageSource,
        plan: Plan,
        sink: ImageSink,
        progress: Progress | None = None,
        beside: ImageSink | None = None,
    ) -> None:
        """Restore the image of `source` into `sink`, whose info is the plan's, and what the plan
        tells of its uncertainty into `beside`, where that is given.

        Reading, computing and writing overlap; no more than two tiles are in memory. `progress`
        is called in the caller's thread, after each tile, with the tiles done and all tiles.
        """
        self.tell_device()
        spec = self.package.spec
        finer = zoomed(source, spec.procedure.zoom)
        with open_more(spec, self.options, source.info) as more:
            runner = TileRunner(spec, self.session, finer, plan, sink, self.options, beside, more)
            steps = overlapped(runner.works(), runner.load, runner.compute, runner.store)
            # Closed at once where `progress` raises: nothing may be written after that.
            with closing(steps):
                for done, _ in enumerate(steps, 1):
                    if progress:
                        progress(done, runner.count)

    def restore_image(
        self,
        image: Image,
        progress: Progress | None = None,
        window: Mapping[str, slice] | None = None,
    ) -> Image:
        """The restored image with the input's axes, calibration and display; a C axis is added
        where the model makes several channels of one. window: see `plan`.

        `progress` is called after each tile with the tiles done and the tiles in all.
        """
        return self._restore_image(image, progress, window, told=False)[0]

    def restore_with_uncertainty(
        self,
        image: Image,
        progress: Progress | None = None,
        window: Mapping[str, slice] | None = None,
    ) -> tuple[Image, Image]:
        """As `restore_image`; and what the option uncertainty asks for, in float32: for each
        channel of the result one channel, or those of its interval's ends, or of its samples.

        ConfigError where the option is "none", or the model predicts no distributions.
        """
        if self.options.uncertainty == "none":
            raise ConfigError("the option uncertainty is none: choose one, e.g. scale")
        restored, told = self._restore_image(image, progress, window, told=True)
        assert told is not None
        return restored, told

    def _restore_image(
        self,
        image: Image,
        progress: Progress | None,
        window: Mapping[str, slice] | None,
        *,
        told: bool,
    ) -> tuple[Image, Image | None]:
        try:
            source = ImageInMemory(image)
            plan = self.plan(source, window)
            sink = ImageInMemory.empty(plan.info)
            beside = ImageInMemory.empty(plan.uncertainty) if plan.uncertainty and told else None
            self.restore(source, plan, sink, progress, beside)
            return sink.image, beside.image if beside else None
        except MemoryError as error:
            raise OutOfMemoryError(
                f"an image of shape {image.pixels.shape} and its result do not fit into memory: "
                "restore it in parts, or free some memory",
                {},
            ) from error

    def _with_operations(
        self,
        scales: ImageScales,
        source: ImageSource,
        channels: tuple[int, ...],
        progress: Progress | None,
    ) -> ImageScales:
        """`scales` with what the package's steps do, where it names some that no scale equals.

        Where these take statistics of the network's output, it is run over the whole image.
        """
        spec = self.package.spec
        if not isinstance(spec.normalization, Operations):
            return scales
        with open_more(spec, self.options, source.info) as more:
            per_frame = self.options.normalize == "per-frame"
            fitting = Fitting(spec, (source, *more), channels, per_frame, self._dataset)
            fitted = fitting.fitted(scales, progress=progress)
            if not fitting.needs_output:
                return fitted
            window = full_window(source.info, None)
            result = result_info(spec, source.info, self.options, channels, window, fitted)
            grid, memory = self._grid(source, result, window, 0)
            plan = Plan(result, channels, 0, window, grid, fitted, memory)
            # Nothing is written yet: the output is only looked at.
            sink = ImageInMemory.empty(result.replace(shape=(0,) * len(result.shape)))
            runner = TileRunner(spec, self.session, source, plan, sink, self.options, more=more)
            return fitting.fitted(fitted, runner.outputs)

    def tell_device(self) -> None:
        """Say once what was taken, when there is something to compute on it."""
        if not self._device_told.is_set():
            _device_log.info("device: %s (%s)", self.device, self.session.engine)
            if self.session.advice:
                _device_log.info("%s", self.session.advice)
            if self.options.precision != RestoreOptions.precision:
                line = precision_line(self.package, self.session, self.options.precision)
                _device_log.info("%s", line)
        self._device_told.set()

    def tell_device_again(self) -> None:
        """Say it once more at the next restoration: who asks for that has not been told."""
        self._device_told.clear()

    def _grid(
        self, source: ImageSource, result: ImageInfo, kept: Mapping[str, slice], sink: int | None
    ) -> tuple[TileGrid, int]:
        """The tiles of each block, and the bytes that the program will use with them."""
        spec = self.package.spec
        limits = spec.image_tiling
        sizes = {axis: source.info.sizes[axis] for axis in limits}
        window = {axis: kept[axis] for axis in limits}
        most = self.options.memory
        told = Uncertainty.of(spec, self.options)
        beside = told.bytes_per_pixel(spec) if told else 0
        held = result.nbytes if sink is None else sink
        memory = tile_memory(spec, self._before, most, source, result, held, beside)
        fixed = spec.procedure.tile
        if fixed:
            tile = self.options.tile or fixed
            grid = TileGrid.blended(sizes, limits, tile, spec.procedure.blend, window)
            if most is not None and memory.needed(grid) > most:
                raise OutOfMemoryError(
                    f"tiles of {dict(grid.tile)} need {memory.needed(grid) >> 20} MiB, more than "
                    f"the {most >> 20} that were allowed, and {spec.name} gives other results in "
                    "smaller ones: allow more memory, or set a tile",
                    grid.tile,
                )
        elif self.options.tile is not None:
            grid = TileGrid.fit(sizes, limits, self.options.tile, window)
        else:
            grid = plan_tiles(sizes, limits, memory.per_pixel, memory.budget, window, memory.base)
        return grid, memory.needed(grid)


def _as_asked(package: Package, options: RestoreOptions) -> Package:
    """The package with the output that is asked for; ConfigError where an option does not fit the
    package, whatever the image: told once, before the first of many files."""
    spec = package.spec.with_output(options.output_tensor)
    check_inputs(spec, options)
    chosen_normalization(spec, options)
    Uncertainty.of(spec, options)
    check_same_size(spec, options)
    return dataclasses.replace(package, spec=spec)


def _check_tensors(package: Package, session: Session) -> None:
    """Raise PackageFormatError where the network is not the one that is described."""
    spec, (inputs, outputs) = package.spec, session.tensors
    if inputs != len(spec.input_tensors) or outputs <= spec.position:
        raise PackageFormatError(
            f"the network of {package.source} has {inputs} inputs and {outputs} outputs, its "
            f"description names {len(spec.input_tensors)} and at least {spec.position + 1}: get "
            "the package again"
        )


def restore(
    image: NDArray[Any],
    *,
    axes: str,
    package: Package | str | Path,
    **options: Any,
) -> NDArray[Any]:
    """`image` restored, with the same axes.

    image: uint8, uint16 or float32, or what becomes that (int8, int16, float16, float64), whose
    dimensions `axes` names (letters of STCZYX, e.g. "ZYX"). package: a folder, a .zip, or the name
    of a kept model; or a loaded Package.
    options: those of RestoreOptions, e.g. dtype="float32", tile={"Y": 256, "X": 256}. For many
    images make one Restorer, for files see `restore_files`.
    """
    given = np.asarray(image)
    check_pixel_type(given.dtype, "the image")
    restorer = Restorer(package, RestoreOptions(**options))
    pixels = to_pixel_type(given, "the image")
    return restorer.restore_image(Image(pixels, Axes(axes))).pixels
