"""The training loop, on Lightning Fabric: any task's network, batches and loss.

The loop is written out because a run must go on after an interruption exactly as if there had been
none: the state is saved between two steps only, and batch k depends on nothing but the seed and k.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Mapping
from contextlib import closing, nullcontext
from importlib.metadata import version
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
import torch
from lightning.fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor

from care_bridge.errors import TrainingError
from care_bridge.training.checkpoint import BEST, LAST, read_state, write_state
from care_bridge.training.figures import figures
from care_bridge.training.interruption import Interruption
from care_bridge.training.learner import Learner
from care_bridge.training.memory import memory_is_told
from care_bridge.training.patches import Batch, shown_plane
from care_bridge.training.processes import check_bf16, launched
from care_bridge.training.run_log import RunLog
from care_bridge.training.stream import stream
from care_bridge.training.task import Task

log = logging.getLogger(__name__)

_STEPS_PER_LOOK = 10
_SECONDS_PER_SAVE = 60.0


class Trainer:
    """One network in training, and where it stands."""

    def __init__(
        self,
        task: Task,
        run: Path,
        fabric: Fabric | None = None,
        start: Mapping[str, Any] | None = None,
    ) -> None:
        """fabric: None: as configured. start: what the network was taken from, where it was."""
        self.task = task
        self.run = run
        self.start = start
        self.config = task.config.training
        self.fabric = fabric or launched(self.config)
        check_bf16(task.config, self.fabric.device)
        self.learner = Learner(task, self.fabric)
        self.step = 0
        self.best_score = -math.inf
        self.best_step = 0
        self.validation: dict[str, float] = {}
        self.epoch_losses: list[float] = []
        self._losses: list[Tensor] = []
        self._shown: dict[str, NDArray[np.float32]] = {}

    def resume(self, state: Mapping[str, Any]) -> None:
        """Stand where the run's last checkpoint, `state`, stood. TrainingError where the images
        are others, be it in their names or in their bytes, or the best network is gone."""
        changed = {name for name, _ in self.task.files.items() ^ state["files"].items()}
        if changed:
            raise TrainingError(
                f"the images are not those that {self.run} was started with ({min(changed)} is "
                "another): resume with the same data, or start a new run"
            )
        self.learner.load(state)
        self.step = state["step"]
        self.best_score = state["best_score"]
        if math.isfinite(self.best_score):
            self.best_step = self._best_step()
        self.validation = state["validation"]
        self.epoch_losses = list(state["epoch_losses"])

    def _best_step(self) -> int:
        """When the best network so far was kept."""
        file = self.run / BEST
        if not file.is_file():
            raise TrainingError(
                f"{file}, the best network so far, is missing: bring it back, or start a new run "
                f"from the last network by --from {self.run / LAST}"
            )
        return int(read_state(file)["step"])

    def save(self) -> None:
        """Save the state before a step is made, so that the run can be resumed from then on."""
        self._save(LAST)

    def fit(self) -> None:
        """Train to the last step, or until early stopping ends it. KeyboardInterrupt, after saving,
        where the run is interrupted (Terminated: by SIGTERM); TrainingError where the loss is no
        longer a number, or memory runs out."""
        if self._stalled:
            return
        writes = self.fabric.is_global_zero
        with (
            memory_is_told(self.task.config),
            closing(stream(self._batch, self.step, self.config.steps)) as batches,
            RunLog(self.run, self.step, self.config) if writes else nullcontext() as run_log,
            Interruption() as interruption,
        ):
            saved = asked = time.monotonic()
            for batch in batches:
                waited = time.monotonic() - asked
                self._losses.append(self.learner.learn(batch, self.step))
                self.step += 1
                validate = self._ends_epoch
                overdue = time.monotonic() - saved > _SECONDS_PER_SAVE
                interrupted, overdue = self._agreed(interruption.requested, overdue)
                save = validate or interrupted or overdue
                losses = self._take_losses() if save or self._is_look else []
                self.epoch_losses += losses
                if validate:
                    self._validate()
                if run_log:
                    run_log.stepped(waited)
                    if losses:
                        run_log.learned(self.step, losses, self.learner.rate)
                    if validate:
                        loss = sum(self.epoch_losses) / len(self.epoch_losses)
                        run_log.validated(self.step, loss, self.validation, self.learner.rate)
                        run_log.shown(self.step, self._shown)
                if validate:
                    self.epoch_losses = []
                if save:
                    self._save(LAST)
                    saved = time.monotonic()
                if interrupted:
                    self._stop(interruption.kind)
                if validate and self._stalled:
                    log.info(
                        "stopped after step %d: %d epochs without a better network",
                        self.step,
                        self.config.early_stopping,
                    )
                    break
                asked = time.monotonic()
            # In the last validation, after which there is no step to end with.
            (interrupted,) = self._agreed(interruption.requested)
            if interrupted:
                self._stop(interruption.kind)

    def _stop(self, kind: type[KeyboardInterrupt]) -> NoReturn:
        log.info("stopped and saved after step %d: go on with --resume", self.step)
        self.fabric.barrier()
        raise kind

    def _batch(self, k: int) -> Batch:
        """What this process learns from in step k, counted from 0."""
        return self.task.batch(k * self.fabric.world_size + self.fabric.global_rank)

    def _agreed(self, *flags: bool) -> list[bool]:
        """Each flag, set where it is in any process; several processes ask each other now and then
        only, and until then say no."""
        if self.fabric.world_size == 1:
            return list(flags)
        if not (self._ends_epoch or self._is_look):
            return [False] * len(flags)
        counts = torch.tensor(flags, dtype=torch.float32, device=self.fabric.device)
        return [count > 0 for count in self._reduced(counts, "sum").tolist()]

    def _reduced(self, values: Tensor, how: str) -> Tensor:
        """`values` of all processes, added up ("sum") or their "mean"."""
        reduced = self.fabric.all_reduce(values, reduce_op=how)
        assert isinstance(reduced, Tensor)  # as it went in
        return reduced

    @property
    def _is_look(self) -> bool:
        """Is it time to look at the losses?"""
        return self.step % _STEPS_PER_LOOK == 0

    @property
    def _ends_epoch(self) -> bool:
        return self.step % self.config.steps_per_epoch == 0 or self.step == self.config.steps

    @property
    def _stalled(self) -> bool:
        """Whether early stopping ends the training here."""
        patience = self.config.early_stopping
        since = self.step - self.best_step
        return patience is not None and since >= patience * self.config.steps_per_epoch

    def _take_losses(self) -> list[float]:
        """The losses since the last call, each the mean of all processes' own; TrainingError where
        one is not finite."""
        losses: list[float] = self._reduced(torch.stack(self._losses), "mean").tolist()
        self._losses.clear()
        broken = [loss for loss in losses if not math.isfinite(loss)]
        if broken:
            raise TrainingError(
                f"the loss became {broken[0]} before step {self.step}: set a lower "
                f"training.learning_rate than {self.learner.rate:g}, and look for extreme pixels "
                f"in the images; {self.run} keeps the checkpoints from before"
            )
        return losses

    def _validate(self) -> None:
        """Measure on the validation patches, adapt the learning rate, keep the best network."""
        found = self._measure() if self.fabric.is_global_zero else {}
        self.validation = self.fabric.broadcast(found)
        score = self._score()
        self.learner.adapt(score)
        if score > self.best_score:
            self.best_score, self.best_step = score, self.step
            self._save(BEST)

    def _score(self) -> float:
        """How good the last validation found the network: the higher, the better.

        Where the network must guess each image's contrast, the loss of the few images held out
        swings with the guess from epoch to epoch; PSNR, after a linear fit, does not count it.
        """
        config = self.task.config
        guessed = config.normalization.contrast_is_guessed and self.task.whole_targets
        if guessed and not config.probabilistic:
            return self.validation["psnr"]
        return -self.validation["loss"]

    def _measure(self) -> dict[str, float]:
        """The figures of the validation patches."""
        # Not the learner's, which would wait for the other processes.
        network = self.task.network.eval()
        outputs, losses = [], []
        with torch.no_grad(), self.fabric.autocast():
            for batch in self.task.validation:
                source, target = self.learner.tensors(batch)
                output = network(source).float()
                losses.append(float(self.task.loss(output, target)))
                outputs.append(output.cpu().numpy())
        self._shown = _pictures(self.task.validation[0], outputs[0], self.task.channels_out)
        measured = {"loss": sum(losses) / len(losses)}
        if self.task.whole_targets:
            found = np.concatenate(outputs)
            members = found if self.task.config.probabilistic else None
            measured |= figures(self.task, found[:, : self.task.channels_out], members)
        return measured

    def _save(self, name: str) -> None:
        if not self.fabric.is_global_zero:
            return
        task = self.task
        state = {
            "versions": {name: version(name) for name in ("care-bridge", "torch", "lightning")},
            "config": task.config.model_dump(mode="json"),
            "channels_in": task.channels_in,
            "channels_out": task.channels_out,
            "intensities": {
                side: [(scale.gain, scale.offset) for scale in getattr(task.intensities, side)]
                for side in ("source", "target")
            },
            "images": task.images,
            "files": task.files,
            "pixel_size": task.pixel_size,
            "noise": task.noise,
            "step": self.step,
            "best_score": self.best_score,
            "validation": self.validation,
            "epoch_losses": self.epoch_losses,
            "start": self.start,
        }
        write_state({**state, **self.learner.state()}, self.run / name)


def _pictures(
    batch: Batch, output: NDArray[np.float32], channels: int
) -> dict[str, NDArray[np.float32]]:
    """The first patch's first channel, in 3D its middle slice, normalised: what the network sees,
    what it makes of it, and the target; of probabilistic networks the scale, too."""
    source, target = batch
    shown = {
        "source": shown_plane(source[0]),
        "restored": shown_plane(output[0]),
        "target": shown_plane(target[0]),
    }
    if output.shape[1] > channels:
        shown["scale"] = shown_plane(output[0], channels)
    return shown
