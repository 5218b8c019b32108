"""A small training, and a signal in the middle of it."""

from __future__ import annotations

import os
from dataclasses import replace

import torch

from care_bridge.training.task import Task

TINY = (
    "patches.size=[16,16]",
    "patches.validation_batches=2",
    "network.n_first=4",
    "network.depth=1",
    "network.kernel=3",
    "training.batch_size=2",
    "training.steps=30",
    "training.steps_per_epoch=10",
    "training.device=cpu",
)


def sending(task: Task, number: int, step: int) -> Task:
    """The task, whose loss sends this process a signal during the given step."""
    calls = 0

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        nonlocal calls
        calls += torch.is_grad_enabled()
        if calls == step and torch.is_grad_enabled():
            os.kill(os.getpid(), number)
        return task.loss(output, target)

    return replace(task, loss=loss)
