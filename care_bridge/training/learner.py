"""A network, its optimizer and its learning rate: all that a step of a training changes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor
from torch.optim import Adam
from torch.optim.lr_scheduler import ReduceLROnPlateau

from care_bridge.training.patches import Batch
from care_bridge.training.task import Task


class Learner:
    """A task's network on a fabric's devices. network: as the fabric runs it."""

    def __init__(self, task: Task, fabric: Fabric) -> None:
        self._task = task
        self._fabric = fabric
        self._config = config = task.config.training
        torch.backends.cudnn.allow_tf32 = False  # float32 means float32
        torch.use_deterministic_algorithms(config.deterministic, warn_only=True)
        layouts = {4: torch.channels_last, 5: torch.channels_last_3d}
        self._layout = torch.contiguous_format
        if config.channels_last:
            self._layout = layouts[task.validation[0][0].ndim]
            task.network.to(memory_format=self._layout)
        self.network, self._optimizer = fabric.setup(
            task.network, Adam(task.network.parameters(), lr=config.learning_rate)
        )
        self._plateau = ReduceLROnPlateau(
            self._optimizer,
            mode="max",
            factor=config.plateau_factor,
            patience=config.plateau_patience,
            threshold=0.0,
        )

    @property
    def rate(self) -> float:
        """The learning rate of the last step."""
        return float(self._optimizer.param_groups[0]["lr"])

    def learn(self, batch: Batch, step: int) -> Tensor:
        """Make step `step`, counted from 0. Returns its loss, which may be infinite or NaN."""
        if self._config.schedule == "cosine":
            turn = math.pi * step / self._config.steps
            self._optimizer.param_groups[0]["lr"] = (
                self._config.learning_rate * (1 + math.cos(turn)) / 2
            )
        self.network.train()
        source, target = self.tensors(batch)
        loss = self._task.loss(self.network(source), target)
        self._optimizer.zero_grad()
        self._fabric.backward(loss)
        if self._config.clip_gradients is not None:
            self._fabric.clip_gradients(
                self.network,
                self._optimizer,
                max_norm=self._config.clip_gradients,
                error_if_nonfinite=False,  # the loss tells
            )
        self._optimizer.step()
        return loss.detach()

    def adapt(self, score: float) -> None:
        """Lower the learning rate where the schedule goes by each epoch's score, the higher the
        better."""
        if self._config.schedule == "plateau":
            self._plateau.step(score)

    def tensors(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """The batch on the device, as the network takes it."""
        source, target = (torch.from_numpy(array).to(self._fabric.device) for array in batch)
        return source.contiguous(memory_format=self._layout), target

    def state(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        state = {
            "network": self.network.state_dict(),
            "optimizer": self._optimizer.state_dict(),
            "plateau": self._plateau.state_dict(),
        }
        scaler = self._fabric.strategy.precision.state_dict()
        return {**state, "scaler": scaler} if scaler else state

    def load(self, state: Mapping[str, Any]) -> None:
        """Stand as in the checkpoint `state`."""
        self.network.load_state_dict(state["network"])
        self._optimizer.load_state_dict(state["optimizer"])
        self._plateau.load_state_dict(state["plateau"])
        if "scaler" in state:
            self._fabric.strategy.precision.load_state_dict(state["scaler"])
