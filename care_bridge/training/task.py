"""What a task hands to the trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np
from torch import nn

from care_bridge.training.checkpoint import Example, build_network
from care_bridge.training.config import TrainConfig
from care_bridge.training.dataset import EXAMPLE, Dataset
from care_bridge.training.image_noise import noise_range
from care_bridge.training.layouts.fields import fingerprints
from care_bridge.training.losses import Loss
from care_bridge.training.memory import check_memory
from care_bridge.training.patches import Batch, Foreground
from care_bridge.training.pixel_sizes import PixelSizes, pixel_sizes
from care_bridge.training.scales import Intensities

# Batches of one member of an ensemble before those of the next.
_BATCHES_OF_A_MEMBER = 1 << 32

_EXAMPLE_SIZES = {"Z": 64, "Y": 256, "X": 256}


@dataclass(frozen=True)
class Task:
    """Everything the trainer needs to know of what is learned.

    config: resolved. batch: batch k, a pure function of k. validation: the batches that are
    validated on. loss: of (output, target). whole_targets: the target is known at every pixel, so
    that outputs can be compared with it. example, images: kept in the run (checkpoint.py).
    files: a hash of every file by side and name, so that a resumed run knows its images again.
    pixel_size, noise: of the sources (pixel_sizes.py, image_noise.py).
    """

    config: TrainConfig
    channels_in: int
    channels_out: int
    intensities: Intensities
    network: nn.Module
    loss: Loss
    batch: Callable[[int], Batch]
    validation: tuple[Batch, ...]
    whole_targets: bool
    example: Example
    images: Mapping[str, list[str]]
    files: Mapping[str, str]
    pixel_size: PixelSizes
    noise: tuple[float, float]

    def member(self, number: int) -> Task:
        """The task of a member of an ensemble, counted from 0: the first one's is this one; the
        others start from other weights and see other patches of the same images, all of them by
        the run's seed."""
        if number == 0:
            return self
        first = number * _BATCHES_OF_A_MEMBER
        (seed,) = np.random.SeedSequence([self.config.seed, number]).generate_state(1)
        config = self.config.model_copy(update={"seed": int(seed)})
        return replace(
            self,
            network=build_network(config, self.channels_in, self.channels_out),
            batch=lambda k: self.batch(first + k),
        )


def make_task(
    dataset: Dataset,
    loss: Loss,
    *,
    batch: Callable[[int], Batch],
    validation: Callable[[int], Batch],
    example: Foreground,
    whole_targets: bool,
) -> Task:
    """The task of learning from `dataset`: batch and validation give batch k of each part, the
    example is taken from the stack of `example`. TrainingError where the network is larger than the
    memory."""
    config = dataset.config
    first = dataset.training[0]
    channels_in, channels_out = len(first.source), len(first.target)
    check_memory(config, channels_in, channels_out)
    return Task(
        config=config,
        channels_in=channels_in,
        channels_out=channels_out,
        intensities=dataset.intensities,
        network=build_network(config, channels_in, channels_out),
        loss=loss,
        batch=batch,
        validation=tuple(validation(k) for k in range(config.patches.validation_batches)),
        whole_targets=whole_targets,
        example=_example(example, config.network.axes, config.seed),
        images={
            "training": sorted({stack.name for stack in dataset.training}),
            "validation": sorted({stack.name for stack in dataset.validation}),
        },
        files=fingerprints(dataset.pairing),
        pixel_size=pixel_sizes(dataset.pairing),
        noise=noise_range(dataset),
    )


def _example(foreground: Foreground, axes: str, seed: int) -> Example:
    """A part of a stack with something to see in it, at most 64 x 256 x 256."""
    stack = foreground.stack
    patch = foreground.draw(np.random.default_rng([seed, EXAMPLE]))
    area = []
    for axis, size, part in zip(axes[-len(patch) :], stack.shape, patch, strict=True):
        extent = min(size, _EXAMPLE_SIZES[axis])
        middle = (part.start + part.stop) // 2
        start = min(max(middle - extent // 2, 0), size - extent)
        area.append(slice(start, start + extent))
    part_of_it = stack.crop(tuple(area))
    return Example(part_of_it.source.whole(), part_of_it.target.whole())
