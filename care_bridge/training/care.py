"""The tasks that learn from pairs of images: "care" from a degraded and a good one (Weigert et al.
2018), "n2n" from two noisy ones of the same scene (Lehtinen et al. 2018)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from care_bridge.training.checkpoint import Example, build_network
from care_bridge.training.config import TrainConfig
from care_bridge.training.dataset import EXAMPLE, open_dataset
from care_bridge.training.losses import LOSSES
from care_bridge.training.patches import Foreground
from care_bridge.training.task import Task

_EXAMPLE_SIZES = {"Z": 64, "Y": 256, "X": 256}


def prepare(data: Path, config: TrainConfig, scratch: Path) -> Task:
    """The pairs in `data` made ready for the trainer. Their pixels are kept in the folder `scratch`
    while training goes on. TrainingError where the data cannot be trained on."""
    dataset = open_dataset(data, config, scratch)
    config = dataset.config
    first = dataset.training[0]
    channels_in, channels_out = len(first.source), len(first.target)
    held_out = dataset.validation_patches()
    return Task(
        config=config,
        channels_in=channels_in,
        channels_out=channels_out,
        intensities=dataset.intensities,
        network=build_network(config, channels_in, channels_out),
        loss=LOSSES[config.training.loss],
        batch=dataset.training_patches().batch,
        validation=tuple(held_out.batch(k) for k in range(config.patches.validation_batches)),
        example=_example(held_out.foregrounds[0], config.network.axes, config.seed),
        images={
            "training": sorted({stack.name for stack in dataset.training}),
            "validation": sorted({stack.name for stack in dataset.validation}),
        },
        files={key: value for pair in dataset.pairs for key, value in pair.fingerprints().items()},
    )


def _example(foreground: Foreground, axes: str, seed: int) -> Example:
    """A part of a stack with something to see in it, at most 64 x 256 x 256."""
    stack = foreground.stack
    patch = foreground.draw(np.random.default_rng([seed, EXAMPLE]))
    area = []
    for axis, size, part in zip(axes, stack.shape, patch, strict=True):
        extent = min(size, _EXAMPLE_SIZES[axis])
        middle = (part.start + part.stop) // 2
        start = min(max(middle - extent // 2, 0), size - extent)
        area.append(slice(start, start + extent))
    part_of_it = stack.crop(tuple(area))
    return Example(np.array(part_of_it.source), np.array(part_of_it.target))
