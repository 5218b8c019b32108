"""Checks of how a package's network may be run in tiles."""

from __future__ import annotations

import dataclasses
import logging
import math
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.errors import TilingError
from care_bridge.images.image import Image
from care_bridge.package.consumers import Draft
from care_bridge.package.consumers.rule import CORE, DEEPIMAGEJ
from care_bridge.package.consumers.sizes import declared_halo
from care_bridge.package.onnx_cost import cost_of
from care_bridge.package.spec import SAME, TensorSpec
from care_bridge.resampling import fewest_pixels
from care_bridge.runtime.checked import EXPORT_AGAIN, Checked, relative, unusual_cost, within
from care_bridge.runtime.halo import PROJECTED, Probed, measure_halo, moves_along
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.report import Finding
from care_bridge.runtime.restorer import Restorer
from care_bridge.tiling import round_up

TILED_WITHIN = 1e-5

Check = Callable[[Checked], Iterator[Finding]]


def measured_halo(checked: Checked) -> dict[str, int]:
    """The reach of the network's output in pixels, by axis; TilingError where it has no end."""
    return measure_halo(_probed(checked))


def _probed(checked: Checked) -> Probed:
    """The network as the measurements of its reach run it."""
    spec = checked.package.spec
    block = "CZYX" if "Z" in spec.input.axes else "CYX"
    outputs = [spec.output, *([spec.members] if spec.members else [])]
    usual: set[tuple[tuple[int, ...], ...]] = set()

    def run(tile: NDArray[np.float32]) -> NDArray[np.float32]:
        tiles = [
            np.ascontiguousarray(Axes(block).to(_of_channels(tile, each), each.image_axes))
            for each in spec.input_tensors
        ]
        shapes = tuple(each.shape for each in tiles)
        if shapes not in usual:
            _check_cost(checked, shapes)
            usual.add(shapes)
        made = checked.session.run_all(*tiles)[spec.position :]
        parts = zip(outputs, made, strict=False)
        return np.concatenate([each.image_axes.to(part, "CZYX") for each, part in parts])

    return Probed(run, block, spec.channels_in, spec.tiling, spec.placement, spec.depth)


def _check_cost(checked: Checked, shapes: Sequence[tuple[int, ...]]) -> None:
    """TilingError where the network takes too much for inputs of these shapes to be looked at."""
    numbers = sum(map(math.prod, shapes))
    said = unusual_cost(cost_of(checked.weights, "the network", shapes), numbers)
    if said:
        raise TilingError(
            f"how far the network's output depends on pixels is not measured: it {said} for inputs "
            f"of the shape {' and '.join(map(str, shapes))}"
        )


def _of_channels(tile: NDArray[np.float32], tensor: TensorSpec) -> NDArray[np.float32]:
    """A tile (C…) with the channels of a tensor, in turn those that it has."""
    return np.resize(tile, (len(tensor.channel_names), *tile.shape[1:]))


def _check_halo(checked: Checked) -> Iterator[Finding]:
    spec = checked.package.spec
    if spec.procedure.tile:
        yield Finding(
            "ok",
            "the output depends on the whole tile, so tiles of "
            f"{' x '.join(map(str, spec.procedure.tile.values()))} are blended: the halo and seams "
            "are not applicable",
        )
        return
    try:
        measured = measured_halo(checked)
    except TilingError as error:
        yield Finding("error", str(error), "do not use this model in tiles", "tiles")
        return
    declared = declared_halo(Draft.of(checked.package.archive))
    for axis, limits in spec.tiling.items():
        reach = measured[axis]
        what = f"along {axis} the network reaches {reach} pixels, the package says {limits.halo}"
        told, place = declared.get(axis.lower()), spec.placement.get(axis, SAME)
        if reach > limits.aligned_halo and limits.most is not None:  # one tile for others
            yield Finding(
                "error",
                f"{what}: images above {limits.most} pixels are seen in tiles, which would show "
                "seams",
                f"restore images of at most {limits.most} pixels along {axis}, or have the package "
                f"written with a halo of {reach}",
                "tiles",
            )
        elif reach > limits.aligned_halo:
            yield Finding("error", f"{what}: tiles would show seams", EXPORT_AGAIN, "halo")
        elif told is not None and not _halo_is_enough(checked, axis, told, reach):
            yield Finding(
                "error",
                f"along {axis} the network reaches {reach} pixels, the description tells "
                f"others a halo of {told}: their tiles would show seams",
                f"write halo: {round_up(reach, limits.step) * place.up // place.down}",
                "halo",
                (CORE, DEEPIMAGEJ),
            )
        else:
            yield Finding("ok", what)


def _halo_is_enough(checked: Checked, axis: str, told: int, reach: int) -> bool:
    """Whether tiles of others are as the whole. They overlap by the halo that others are told, in
    pixels of the input, so that is by how much they are off the multiples of the size step."""
    step = checked.package.spec.tiling[axis].step
    return told >= reach and (told % step == 0 or moves_along(_probed(checked), axis, told, reach))


def _check_tiles(checked: Checked) -> Iterator[Finding]:
    spec = checked.package.spec
    if spec.procedure.tile or spec.more_inputs:  # nothing says what images would fit together
        return
    told = "scale" if spec.members else "none"
    options = RestoreOptions(device="cpu", dtype="float32", uncertainty=told)
    restorer = Restorer(checked.package, options)
    tiling, zoom = spec.image_tiling, spec.procedure.zoom
    for axis, limits in tiling.items():
        if limits.most is not None:
            yield Finding("ok", f"along {axis} images are seen in tiles of {limits.most} pixels")
            continue
        # Two tiles and a rest along this axis, little along the others.
        sizes = {other: other_limits.step + 1 for other, other_limits in tiling.items()}
        sizes[axis] = limits.smallest_tile + limits.step + 1
        sizes |= {
            other: fewest_pixels(other, sizes[other], factor) for other, factor in zoom.items()
        }
        depth = {"Z": spec.depth.padded(PROJECTED)} if spec.depth else {}
        image = _noise({"C": spec.channels_in, **depth, **sizes})
        with _told_nothing():
            whole = _restored(restorer, image, {})
            tiled = _restored(restorer, image, {axis: limits.smallest_tile})
        difference = max(map(relative, tiled, whole))
        what = f"along {axis} tiles differ from the whole by {difference:.1e} of its range"
        yield within(what, difference, TILED_WITHIN, EXPORT_AGAIN, "tiles")


@contextmanager
def _told_nothing() -> Iterator[None]:
    """Advice on the device and on tiles is not for the small images of a check; what other threads
    tell meanwhile is."""
    here = threading.get_ident()
    loggers = [logging.getLogger(name) for name in ("care_bridge", "care_bridge.device")]

    def of_others(record: logging.LogRecord) -> bool:
        return record.thread != here

    for logger in loggers:
        logger.addFilter(of_others)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeFilter(of_others)


def _noise(sizes: dict[str, int]) -> Image:
    pixels = np.random.default_rng(0).uniform(0, 1000, tuple(sizes.values()))
    return Image(pixels.astype(np.float32), Axes("".join(sizes)))


def _restored(restorer: Restorer, image: Image, tile: dict[str, int]) -> list[NDArray[np.generic]]:
    """The restored image and, of a probabilistic model, what it tells of its uncertainty."""
    tiled = restorer.with_options(dataclasses.replace(restorer.options, tile=tile))
    if restorer.options.uncertainty == "none":
        return [tiled.restore_image(image).pixels]
    return [each.pixels for each in tiled.restore_with_uncertainty(image)]


def _of_each_output(check: Check) -> Check:
    """The check of a package with one output after the other."""

    def checks(checked: Checked) -> Iterator[Finding]:
        for beginning, restoring in checked.by_output().items():
            for finding in check(restoring):
                yield dataclasses.replace(finding, what=f"{beginning}{finding.what}")

    return checks


TILE_CHECKS: tuple[Check, ...] = (_of_each_output(_check_halo), _of_each_output(_check_tiles))
