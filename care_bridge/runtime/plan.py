"""What will be done to an image, all of it decided before its first tile."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes, by_letter
from care_bridge.errors import AxesError, ConfigError
from care_bridge.images.image import Display, ImageInfo
from care_bridge.package.spec import ModelSpec
from care_bridge.runtime.blocks import channels_restored
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.scaling import ImageScales
from care_bridge.tiling import TileGrid

Item = TypeVar("Item")

_WINDOW = "STZYX"
_SPACING_WITHIN = 0.02
_GRAYS = np.repeat(np.arange(256, dtype=np.uint8)[:, np.newaxis], 3, axis=1)


log = logging.getLogger("care_bridge")


@dataclass(frozen=True)
class Plan:
    """How an image will be restored.

    info: the result. channels: the image's channels that are restored, in the model's order.
    raw_channels: how many channels the result begins with that are raw ones. window: what of the
    image is restored, by axis S, T, Z, Y and X. grid: the tiles of each block. scales: what the
    network's input and output are scaled by. memory: bytes that the program will use at most on
    the CPU, 0 where that is not known. uncertainty: the image beside the result that tells it, if
    any.
    """

    info: ImageInfo
    channels: tuple[int, ...]
    raw_channels: int
    window: Mapping[str, slice]
    grid: TileGrid
    scales: ImageScales
    memory: int
    uncertainty: ImageInfo | None = None

    def part(self, window: Mapping[str, slice]) -> Plan:
        """The plan for a smaller window: the same scales, and tiles of at most the same size, so
        the same pixels. Not for models whose result has another size than the image."""
        kept = {**self.window, **window}
        tiled = {axis: kept[axis] for axis in self.grid.limits}
        sizes = self.info.sizes | {axis: kept[axis].stop - kept[axis].start for axis in kept}
        return dataclasses.replace(
            self,
            info=self.info.replace(shape=tuple(sizes[axis] for axis in self.info.axes)),
            window=kept,
            grid=self.grid.part(tiled),
        )


def chosen_channels(info: ImageInfo, wanted: tuple[str, ...] | None) -> tuple[int, ...]:
    """The channels of an image that `wanted` names, by name or by number from 1; None: all.

    Raises AxesError, which tells what there is, for one that the image does not have.
    """
    count = info.sizes.get("C", 1)
    if wanted is None:
        return tuple(range(count))
    names = info.display.channel_names
    chosen = []
    for name in wanted:
        if names.count(name) > 1:
            alike = [str(number) for number, each in enumerate(names, 1) if each == name]
            raise AxesError(
                f'channels {", ".join(alike)} have the same name "{name}": use their numbers'
            )
        if name in names:
            chosen.append(names.index(name))
        elif name.isdecimal() and 1 <= int(name) <= count:
            chosen.append(int(name) - 1)
        else:
            known = f" or one of {', '.join(names)}" if names else ""
            raise AxesError(
                f'there is no channel "{name}" in the image: use a number from 1 to {count}{known}'
            )
    if len(set(chosen)) < len(chosen):
        raise AxesError(f"channels {','.join(wanted)} name a channel twice: name each once")
    return tuple(chosen)


def full_window(info: ImageInfo, window: Mapping[str, slice] | None) -> dict[str, slice]:
    """What is kept of the axes S, T, Z, Y and X, where `window` names some of them.

    Raises AxesError where it leaves the image, or is empty.
    """
    kept = {axis: slice(0, info.sizes.get(axis, 1)) for axis in _WINDOW}
    for axis, bounds in (window or {}).items():
        if axis not in kept or not 0 <= bounds.start < bounds.stop <= kept[axis].stop:
            raise AxesError(
                f"the window {bounds.start}..{bounds.stop} along {axis} is none of an image of "
                f"{by_letter(info.sizes)}"
            )
        kept[axis] = bounds
    return kept


def check_model(spec: ModelSpec, info: ImageInfo, channels: tuple[int, ...]) -> None:
    """Raise AxesError, saying what to do, where the model cannot restore these channels."""
    selected = len(channels) < info.sizes.get("C", 1)
    sizes = {**info.sizes, "C": len(channels)} if "C" in info.axes else info.sizes
    spec.check_axes(sizes, info.rgb and not selected)


def check_same_size(spec: ModelSpec, options: RestoreOptions) -> None:
    """Raise ConfigError where an option needs a result of the image's size, and the model makes
    another one."""
    asked = [name for name in ("with_raw", "ignore_nonfinite") if getattr(options, name)]
    if spec.placement and asked:
        raise ConfigError(
            f"{asked[0]} needs a result of the image's size, that of {spec.name} has another one: "
            "leave it out"
        )


def check_projection(spec: ModelSpec, info: ImageInfo, window: Mapping[str, slice]) -> None:
    """Raise AxesError where a window would cut a stack that is projected."""
    if spec.projects and window["Z"] != slice(0, info.sizes["Z"]):
        raise AxesError(
            f"the model {spec.name} projects whole stacks, the window takes the slices "
            f"{window['Z'].start}..{window['Z'].stop} of {info.sizes['Z']}: give none along Z"
        )


def warn_of_spacing(spec: ModelSpec, info: ImageInfo) -> None:
    """Say so where a model makes voxels isotropic that are not those of this image."""
    voxel = info.calibration.voxel_size
    if not spec.procedure.combination or not {"Z", "X"} <= set(voxel):
        return
    factor, expected = voxel["Z"] / voxel["X"], spec.procedure.zoom.get("Z", 1.0)
    if not abs(factor / expected - 1) <= _SPACING_WITHIN:
        log.warning(
            "the image's slices are %.4g pixels apart, the model %s was trained for %.4g: its "
            "result will not be isotropic",
            factor,
            spec.name,
            expected,
        )


def result_info(
    spec: ModelSpec,
    info: ImageInfo,
    options: RestoreOptions,
    channels: tuple[int, ...],
    window: Mapping[str, slice],
    scales: ImageScales,
) -> ImageInfo:
    """The result: the image's axes, calibration and display, with the channels that it has (an
    axis C is added where it needs one) and the window's sizes."""
    restored = channels_restored(spec, len(channels))
    count = restored + (len(channels) if options.with_raw else 0)
    axes = info.axes if count == 1 or "C" in info.axes else Axes("C" + info.axes)
    if spec.projects:
        axes = Axes(axes.replace("Z", ""))
        info = _without_slices(info)
    sizes = {**info.sizes, "C": count}
    for axis, bounds in window.items():
        made = spec.result_span(axis, bounds, info.sizes.get(axis, 1))
        sizes[axis] = made.stop - made.start
    if sizes["Z"] > 1 and "Z" not in axes and not spec.projects:
        axes = Axes(axes.replace("Y", "ZY"))
    info = _resampled(spec, info)
    kept = restored == len(channels)
    display = _part(info, channels) if kept else Display()
    if options.range != "input" or not spec.in_grey_levels:
        display = dataclasses.replace(display, ranges=())
    if options.with_raw:
        display = _with_raw(display, len(channels), restored)
    return info.replace(
        axes=axes,
        shape=tuple(sizes[axis] for axis in axes),
        dtype=scales.dtype,
        display=display,
        rgb=info.rgb and count == 3 and not options.with_raw and scales.dtype == np.uint8,
    )


def _resampled(spec: ModelSpec, info: ImageInfo) -> ImageInfo:
    """The image, with the voxel size of the result's pixels."""
    finer = {axis: place.up / place.down for axis, place in spec.placement.items() if place.up}
    sizes = {axis: size / finer.get(axis, 1) for axis, size in info.calibration.voxel_size.items()}
    return info.replace(calibration=dataclasses.replace(info.calibration, voxel_size=sizes))


def _without_slices(info: ImageInfo) -> ImageInfo:
    """The image, its voxel size along Z forgotten."""
    sizes = {axis: size for axis, size in info.calibration.voxel_size.items() if axis != "Z"}
    return info.replace(calibration=dataclasses.replace(info.calibration, voxel_size=sizes))


def _part(info: ImageInfo, channels: tuple[int, ...]) -> Display:
    """The display of some channels."""
    count = info.sizes.get("C", 1)
    if channels == tuple(range(count)):
        return info.display
    display = info.display
    return Display(
        luts=_some(display.luts, channels, count),
        ranges=_some(display.ranges, channels, count),
        channel_names=_some(display.channel_names, channels, count),
        mode=display.mode,
    )


def _some(items: tuple[Item, ...], channels: tuple[int, ...], count: int) -> tuple[Item, ...]:
    return tuple(items[channel] for channel in channels) if len(items) == count else ()


def _with_raw(display: Display, raw: int, restored: int) -> Display:
    """Raw and restored channels shown one at a time, in the same colours and contrast."""
    names = display.channel_names if len(display.channel_names) == raw else ()
    luts: tuple[NDArray[np.uint8], ...] = display.luts if len(display.luts) == raw else ()
    twice = raw == restored
    return Display(
        luts=luts * 2 if luts and twice else (_GRAYS,) * (raw + restored),
        ranges=display.ranges * 2 if twice else (),
        channel_names=(
            *(f"{name} raw" for name in names or _numbered(raw)),
            *(f"{name} restored" for name in (names if twice and names else _numbered(restored))),
        ),
        mode="color",
    )


def _numbered(count: int) -> tuple[str, ...]:
    return tuple(f"channel {number}" for number in range(1, count + 1))
