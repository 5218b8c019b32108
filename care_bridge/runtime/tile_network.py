"""A network's output for what a tile keeps, in smaller tiles where memory runs out."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes, by_letter
from care_bridge.errors import OutOfMemoryError
from care_bridge.package.spec import ModelSpec
from care_bridge.runtime.blending import Blender
from care_bridge.runtime.blocks import Block
from care_bridge.runtime.output_shape import check_output
from care_bridge.runtime.planes import restore_planes
from care_bridge.runtime.planner import plan_tiles
from care_bridge.runtime.session import Session
from care_bridge.tiling import Tile, TileGrid

BLOCK = Axes("CZYX")

log = logging.getLogger("care_bridge")


class TileNetwork:
    """The network of `spec`, loaded, for the tiles of one restoration, which come in the order of
    `grid`.

    free: where the engine runs out of memory, that tile and the later ones are computed in smaller
    ones. with_members: the predicted distributions are wanted, too.
    """

    def __init__(
        self,
        spec: ModelSpec,
        session: Session,
        grid: TileGrid,
        *,
        free: bool,
        with_members: bool,
    ) -> None:
        self._spec = spec
        self._session = session
        self._grid = grid
        self._free = free and not grid.blend and not spec.placement
        self._with_members = with_members
        self._most_pixels: int | None = None
        self._blender: Blender | None = None
        self._blended: Block | None = None

    def kept(
        self, block: Block, tile: Tile, tensors: tuple[NDArray[np.float32], ...]
    ) -> NDArray[np.float32]:
        """The output (CZYX) for what a tile of a block keeps of its tensors, one for each input."""
        if self._grid.blend and self._blended != block:
            outputs = block.channels_out.stop - block.channels_out.start
            self._blender, self._blended = Blender(self._grid, BLOCK, outputs), block
        while True:
            try:
                return self._run(tile, tensors)
            except OutOfMemoryError as error:
                if not self._free:
                    raise OutOfMemoryError(f"{error}, or use a smaller tile", tile.shape) from error
                self._shrink(tile, error)

    def _run(self, tile: Tile, tensors: tuple[NDArray[np.float32], ...]) -> NDArray[np.float32]:
        """The network's output for what the tile keeps, in smaller tiles where it must be."""
        if self._most_pixels is None:
            return self._kept(tensors, tile)
        output: NDArray[np.float32] | None = None
        for part in self._smaller(tile):
            read = {
                axis: counted_from(span.read, tile.spans[axis].start)
                for axis, span in part.spans.items()
            }
            place = {
                axis: counted_from(span.keep, tile.spans[axis].keep_start)
                for axis, span in part.spans.items()
            }
            kept = self._kept(tuple(tensor[_index(read)] for tensor in tensors), part)
            if output is None:
                sizes = {
                    axis: span.keep_stop - span.keep_start for axis, span in tile.spans.items()
                }
                shape = [sizes.get(axis, size) for axis, size in BLOCK.sizes(kept.shape).items()]
                output = np.empty(shape, np.float32)
            output[_index(place)] = kept
        assert output is not None
        return output

    def _smaller(self, tile: Tile) -> TileGrid:
        """Tiles of at most `_most_pixels` that keep what `tile` keeps and read no more."""
        return plan_tiles(
            {axis: span.stop for axis, span in tile.spans.items()},
            self._grid.limits,
            1,
            self._most_pixels or 0,
            {axis: span.keep for axis, span in tile.spans.items()},
        )

    def _kept(self, tensors: tuple[NDArray[np.float32], ...], tile: Tile) -> NDArray[np.float32]:
        """The network's output (CZYX) for what a tile keeps of its tensors."""
        if self._blender:
            return self._blender.add(tile, self._network(*tensors))
        combination = self._spec.procedure.combination
        if combination:
            return restore_planes(self._network, tensors[0], crop_of(tile), combination)
        return self._network(*tensors)[_index(self._crop_of_output(tile))]

    def _crop_of_output(self, tile: Tile) -> dict[str, slice]:
        """What a tile keeps of the network's output, by axis."""
        crops = {}
        for axis, span in tile.spans.items():
            size = self._grid.sizes[axis]
            kept = self._spec.result_span(axis, span.keep, size)
            place = self._spec.placement.get(axis)
            crops[axis] = counted_from(kept, place.first(span.start) if place else span.start)
        return crops

    def _network(self, *tensors: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's output (CZYX) for whole tiles of its inputs (CZYX), followed by the
        predicted distributions where they are wanted."""
        tiles = [
            np.ascontiguousarray(BLOCK.to(tensor, described.image_axes), np.float32)
            for tensor, described in zip(tensors, self._spec.input_tensors, strict=True)
        ]
        if self._with_members:
            outputs = self._session.run_all(*tiles)
        else:
            outputs = [self._session.run(*tiles, output=self._spec.position)]
        check_output(outputs[self._spec.position if self._with_members else 0], self._spec.output)
        axes = self._spec.output.image_axes
        moved = [axes.to(output, BLOCK).astype(np.float32, copy=False) for output in outputs]
        return np.concatenate(moved) if moved[1:] else moved[0]

    def _shrink(self, tile: Tile, reason: OutOfMemoryError) -> None:
        """Compute tiles of at most half of the pixels from now on."""
        self._most_pixels = (self._most_pixels or math.prod(tile.shape.values())) // 2
        try:
            smaller = self._smaller(tile)
        except OutOfMemoryError:
            raise OutOfMemoryError(
                f"even a tile that cannot be cut further does not fit into the memory of "
                f"{self._session.device}: "
                "close other programs, or use another device",
                tile.shape,
            ) from reason
        log.warning("%s: going on with tiles of %s", reason, by_letter(smaller.tile))


def crop_of(tile: Tile) -> tuple[slice, ...]:
    """Index of what a tile keeps into the tile's array (CZYX)."""
    return _index({axis: span.crop for axis, span in tile.spans.items()})


def _index(spans: Mapping[str, slice]) -> tuple[slice, ...]:
    """Index into an array CZYX; axes that are not named are taken whole."""
    return tuple(spans.get(axis, slice(None)) for axis in BLOCK)


def counted_from(span: slice, origin: int) -> slice:
    """A span counted from `origin`."""
    return slice(span.start - origin, span.stop - origin)
