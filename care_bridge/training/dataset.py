"""The images of DATA, checked and split into those to train on and those to validate on.

No torch here: whoever prepares data sees exactly what training sees.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from care_bridge.errors import AxesError, CareBridgeError, ImageError, TrainingError
from care_bridge.training.config import TrainConfig
from care_bridge.training.image_statistics import hot_pixel
from care_bridge.training.layouts.fields import Field, Pairing, split_fields
from care_bridge.training.layouts.found import find_fields
from care_bridge.training.patches import PatchSource
from care_bridge.training.pixels import OpenFiles
from care_bridge.training.sampling import with_zoom
from care_bridge.training.scales import Intensities, Scaling, measure_intensities
from care_bridge.training.stacks import Opener, Stack, network_axes
from care_bridge.training.views import open_view

log = logging.getLogger(__name__)

TRAINING, VALIDATION, EXAMPLE = range(3)
"""What is drawn from a run's seed, each with a stream of its own."""

# Of single images, for which they can be left out.
_FAULTS = (AxesError, ImageError, TrainingError)


@dataclass(frozen=True)
class Dataset:
    """What a run is trained and validated on.

    config: resolved. pairing: what is paired with what. training, validation: a stack a frame.
    intensities: of the training stacks. said: the layout and the split, in a line. refused: what is
    wrong with images that were left out.
    """

    config: TrainConfig
    pairing: Pairing
    training: tuple[Stack, ...]
    validation: tuple[Stack, ...]
    intensities: Intensities
    said: str
    refused: tuple[str, ...] = ()

    def training_patches(self) -> PatchSource:
        """Patches as training draws them: varied percentiles, flips and turns."""
        return self._patches("training", TRAINING, vary=True)

    def validation_patches(self) -> PatchSource:
        """Patches that validation looks at, scaled as in prediction."""
        return self._patches("validation", VALIDATION, vary=False)

    def _patches(self, part: str, number: int, *, vary: bool) -> PatchSource:
        return PatchSource.of(
            getattr(self, part),
            self.config.patches.size or (),
            self.config.patches.background,
            part=part,
            scaling=Scaling(self.config.normalization, self.intensities, vary=vary),
            batch_size=self.config.training.batch_size,
            augment=self.config.patches.augment if vary else False,
            seed=(self.config.seed, number),
        )


@dataclass(frozen=True)
class OpenedFields:
    """Fields of view ready to be read. config: resolved. stacks: a stack a frame, by field.
    refused: what is wrong with images that were left out."""

    config: TrainConfig
    pairing: Pairing
    stacks: Mapping[Field, Sequence[Stack]]
    refused: tuple[CareBridgeError, ...]

    def of(self, fields: Sequence[Field]) -> list[Stack]:
        """The stacks of some fields, in order."""
        return [stack for field in fields for stack in self.stacks[field]]


def open_dataset(
    data: Path, config: TrainConfig, scratch: Path, *, leave_out: bool = False
) -> Dataset:
    """The images in `data`, opened and split; the other arguments and errors as in
    `open_fields`."""
    opened = open_fields(data, config, scratch, leave_out=leave_out)
    config, fields = opened.config, opened.pairing.fields
    share, patch = config.data.validation, config.patches.size or ()
    for_training, for_validation = split_fields(fields, share, config.seed)
    training, validation = opened.of(for_training), opened.of(for_validation)
    if not training:
        raise opened.refused[0]
    if for_training == for_validation:
        training, validation = _split_area(training, share, patch)
        log.info("one field of view only: its right end is for validation; more train better")
    said = _said(opened.pairing, for_validation)
    log.info("%s", said)
    log.info(
        "%d frames to train on, %d for validation, %s, patches of %s",
        len(training),
        len(validation),
        config.network.axes,
        " x ".join(map(str, patch)),
    )
    _warn_of_hot_pixels(training, config)
    return Dataset(
        config,
        opened.pairing,
        tuple(training),
        tuple(validation),
        measure_intensities(training),
        said,
        tuple(map(str, opened.refused)),
    )


def open_fields(
    data: Path, config: TrainConfig, scratch: Path, *, leave_out: bool = False
) -> OpenedFields:
    """The images in `data`. Pixels that cannot be read where they lie are kept in the folder
    `scratch`. TrainingError where the data cannot be trained on. leave_out: an image that cannot is
    left out, unless all are."""
    pairing = find_fields(data, config.data)
    first = _first_readable(pairing.fields) if leave_out else pairing.fields[0]
    told = config.network.axes != "auto"
    axes = network_axes(first.sources[0], config.network.axes)
    config = with_zoom(config.resolved(axes), first, axes)
    opener = Opener(config, axes, told, scratch, OpenFiles())
    stacks: dict[Field, list[Stack]] = {}
    refused: list[CareBridgeError] = []
    for number, field in enumerate(pairing.fields):
        opened, failed = _open_field(opener, field, number, leave_out=leave_out)
        refused += failed
        if opened:
            stacks[field] = opened
    if not stacks:
        raise refused[0]
    found = OpenedFields(config, replace(pairing, fields=tuple(stacks)), stacks, tuple(refused))
    everything = found.of(found.pairing.fields)
    _check_channels(everything, config)
    _check_slices(everything)
    return found


def _open_field(
    opener: Opener, field: Field, number: int, *, leave_out: bool
) -> tuple[list[Stack], list[CareBridgeError]]:
    """The stacks of a field, and what is wrong with images of it that are left out."""
    found: list[Stack] = []
    try:
        target = (
            opener.open(field.target, f"{number}-target", target=True) if field.target else None
        )
    except _FAULTS as error:
        if not leave_out:
            raise
        return [], [error]
    refused: list[CareBridgeError] = []
    for index, view in enumerate(field.sources):
        name = f"{number}-source{index}"
        try:
            source = opener.open(view, name, target=False)
            found += opener.stacks(source, target or source, name)
        except _FAULTS as error:
            if not leave_out:
                raise
            refused.append(error)
    return found, refused


def _warn_of_hot_pixels(training: Sequence[Stack], config: TrainConfig) -> None:
    """Of sources alone: clean targets may have bright spots on next to nothing."""
    told = {
        stack.name: hot_pixel(stack.source_statistics, config.normalization) for stack in training
    }
    hot = {name: said for name, said in told.items() if said}
    if hot:
        name, said = next(iter(hot.items()))
        log.warning(
            "%d of %d training images have pixels far out, first %s: %s; hot pixels spoil a "
            "training, replace them by the median of their neighbours (Fiji: Remove Outliers)",
            len(hot),
            len(told),
            name,
            said,
        )


def _first_readable(fields: Sequence[Field]) -> Field:
    """The first field whose files can be read; the first field where there is none."""
    for field in fields:
        try:
            for view in (*field.sources, *([field.target] if field.target else [])):
                with open_view(view):
                    pass
        except _FAULTS:
            continue
        return field
    return fields[0]


def _said(pairing: Pairing, validation: Sequence[Field]) -> str:
    """E.g. "12 pairs: source/ -> GT/, 2 for validation"."""
    pairs = sum(len(field.sources) for field in pairing.fields)
    kept = sum(len(field.sources) for field in validation)
    what = "pair" if pairing.fields[0].target else "image"
    rest = f"{kept} for validation" if len(pairing.fields) > 1 else "a part of it for validation"
    return f"{pairs} {what}{'s' * (pairs > 1)}: {pairing.said}, {rest}"


def _check_channels(stacks: Sequence[Stack], config: TrainConfig) -> None:
    first = stacks[0]
    channels_in, channels_out = len(first.source), len(first.target)
    if config.normalization.target == "source" and channels_in != channels_out:
        raise TrainingError(
            f"the sources have {channels_in} channels, the targets {channels_out}: "
            "normalization.target=source needs as many, use own"
        )
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
        flat = stack.source.ndim > stack.target.ndim
        if flat and stack.source.shape[1] != first.source.shape[1]:
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
            f"a single field of view of {width} pixels along X cannot be split into patches of "
            f"{patch[-1]} for training and validation: add a second one, or set a smaller "
            "patches.size"
        )
    whole = (slice(None),) * (len(patch) - 1)
    left, right = (*whole, slice(0, width - kept)), (*whole, slice(width - kept, width))
    return [stack.crop(left) for stack in stacks], [stack.crop(right) for stack in stacks]
