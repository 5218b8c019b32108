"""The processing steps of others' packages, fitted to an image.

Statistics are those of the whole image, before any step and any tile, so tiled equals whole; those
of a network's output are taken by running it over the whole image first.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from care_bridge.errors import ConfigError
from care_bridge.images.source import ImageSource
from care_bridge.package.spec import ModelSpec
from care_bridge.package.steps import Operations, Step
from care_bridge.runtime.formulas import Around, Numbers, formulas_of
from care_bridge.runtime.image_levels import channel_blocks
from care_bridge.runtime.progress import Progress
from care_bridge.runtime.scaling import ImageScales
from care_bridge.runtime.statistics import Part, Wanted, measured, readings, wanted_of

# By what is wanted, and the number of the block of channels that the network sees together.
Dataset = Mapping[tuple[Wanted, int], tuple[Numbers, Numbers]]
# The network's output for a sample, some frames of it and a block of channels.
Outputs = Callable[[int, slice, int], Iterable[Part]]

_FLOAT32 = np.dtype(np.float32)


@dataclass(frozen=True)
class Fitting:
    """The steps of a model's Operations, to be fitted to the images `sources`, one for each input
    of the network. channels: those of the first image that are restored. dataset: statistics of
    all images of a batch; what it does not hold is taken from this image alone."""

    spec: ModelSpec
    sources: tuple[ImageSource, ...]
    channels: tuple[int, ...]
    per_frame: bool
    dataset: Dataset = field(default_factory=dict)

    @property
    def operations(self) -> Operations:
        """The steps."""
        assert isinstance(self.spec.normalization, Operations)
        return self.spec.normalization

    @property
    def needs_output(self) -> bool:
        """Whether the network's output has to be known whole."""
        ours = self.spec.output.id
        return any(wanted.tensor == ours for wanted in _wanted(self.operations.output, ours))

    def fitted(
        self,
        scales: ImageScales,
        outputs: Outputs | None = None,
        progress: Progress | None = None,
    ) -> ImageScales:
        """`scales` with the steps' formulas; those after the network only where their statistics
        can be had. progress: called with the pixels read and those to be read."""
        told = _Told(progress, self._pixels_to_read)
        samples = tuple(
            tuple(
                dataclasses.replace(frame, around=tuple(self._around(s, times, outputs, told)))
                for frame, times in zip(frames, self._times(len(frames)), strict=True)
            )
            for s, frames in enumerate(scales.samples)
        )
        return dataclasses.replace(scales, samples=samples)

    def block_channels(self, block: int) -> tuple[tuple[int, ...], ...]:
        """Which channels of each image the network sees together."""
        own = self.channels if self.spec.channels_in > 1 else (self.channels[block],)
        return own, *(tuple(range(source.info.sizes.get("C", 1))) for source in self.sources[1:])

    @property
    def blocks(self) -> int:
        """How many times it sees some."""
        return len(self.channels) if self.spec.channels_in == 1 else 1

    def _times(self, frames: int) -> list[slice]:
        count = self.sources[0].info.sizes.get("T", 1)
        return [slice(t, t + 1) for t in range(count)] if frames > 1 else [slice(0, count)]

    def _around(
        self, sample: int, times: slice, outputs: Outputs | None, told: _Told
    ) -> Iterator[Around]:
        for block in range(self.blocks):
            values = _Values(self, sample, times, block, outputs, told)
            tensors = [tensor.id for tensor in self.spec.input_tensors]
            before = tuple(
                formulas_of(steps, tensor, values)
                for steps, tensor in zip(self.operations.inputs, tensors, strict=True)
            )
            known = outputs is not None or not self.needs_output
            after = self.operations.output if known else ()
            yield Around(before, formulas_of(after, self.spec.output.id, values))

    @property
    def _pixels_to_read(self) -> int:
        total = 0
        sizes = [math.prod(source.info.shape) for source in self.sources]
        for place, (steps, tensor) in enumerate(
            zip(self.operations.inputs, self.spec.input_tensors, strict=True)
        ):
            for wanted in _wanted(steps, tensor.id):
                total += sizes[place] * readings(wanted, self.sources[place].info.dtype)
        return total


class _Told:
    """Pixels that were read, counted for the progress."""

    def __init__(self, progress: Progress | None, total: int) -> None:
        self._progress = progress
        self._total = total
        self._done = 0

    def of(self, parts: Iterable[Part]) -> Iterator[Part]:
        """The same parts; each is told when it was used."""
        for part in parts:
            yield part
            self._done = min(self._done + part.pixels.size, self._total)
            if self._progress:
                self._progress(self._done, self._total)


@dataclass
class _Values:
    """The statistics of one sample, some frames and a block of channels, each taken once."""

    fitting: Fitting
    sample: int
    times: slice
    block: int
    outputs: Outputs | None
    told: _Told
    known: dict[Wanted, tuple[Numbers, Numbers]] = field(default_factory=dict)

    def __call__(self, wanted: Wanted) -> tuple[Numbers, Numbers]:
        of_all = self.fitting.dataset.get((wanted, self.block))
        if of_all is not None:
            return of_all
        if wanted not in self.known:
            self.known[wanted] = self._measured(wanted)
        return self.known[wanted]

    def _measured(self, wanted: Wanted) -> tuple[Numbers, Numbers]:
        spec, sample, times = self.fitting.spec, self.sample, self.times
        if wanted.tensor == spec.output.id:
            outputs = self.outputs
            assert outputs is not None
            return measured(
                lambda: outputs(sample, times, self.block),
                wanted,
                spec.channels_out,
                _depth_of_output(spec, self.fitting.sources[0]),
                _FLOAT32,
            )
        place = input_place(spec, wanted.tensor)
        source, channels = self.fitting.sources[place], self.fitting.block_channels(self.block)
        info = source.info
        # An image beside the first one may be the same for all of its samples and frames.
        sample = min(sample, info.sizes.get("S", 1) - 1)
        times = times if info.sizes.get("T", 1) > 1 else slice(0, 1)
        return measured(
            lambda: self.told.of(parts_of(source, sample, times, channels[place])),
            wanted,
            len(channels[place]),
            info.sizes.get("Z", 1),
            info.dtype,
        )


def dataset_values(fittings: Sequence[Fitting]) -> Dataset:
    """The statistics over all images that the steps before the network name, of the images of all
    `fittings`, which are of one model. ConfigError where these have other channels."""
    first = fittings[0]
    spec = first.spec
    if len({fitting.blocks for fitting in fittings}) > 1:
        raise ConfigError(
            f"the model {spec.name} takes statistics over all images of a command, and these have "
            "other numbers of channels: restore them in several commands"
        )
    values: dict[tuple[Wanted, int], tuple[Numbers, Numbers]] = {}
    for steps, tensor in zip(first.operations.inputs, spec.input_tensors, strict=True):
        for wanted in _wanted(steps, tensor.id):
            place = input_place(spec, wanted.tensor)
            for block in range(first.blocks if wanted.dataset else 0):
                values[wanted, block] = measured(
                    lambda block=block, place=place: itertools.chain.from_iterable(  # type: ignore[misc]
                        _all_parts(fitting, block, place) for fitting in fittings
                    ),
                    wanted,
                    len(first.block_channels(block)[place]),
                    first.sources[place].info.sizes.get("Z", 1),
                    first.sources[place].info.dtype,
                )
    return values


def wants_dataset(normalization: object) -> bool:
    """Whether some step names statistics over all images."""
    return isinstance(normalization, Operations) and any(
        step.kwargs.get("dataset") for steps in normalization.inputs for step in steps
    )


def input_place(spec: ModelSpec, tensor: str) -> int:
    """The number of the input with this id."""
    return [each.id for each in spec.input_tensors].index(tensor)


def parts_of(
    source: ImageSource, sample: int, times: slice, channels: Sequence[int]
) -> Iterator[Part]:
    """The pixels of some channels, numbered as they are in `channels`."""
    samples = slice(sample, sample + 1)
    for position, box, pixels in channel_blocks(source, samples, times, channels):
        yield Part(position, box[3].start, pixels[np.newaxis])


def _all_parts(fitting: Fitting, block: int, place: int) -> Iterator[Part]:
    source = fitting.sources[place]
    sizes: Mapping[str, Any] = source.info.sizes
    for sample in range(sizes.get("S", 1)):
        yield from parts_of(
            source, sample, slice(0, sizes.get("T", 1)), fitting.block_channels(block)[place]
        )


def _wanted(steps: Iterable[Step], tensor: str) -> Iterator[Wanted]:
    for step in steps:
        yield from wanted_of(step, tensor)


def _depth_of_output(spec: ModelSpec, source: ImageSource) -> int:
    if spec.projects:
        return 1
    size = source.info.sizes.get("Z", 1)
    return spec.placement["Z"].size(size) if "Z" in spec.placement else size
