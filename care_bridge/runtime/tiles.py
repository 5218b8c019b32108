"""One tile after the other: what is loaded, computed and stored for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL
from care_bridge.images.pixels import cast_pixels
from care_bridge.images.source import ImageSink, ImageSource
from care_bridge.normalization import UNCHANGED, Scale
from care_bridge.package.spec import ModelSpec
from care_bridge.runtime.blocks import Block, blocks, channels_restored
from care_bridge.runtime.formulas import apply_all
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.output_shape import check_sizes
from care_bridge.runtime.plan import Plan
from care_bridge.runtime.scaling import SampleScales, scale_back
from care_bridge.runtime.session import Session
from care_bridge.runtime.statistics import Part
from care_bridge.runtime.tile_network import BLOCK, TileNetwork, counted_from, crop_of
from care_bridge.runtime.uncertainty import Uncertainty, pixel_numbers
from care_bridge.tiling import Tile


@dataclass(frozen=True)
class Work:
    """One tile of one block, and what of the result it keeps, by axis Z, Y and X."""

    block: Block
    tile: Tile
    keep: tuple[slice, slice, slice]


@dataclass(frozen=True)
class Loaded:
    """What was read for a tile (CZYX).

    tensors: the normalised and padded tile of each input of the network, none where all of it
    stays as it is. raw: the pixels that it keeps, None where they are not needed.
    """

    tensors: tuple[NDArray[np.float32], ...]
    raw: NDArray[np.generic] | None


@dataclass(frozen=True)
class Computed:
    """The network's output for what a tile keeps (CZYX), None where there is none; and `raw` as
    it was loaded."""

    output: NDArray[np.float32] | None
    raw: NDArray[np.generic] | None


class TileRunner:
    """Loads, computes and stores the tiles of one restoration; see `overlapped`."""

    def __init__(
        self,
        spec: ModelSpec,
        session: Session,
        source: ImageSource,
        plan: Plan,
        sink: ImageSink,
        options: RestoreOptions,
        beside: ImageSink | None = None,
        more: tuple[ImageSource, ...] = (),
    ) -> None:
        self._spec = spec
        self._more = more
        self._source = source
        self._plan = plan
        self._sink = sink
        self._beside = beside
        self._uncertainty = Uncertainty.of(spec, options) if beside else None
        self._network = TileNetwork(
            spec,
            session,
            plan.grid,
            free=options.tile is None,
            with_members=beside is not None,
        )
        self._keeps_nonfinite = options.ignore_nonfinite and source.info.dtype.kind == "f"
        self.count = len(plan.grid) * sum(1 for _ in self._blocks())

    def works(self) -> Iterator[Work]:
        """All tiles, in reading order."""
        for block in self._blocks():
            for tile in self._plan.grid:
                z, y, x = self._spans(block, tile, "keep")
                yield Work(block, tile, (slice(0, 1) if self._spec.projects else z, y, x))

    def outputs(self, sample: int, times: slice, block: int) -> Iterator[Part]:
        """What the network gives for some frames and a block of channels, tile by tile."""
        for work in self.works():
            channels = work.block.channels_in.start
            frame = work.block.sample == sample and times.start <= work.block.time < times.stop
            if frame and channels == block:
                output = self.compute(work, self.load(work)).output
                assert output is not None
                yield Part(0, self._place(work)["Z"].start, output)

    def load(self, work: Work) -> Loaded:
        """Read a tile and normalise it, padded at the image's far end."""
        scales = self._scales(work.block)
        if all(scales.stays):
            place = self._spans(work.block, work.tile, "keep")
            return Loaded((), self._raw(self._read(work.block, place)))
        tile = work.tile
        place = self._spans(work.block, tile, "read")
        part = self._read(work.block, place)
        normalized = scales.normalized(part, place[0])
        if self._keeps_nonfinite:
            normalized[~np.isfinite(normalized)] = 0
        tensors = [normalized]
        for number, source in enumerate(self._more, 1):
            beside = self._read_more(source, work.block, place)
            tensors.append(scales.normalized(beside, place[0], number))
        needs_raw = self._plan.raw_channels or any(scales.stays) or self._keeps_nonfinite
        return Loaded(
            tuple(_padded(tensor, tile) for tensor in tensors),
            self._raw(part[crop_of(tile)]).copy() if needs_raw else None,
        )

    def compute(self, work: Work, loaded: Loaded) -> Computed:
        """Run the network on a loaded tile."""
        if not loaded.tensors:
            return Computed(None, loaded.raw)
        return Computed(self._network.kept(work.block, work.tile, loaded.tensors), loaded.raw)

    def store(self, work: Work, computed: Computed) -> None:
        """Scale a result back to grey levels and write it."""
        if any(kept.start == kept.stop for kept in work.keep):
            return  # a tile that others outside of the window are blended with
        scales, dtype = self._scales(work.block), self._plan.info.dtype
        first, out = self._plan.raw_channels, work.block.channels_out
        if first and computed.raw is not None:
            raw = np.empty(computed.raw.shape, dtype)
            for channel, scale in enumerate(scales.raw):
                _past_network(scale, computed.raw[channel], raw[channel])
            self._write(work, work.block.channels_in, raw, self._sink)
        if scales.around and computed.output is not None:
            place = self._place(work)["Z"]
            made = apply_all(scales.around[0].output, computed.output, place)
            restored = cast_pixels(made, dtype)
            check_sizes(restored, self._sizes_of_result(work))
        else:
            restored = self._scaled_back(work, computed, scales)
        if self._keeps_nonfinite and computed.raw is not None:
            _put_back(computed.raw, restored)
        self._write(work, slice(first + out.start, first + out.stop), restored, self._sink)
        if self._uncertainty and self._beside:
            told = self._told(work, computed, self._uncertainty)
            width = self._uncertainty.width
            self._write(work, slice(width * out.start, width * out.stop), told, self._beside)

    def _scaled_back(
        self, work: Work, computed: Computed, scales: SampleScales
    ) -> NDArray[np.generic]:
        """A result (CZYX) in grey levels."""
        shape = self._sizes_of_result(work)
        restored = np.empty((len(scales.after), *shape), self._plan.info.dtype)
        if computed.output is not None:
            check_sizes(computed.output, shape)
        for channel, (scale, stays) in enumerate(zip(scales.after, scales.stays, strict=True)):
            if stays or computed.output is None:
                assert computed.raw is not None
                _past_network(scales.raw[channel], computed.raw[channel], restored[channel])
            else:
                scale_back(scale, computed.output[channel], restored[channel])
        return restored

    def _told(
        self, work: Work, computed: Computed, uncertainty: Uncertainty
    ) -> NDArray[np.float32]:
        """What is told of the uncertainty of what a tile keeps (CZYX)."""
        block, scales = work.block, self._scales(work.block)
        count, sizes = self._spec.channels_out, self._source.info.sizes
        numbered = {**sizes, "C": channels_restored(self._spec, len(self._plan.channels))}
        told = []
        for channel, (scale, stays) in enumerate(zip(scales.after, scales.stays, strict=True)):
            if stays or computed.output is None:
                assert computed.raw is not None
                levels = np.empty(computed.raw[channel].shape, np.float32)
                _past_network(scales.raw[channel], computed.raw[channel], levels)
                told.append(uncertainty.of_certain(levels))
                continue
            predicted = computed.output[count:]
            members = predicted.reshape(-1, 2, count, *predicted.shape[1:])[:, :, channel]
            number = block.channels_out.start + channel
            place = {**self._place(work), "C": slice(number, number + 1)}
            told.append(uncertainty.values(members, scale, pixel_numbers(place, numbered)))
        values = np.concatenate(told)
        if self._keeps_nonfinite and computed.raw is not None:
            lost = ~np.isfinite(computed.raw.astype(np.float32, copy=False))
            values[:, lost.any(axis=0)] = np.nan
        return values

    def _blocks(self) -> Iterator[Block]:
        plan = self._plan
        return blocks(self._spec, len(plan.channels), plan.window)

    def _scales(self, block: Block) -> SampleScales:
        fitted = self._plan.scales.at(block.sample, block.time)
        return fitted.part(block.channels_in, block.channels_out)

    def _spans(self, block: Block, tile: Tile, which: str) -> tuple[slice, slice, slice]:
        """A tile's span "read" or "keep" in the image by Z, Y and X, cut off at its end."""
        spans = []
        for axis in "ZYX":
            if axis not in tile.spans:
                spans.append(block.z)
                continue
            span: slice = getattr(tile.spans[axis], which)
            spans.append(slice(span.start, min(span.stop, self._source.info.sizes[axis])))
        return spans[0], spans[1], spans[2]

    def _raw(self, pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        """Raw pixels (CZYX) as they stand beside the result: projected as people do it where the
        network projects."""
        return np.asarray(pixels.max(axis=1, keepdims=True)) if self._spec.projects else pixels

    def _read(self, block: Block, place: tuple[slice, ...]) -> NDArray[np.generic]:
        """Pixels of the block's channels (CZYX)."""
        channels = self._plan.channels[block.channels_in]
        first = channels[0]
        if channels == tuple(range(first, first + len(channels))):
            parts = [slice(first, first + len(channels))]
        else:
            parts = [slice(channel, channel + 1) for channel in channels]
        sample, time = block.sample, block.time
        outer = slice(sample, sample + 1), slice(time, time + 1)
        read = [self._source.read((*outer, part, *place))[0, 0] for part in parts]
        return read[0] if len(read) == 1 else np.concatenate(read)

    def _read_more(
        self, source: ImageSource, block: Block, place: tuple[slice, ...]
    ) -> NDArray[np.generic]:
        """Pixels of an image beside the first one (CZYX), which may be the same for all of its
        samples and frames."""
        sizes = source.info.sizes
        sample = min(block.sample, sizes.get("S", 1) - 1)
        time = min(block.time, sizes.get("T", 1) - 1)
        channels = slice(0, sizes.get("C", 1))
        box = slice(sample, sample + 1), slice(time, time + 1), channels, *place
        return np.asarray(source.read(box)[0, 0])

    def _place(self, work: Work) -> dict[str, slice]:
        """Where in the result of the whole image that lies what a tile keeps."""
        return {
            "S": slice(work.block.sample, work.block.sample + 1),
            "T": slice(work.block.time, work.block.time + 1),
            **{
                axis: self._in_result(axis, kept)
                for axis, kept in zip("ZYX", work.keep, strict=True)
            },
        }

    def _sizes_of_result(self, work: Work) -> list[int]:
        """Of Z, Y and X."""
        place = self._place(work)
        return [place[axis].stop - place[axis].start for axis in "ZYX"]

    def _in_result(self, axis: str, span: slice) -> slice:
        return self._spec.result_span(axis, span, self._source.info.sizes.get(axis, 1))

    def _write(
        self, work: Work, channels: slice, pixels: NDArray[np.generic], sink: ImageSink
    ) -> None:
        kept = self._place(work)
        starts = {axis: span.start for axis, span in self._plan.window.items()} | {
            axis: self._in_result(axis, self._plan.window[axis]).start for axis in "ZYX"
        }
        place = {axis: counted_from(span, starts[axis]) for axis, span in kept.items()}
        box = tuple(place.get(axis, channels) for axis in CANONICAL)
        sink.write(box, pixels[np.newaxis, np.newaxis])


def _past_network(
    scale: Scale, raw: NDArray[np.generic], result: NDArray[np.generic]
) -> NDArray[np.generic]:
    """Raw pixels in the result's grey levels and type; numbers that are not finite stay, as
    integers 0 and the ends."""
    whole = raw.dtype.kind == "f" and result.dtype.kind == "u"
    return scale_back(scale, np.nan_to_num(raw) if whole else raw, result)


def _put_back(raw: NDArray[np.generic], restored: NDArray[np.generic]) -> None:
    """Give pixels that are not finite back to the result; where its channels are not the raw
    ones, they are lost in all."""
    lost = ~np.isfinite(raw.astype(np.float32, copy=False))
    if len(raw) == len(restored):
        restored[lost] = _past_network(UNCHANGED, raw[lost], restored[lost])
    else:
        restored[:, lost.any(axis=0)] = np.nan if restored.dtype.kind == "f" else 0


def _padded(tensor: NDArray[np.float32], tile: Tile) -> NDArray[np.float32]:
    """A tensor (CZYX) continued at the image's far end to the size of its tile."""
    missing = [
        (0, tile.shape[axis] - size if axis in tile.spans else 0)
        for axis, size in BLOCK.sizes(tensor.shape).items()
    ]
    return np.pad(tensor, missing, mode="reflect") if np.any(missing) else tensor
