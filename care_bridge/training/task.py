"""What a task hands to the trainer."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from care_bridge.training.checkpoint import Example
from care_bridge.training.config import TrainConfig
from care_bridge.training.patches import Batch
from care_bridge.training.scales import Intensities


@dataclass(frozen=True)
class Task:
    """Everything the trainer needs to know of what is learned.

    config: resolved. batch: batch k, a pure function of k. validation: the batches that are
    validated on. loss: of (output, target). example, images: kept in the run (checkpoint.py).
    files: a hash of every file by side and name, so that a resumed run knows its images again.
    """

    config: TrainConfig
    channels_in: int
    channels_out: int
    intensities: Intensities
    network: nn.Module
    loss: Callable[[Tensor, Tensor], Tensor]
    batch: Callable[[int], Batch]
    validation: tuple[Batch, ...]
    example: Example
    images: Mapping[str, list[str]]
    files: Mapping[str, str]
