"""The images in a folder, checked and split into those to train on and those to validate on.

No torch here: whoever prepares data sees exactly what training sees.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from care_bridge.errors import CareBridgeError, ImageError, TrainingError
from care_bridge.images import open_source
from care_bridge.training.config import TrainConfig
from care_bridge.training.pairs import Pair, find_pairs, split_pairs
from care_bridge.training.patches import PatchSource
from care_bridge.training.sampling import with_zoom
from care_bridge.training.scales import Intensities, Scaling, measure_intensities
from care_bridge.training.stacks import Stack, network_axes, open_stacks

log = logging.getLogger(__name__)

TRAINING, VALIDATION, EXAMPLE = range(3)
"""What is drawn from a run's seed, each with a stream of its own."""


@dataclass(frozen=True)
class Dataset:
    """What a run is trained and validated on.

    config: resolved. pairs: all of them, in order. training, validation: a stack a frame.
    intensities: of the training stacks. refused: what is wrong with pairs that were left out.
    """

    config: TrainConfig
    pairs: tuple[Pair, ...]
    training: tuple[Stack, ...]
    validation: tuple[Stack, ...]
    intensities: Intensities
    refused: tuple[str, ...] = ()

    def training_patches(self) -> PatchSource:
        """Patches as training draws them: varied percentiles, flips and turns."""
        return self._patches(self.training, TRAINING, vary=True)

    def validation_patches(self) -> PatchSource:
        """Patches that validation looks at, scaled as in prediction."""
        return self._patches(self.validation, VALIDATION, vary=False)

    def _patches(self, stacks: Sequence[Stack], number: int, *, vary: bool) -> PatchSource:
        return PatchSource.of(
            stacks,
            self.config.patches.size or (),
            self.config.patches.background,
            scaling=Scaling(self.config.normalization, self.intensities, vary=vary),
            batch_size=self.config.training.batch_size,
            augment=self.config.patches.augment if vary else False,
            seed=(self.config.seed, number),
        )


def open_dataset(
    data: Path, config: TrainConfig, scratch: Path, *, leave_out: bool = False
) -> Dataset:
    """The pairs in `data`, opened and split. Their pixels are kept in the folder `scratch`.
    TrainingError where the data cannot be trained on. leave_out: a pair that cannot is left out,
    unless all are."""
    pairs = find_pairs(data, config.data)
    first = _first_readable(pairs, config.data.axes) if leave_out else pairs[0]
    axes = network_axes((first,), config.network.axes, config.data.axes)
    config = with_zoom(config.resolved(axes), first, axes)
    zoom = config.upsampling.zoom
    patch = config.patches.size or ()
    stacks: dict[Pair, list[Stack]] = {}
    refused: list[CareBridgeError] = []
    for pair in pairs:
        try:
            opened = open_stacks(
                pair, axes, patch, config.normalization, config.data.axes, scratch, zoom
            )
        except (TrainingError, ImageError) as error:
            if not leave_out:
                raise
            refused.append(error)
        else:
            stacks[pair] = opened
    if not stacks:
        raise refused[0]
    pairs = tuple(stacks)
    everything = [stack for opened in stacks.values() for stack in opened]
    _check_channels(everything)
    _check_slices(everything)
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
    return Dataset(
        config, pairs, tuple(training), tuple(validation), intensities, tuple(map(str, refused))
    )


def _first_readable(pairs: Sequence[Pair], file_axes: str | None) -> Pair:
    """The first pair whose files can be read; the first pair where there is none."""
    for pair in pairs:
        try:
            for path in (pair.source, pair.target):
                with open_source(path, file_axes):
                    pass
        except ImageError:
            continue
        return pair
    return pairs[0]


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


def _check_slices(stacks: Sequence[Stack]) -> None:
    """Stacks that are projected go into a batch whole along Z."""
    first = stacks[0]
    for stack in stacks:
        projected = stack.source.ndim > stack.target.ndim
        if projected and stack.source.shape[1] != first.source.shape[1]:
            raise TrainingError(
                f"the source {stack.name} has {stack.source.shape[1]} slices, {first.name} has "
                f"{first.source.shape[1]}: stacks that are projected are never cut along Z, so "
                "train on stacks with as many slices (the network then takes any number)"
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
