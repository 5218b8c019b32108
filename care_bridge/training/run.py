"""A whole training run: from a folder of images to a run folder."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from care_bridge.errors import TrainingError
from care_bridge.training import care
from care_bridge.training.checkpoint import LAST, write_example
from care_bridge.training.config import TrainConfig, dump_config, load_config
from care_bridge.training.task import Task
from care_bridge.training.trainer import Trainer

log = logging.getLogger(__name__)

_CONFIG = "config.yaml"
_TASKS = {"care": care.prepare}


def train(data: Path, run: Path, config: TrainConfig) -> None:
    """Train on the images in `data` and keep everything in the new folder `run`.

    TrainingError where `run` is there already, or the data cannot be trained on.
    """
    if run.exists():
        raise TrainingError(
            f"{run} is there already: go on with it by --resume, or choose another --out"
        )
    _run(data, run, config, resume=False)


def resume(data: Path, run: Path, steps: int | None = None) -> None:
    """Go on with an interrupted run, exactly as if there had been no interruption.

    steps: train to this step instead of the configured one.
    """
    if not (run / LAST).is_file():
        raise TrainingError(f"{run} has no {LAST} to go on from: start a new run")
    settings = [] if steps is None else [f"training.steps={steps}"]
    _run(data, run, load_config(run / _CONFIG, settings), resume=True)


def _run(data: Path, run: Path, config: TrainConfig, *, resume: bool) -> None:
    # Beside the run: the system's own temporary folder may be small, or lie in memory.
    whole = run.resolve()
    scratch = whole.with_name(f".{whole.name}.pixels")
    try:
        task = _TASKS[config.task](data, config, scratch)
        trainer = Trainer(task, run)
        if resume:
            trainer.resume()
        else:
            _create(run, task)
            trainer.start()
        log.info("training on %s in %s", trainer.fabric.device, task.config.training.precision)
        trainer.fit()
    except OSError as error:
        raise TrainingError(f"{run} cannot be written: {error}") from None
    finally:
        if scratch.exists():
            shutil.rmtree(scratch)


def _create(run: Path, task: Task) -> None:
    run.mkdir(parents=True)
    (run / _CONFIG).write_text(dump_config(task.config), encoding="utf-8")
    write_example(task.example, run)
