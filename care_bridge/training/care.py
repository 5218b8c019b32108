"""The task "care": restore a degraded image, learned from pairs (Weigert et al. 2018)."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from torch.nn.functional import l1_loss, mse_loss

from care_bridge.errors import TrainingError
from care_bridge.training.checkpoint import Example, build_network
from care_bridge.training.config import TrainConfig
from care_bridge.training.pairs import find_pairs, split_pairs
from care_bridge.training.patches import Foreground, PatchSource
from care_bridge.training.scales import Scaling, measure_intensities
from care_bridge.training.stacks import Stack, network_axes, open_stacks
from care_bridge.training.task import Task

log = logging.getLogger(__name__)

_LOSSES = {"mae": l1_loss, "mse": mse_loss}
_EXAMPLE_SIZES = {"Z": 64, "Y": 256, "X": 256}
_TRAINING, _VALIDATION, _EXAMPLE = range(3)


def prepare(data: Path, config: TrainConfig, scratch: Path) -> Task:
    """The pairs in `data` made ready for the trainer. Pixels that cannot be mapped from their files
    are kept in the folder `scratch` while training goes on. TrainingError where the data cannot
    be trained on."""
    pairs = find_pairs(data, config.data)
    axes = network_axes(pairs, config.network.axes, config.data.axes)
    config = config.resolved(axes)
    patch = config.patches.size or ()
    stacks = {
        pair: open_stacks(pair, axes, patch, config.normalization, config.data.axes, scratch)
        for pair in pairs
    }
    _check_channels([stack for opened in stacks.values() for stack in opened])
    for_training, for_validation = split_pairs(pairs, config.data.validation, config.seed)
    training = [stack for pair in for_training for stack in stacks[pair]]
    validation = [stack for pair in for_validation for stack in stacks[pair]]
    if for_training == for_validation:
        training, validation = _split_area(training, config.data.validation, patch)
        log.info("one pair only: its right end is kept for validation; more pairs train better")
    log.info(
        "%d images to train on, %d for validation, %s, patches of %s",
        len(training),
        len(validation),
        axes,
        " x ".join(map(str, patch)),
    )
    channels_in, channels_out = len(training[0].source), len(training[0].target)
    if config.normalization.target == "source" and channels_in != channels_out:
        raise TrainingError(
            f"the sources have {channels_in} channels, the targets {channels_out}: "
            "normalization.target=source needs as many, use own"
        )
    intensities = measure_intensities(training)

    def patches(chosen: Sequence[Stack], number: int, *, vary: bool) -> PatchSource:
        return PatchSource.of(
            chosen,
            patch,
            config.patches.background,
            scaling=Scaling(config.normalization, intensities, vary=vary),
            batch_size=config.training.batch_size,
            augment=vary and config.patches.augment,
            seed=(config.seed, number),
        )

    held_out = patches(validation, _VALIDATION, vary=False)
    return Task(
        config=config,
        channels_in=channels_in,
        channels_out=channels_out,
        intensities=intensities,
        network=build_network(config, channels_in, channels_out),
        loss=_LOSSES[config.training.loss],
        batch=patches(training, _TRAINING, vary=True).batch,
        validation=tuple(held_out.batch(k) for k in range(config.patches.validation_batches)),
        example=_example(held_out.foregrounds[0], axes, config.seed),
        images={
            "training": sorted({stack.name for stack in training}),
            "validation": sorted({stack.name for stack in validation}),
        },
    )


def _check_channels(stacks: Sequence[Stack]) -> None:
    first = stacks[0]
    for stack in stacks:
        for side, ours, others in (
            ("source", stack.source, first.source),
            ("target", stack.target, first.target),
        ):
            if len(ours) != len(others):
                raise TrainingError(
                    f"the {side} {stack.name} has {len(ours)} channels, {first.name} has "
                    f"{len(others)}: all images need the same channels"
                )


def _split_area(
    stacks: Sequence[Stack], share: float, patch: tuple[int, ...]
) -> tuple[list[Stack], list[Stack]]:
    """The left and the right part of every stack: the right one takes `share`, at least a patch."""
    width = stacks[0].shape[-1]
    kept = max(patch[-1], round(share * width))
    if width - kept < patch[-1]:
        raise TrainingError(
            f"a single pair of {width} pixels along X cannot be split into patches of {patch[-1]} "
            "for training and validation: add a second pair, or set a smaller patches.size"
        )
    whole = (slice(None),) * (len(patch) - 1)
    left, right = (*whole, slice(0, width - kept)), (*whole, slice(width - kept, width))
    return [stack.crop(left) for stack in stacks], [stack.crop(right) for stack in stacks]


def _example(foreground: Foreground, axes: str, seed: int) -> Example:
    """A part of a stack with something to see in it, at most 64 x 256 x 256."""
    stack = foreground.stack
    patch = foreground.draw(np.random.default_rng([seed, _EXAMPLE]))
    area = []
    for axis, size, part in zip(axes, stack.shape, patch, strict=True):
        extent = min(size, _EXAMPLE_SIZES[axis])
        middle = (part.start + part.stop) // 2
        start = min(max(middle - extent // 2, 0), size - extent)
        area.append(slice(start, start + extent))
    part_of_it = stack.crop(tuple(area))
    return Example(np.array(part_of_it.source), np.array(part_of_it.target))
