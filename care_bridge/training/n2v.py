"""The tasks that learn from noisy images alone: "n2v", "n2v2" and "structn2v".

The network sees a patch in which some pixels are replaced (masking.py) and guesses what they were.
Noise that is independent from pixel to pixel cannot be guessed, so it learns the signal.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from care_bridge.training.config import TrainConfig
from care_bridge.training.dataset import open_dataset
from care_bridge.training.losses import LOSSES, over_known
from care_bridge.training.masking import Line, Masking
from care_bridge.training.patches import Batch, PatchSource
from care_bridge.training.task import Task, make_task

_MASKS = 1


def prepare(data: Path, config: TrainConfig, scratch: Path) -> Task:
    """The images in `data` made ready for the trainer. Their pixels are kept in the folder
    `scratch` while training goes on. TrainingError where the data cannot be trained on."""
    dataset = open_dataset(data, config, scratch)
    masking = masking_of(dataset.config)
    held_out = dataset.validation_patches()
    return make_task(
        dataset,
        over_known(LOSSES[config.training.loss]),
        batch=hiding(dataset.training_patches(), masking),
        validation=hiding(held_out, masking),
        example=held_out.foregrounds[0],
        whole_targets=False,
    )


def masking_of(config: TrainConfig) -> Masking:
    """What a resolved configuration hides."""
    told = config.n2v
    line = None
    if config.task == "structn2v":
        axes = config.network.axes
        line = Line(axes.index(told.axis) - len(axes), told.span)
    return Masking(told.masked_percentage, told.radius, config.task == "n2v2", line)


def hiding(patches: PatchSource, masking: Masking) -> Callable[[int], Batch]:
    """Batch k of `patches` with pixels hidden; the target holds them, and NaN elsewhere."""

    def batch(k: int) -> Batch:
        images, _ = patches.batch(k)
        generators = [np.random.default_rng([*patches.seed, n, _MASKS]) for n in patches.numbers(k)]
        pairs = [masking.hide(*each) for each in zip(images, generators, strict=True)]
        shown, hidden = zip(*pairs, strict=True)
        return np.stack(shown), np.stack(hidden)

    return batch
