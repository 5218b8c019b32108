"""The tasks that learn from pairs of images: "care" from a degraded and a good one (Weigert et al.
2018), "n2n" from two noisy ones of the same scene (Lehtinen et al. 2018)."""

from __future__ import annotations

from pathlib import Path

from care_bridge.errors import TrainingError
from care_bridge.training.config import TrainConfig
from care_bridge.training.copies import said_of_copies
from care_bridge.training.dataset import open_dataset
from care_bridge.training.losses import LOSSES
from care_bridge.training.task import Task, make_task


def prepare(data: Path, config: TrainConfig, scratch: Path) -> Task:
    """The pairs in `data` made ready for the trainer. Their pixels are kept in the folder `scratch`
    while training goes on. TrainingError where the data cannot be trained on."""
    dataset = open_dataset(data, config, scratch)
    copies = said_of_copies(dataset)
    if copies:
        raise TrainingError(copies)
    held_out = dataset.validation_patches()
    return make_task(
        dataset,
        LOSSES[config.training.loss],
        batch=dataset.training_patches().batch,
        validation=held_out.batch,
        example=held_out.foregrounds[0],
        whole_targets=True,
    )
