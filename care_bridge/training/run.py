"""A whole training run: from a folder of images to a run folder."""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from care_bridge.atomic import replacing
from care_bridge.errors import CareBridgeError, ConfigError, TrainingError
from care_bridge.training import care, isotropic, n2v
from care_bridge.training.checkpoint import LAST, read_state, write_example
from care_bridge.training.config import (
    TrainConfig,
    differences,
    dump_config,
    load_config,
    parse_config,
)
from care_bridge.training.trainer import Trainer

log = logging.getLogger(__name__)

_CONFIG = "config.yaml"
_MODULES = {
    "care": care,
    "n2n": care,
    "n2v": n2v,
    "n2v2": n2v,
    "structn2v": n2v,
    "isotropic": isotropic,
}


def train(data: Path, run: Path, config: TrainConfig) -> None:
    """Train on the images in `data` and keep everything in the new folder `run`.

    TrainingError where `run` is there already, or the data cannot be trained on.
    """
    if run.exists():
        raise TrainingError(
            f"{run} is there already: go on with it by --resume, or choose another --out"
        )
    _run(data, run, config, None)


def resume(data: Path, run: Path, steps: int | None = None) -> None:
    """Go on with an interrupted run, exactly as if there had been no interruption.

    steps: train to this step instead of the configured one. TrainingError where the images are
    not those of before, ConfigError where the configuration beside the run is not.
    """
    if not (run / LAST).is_file():
        raise TrainingError(f"{run} has no {LAST} to go on from: start a new run")
    state = read_state(run / LAST)
    config = parse_config(state["config"])
    _check_unchanged(run / _CONFIG, config)
    if steps is not None:
        values = config.model_dump()
        config = parse_config({**values, "training": {**values["training"], "steps": steps}})
    _run(data, run, config, state)


def _check_unchanged(file: Path, config: TrainConfig) -> None:
    """Weights and optimizer follow the configuration that they were trained with: an edited file
    must not pass for it."""
    for key, told, kept in differences(load_config(file), config):
        raise ConfigError(
            f"{file} says {key} = {told}, but the run was started with {kept}: a resumed run "
            "keeps its configuration (only --steps may change); change it back, or start a new run"
        )


def _run(data: Path, run: Path, config: TrainConfig, state: Mapping[str, Any] | None) -> None:
    # Beside the run: the system's own temporary folder may be small, or lie in memory.
    whole = run.resolve()
    scratch = whole.with_name(f".{whole.name}.pixels")
    try:
        _fit(data, run, config, scratch, state)
    except (CareBridgeError, KeyboardInterrupt, OSError) as error:
        # The frames that it passed through hold mapped files, which Windows does not delete.
        traceback.clear_frames(error.__traceback__)
        if isinstance(error, OSError):
            raise TrainingError(f"{run} cannot be written: {error}") from None
        raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
        if scratch.exists():
            log.warning("%s could not be deleted: delete it by hand", scratch)


def _fit(
    data: Path, run: Path, config: TrainConfig, scratch: Path, state: Mapping[str, Any] | None
) -> None:
    """Train to the end. Here alone live the task and its pixels, mapped from `scratch`."""
    task = _MODULES[config.task].prepare(data, config, scratch)
    trainer = Trainer(task, run)
    if state is None:
        run.mkdir(parents=True)
        write_example(task.example, run)
    else:
        trainer.resume(state)
    with replacing(run / _CONFIG) as partial:
        partial.write_text(dump_config(task.config), encoding="utf-8")
    trainer.start()
    log.info("training on %s in %s", trainer.fabric.device, task.config.training.precision)
    trainer.fit()
