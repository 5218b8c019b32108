"""A whole training run: from a folder of images to a run folder."""

from __future__ import annotations

import logging
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from lightning.fabric import Fabric

from care_bridge.atomic import remove_leftovers, replacing
from care_bridge.errors import CareBridgeError, ConfigError, TrainingError
from care_bridge.lock import open_locked, remove_locked
from care_bridge.training import care, isotropic, n2v
from care_bridge.training.checkpoint import (
    BEST,
    LAST,
    START,
    forget_ensemble,
    load_network,
    member_folders,
    read_state,
    write_ensemble,
    write_example,
    write_state,
)
from care_bridge.training.config import (
    TrainConfig,
    differences,
    dump_config,
    parse_config,
    read_values,
)
from care_bridge.training.figures import ensemble_figures
from care_bridge.training.networks.mixture import Mixture
from care_bridge.training.processes import launched
from care_bridge.training.report import write_report
from care_bridge.training.start import Start
from care_bridge.training.task import Task
from care_bridge.training.trainer import Trainer

log = logging.getLogger(__name__)

_CONFIG = "config.yaml"
_MODULES = {
    "care": care,
    "n2n": care,
    "upsampling": care,
    "projection": care,
    "rcan": care,
    "n2v": n2v,
    "n2v2": n2v,
    "structn2v": n2v,
    "isotropic": isotropic,
}


def train(data: Path, run: Path, config: TrainConfig, start: Start | None = None) -> Path | None:
    """Train on the images in `data` and keep everything in the new folder `run`. Returns the page
    that tells of it; None in the second and further of several processes.

    start: the networks to go on from, whose `configuration` the config is; None: from freshly drawn
    weights. TrainingError where `run` is there already, and is no empty folder, or the data cannot
    be trained on.
    """
    if run.exists() and not _is_empty(run):
        way = "go on with it by --resume, or" if _saved(run) else "it holds no run,"
        raise TrainingError(f"{run} is there already: {way} choose another --out")
    return _run(data, run, config, start)


def resume(data: Path, run: Path, steps: int | None = None) -> Path | None:
    """Go on with an interrupted run, exactly as if there had been no interruption. Returns as
    `train` does.

    steps: train to this step instead of the configured one. TrainingError where the images are
    not those of before, ConfigError where the configuration beside the run is not, or the run is
    past `steps`.
    """
    saved = _saved(run)
    if not saved:
        raise TrainingError(f"{run} has no {LAST} to go on from: delete it and start a new run")
    config = parse_config(read_state(saved[0])["config"])
    _check_unchanged(run / _CONFIG, config)
    if steps is not None:
        done = max(read_state(file)["step"] for file in saved)
        if steps < done:
            raise ConfigError(
                f"--steps {steps} lies before the step {done} that {run} has reached: give {done} "
                "or more, or start a new run"
            )
        values = config.model_dump()
        config = parse_config({**values, "training": {**values["training"], "steps": steps}})
    return _run(data, run, config, None)


def _is_empty(run: Path) -> bool:
    """Whether it is a folder as a file manager makes it."""
    return run.is_dir() and not any(run.iterdir())


def _saved(run: Path) -> list[Path]:
    """The checkpoints from which a run can be resumed, one a member."""
    return [file for file in (run / LAST, *sorted(run.glob(f"member*/{LAST}"))) if file.is_file()]


def _check_unchanged(file: Path, config: TrainConfig) -> None:
    """Weights and optimizer follow the configuration that they were trained with: an edited file
    must not pass for it."""
    for key, told, kept in differences(parse_config(read_values(file)), config):
        raise ConfigError(
            f"{file} says {key} = {told}, but the run was started with {kept}: a resumed run "
            "keeps its configuration (only --steps may change); change it back, or start a new run"
        )


def _run(data: Path, run: Path, config: TrainConfig, start: Start | None) -> Path | None:
    fabric = launched(config.training)
    # Beside the run: the system's own temporary folder may be small, or lie in memory.
    whole, process = run.resolve(), fabric.global_rank or ""
    scratch = whole.with_name(f".{whole.name}.pixels{process}")
    with _alone(run, whole.with_name(f".{whole.name}.lock{process}")):
        try:
            return _fit(data, run, config, start, fabric, scratch)
        except (CareBridgeError, KeyboardInterrupt, OSError) as error:
            # A frame that it passed through may hold a mapped file, which Windows does not delete.
            traceback.clear_frames(error.__traceback__)
            if isinstance(error, OSError):
                raise _not_written(run, error) from None
            raise
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
            if scratch.exists():
                log.warning("%s could not be deleted: delete it by hand", scratch)


@contextmanager
def _alone(run: Path, lock: Path) -> Iterator[None]:
    """While no other process trains `run`, which the locked file `lock` tells."""
    try:
        stream = open_locked(lock)
    except OSError as error:
        raise _not_written(run, error) from None
    if stream is None:
        raise TrainingError(
            f"{run} is being trained by another process: wait for it, or choose another --out"
        )
    try:
        yield
    finally:
        remove_locked(lock, stream)


def _not_written(run: Path, error: OSError) -> TrainingError:
    return TrainingError(f"{run} cannot be written: {error}")


def _fit(
    data: Path, run: Path, config: TrainConfig, start: Start | None, fabric: Fabric, scratch: Path
) -> Path | None:
    """Train to the end. Here alone live the task and its pixels, kept in `scratch`."""
    task = _MODULES[config.task].prepare(data, config, scratch)
    folders = member_folders(run, task.config)
    writes = fabric.is_global_zero
    if start:
        start.check(task)
        log.info("starting from %s", start.name)
    if start and writes:
        for number, folder in enumerate(folders):
            member = task.member(number)
            start.give(number, member)
            folder.mkdir(parents=True, exist_ok=True)
            write_state(
                {"network": member.network.state_dict(), "told": start.told}, folder / START
            )
    if writes:
        for folder in {run, *folders}:
            remove_leftovers(folder)
        forget_ensemble(run)
    fabric.barrier()
    for number, folder in enumerate(folders):
        member, told = task.member(number), None
        if (folder / START).is_file():
            began = read_state(folder / START)
            member.network.load_state_dict(began["network"])
            told = began["told"]
        trainer = Trainer(member, folder, fabric, told)
        if fabric.broadcast((folder / LAST).is_file()):
            trainer.resume(read_state(folder / LAST))
        if writes:
            folder.mkdir(parents=True, exist_ok=True)
        if number == 0 and writes:
            write_example(task.example, run)
            with replacing(run / _CONFIG) as partial:
                partial.write_text(dump_config(task.config), encoding="utf-8")
        trainer.save()
        log.info(
            "training %son %s in %s",
            f"member {number + 1} of {len(folders)} " if len(folders) > 1 else "",
            _devices(fabric),
            task.config.training.precision,
        )
        trainer.fit()
    if len(folders) > 1 and writes:
        _complete(task, run, folders, fabric.device)
    report = write_report(run, task, folders) if writes else None
    if report:
        log.info("report: %s", report)
    fabric.barrier()
    return report


def _devices(fabric: Fabric) -> str:
    others = fabric.world_size - 1
    return f"{fabric.device} and {others} more" if others else str(fabric.device)


def _complete(task: Task, run: Path, folders: list[Path], device: torch.device) -> None:
    """Measure the ensemble of the members' best networks."""
    states = [read_state(folder / BEST) for folder in folders]
    network = Mixture(load_network(task.config, state) for state in states)
    found, spread = ensemble_figures(task, network, device)
    write_ensemble(run, len(folders), found, spread)
    log.info(
        "the ensemble: PSNR %.2f dB (its members %.2f dB), calibration error %.3f, spread %.2f",
        found["psnr"],
        found["psnr_members"],
        found["calibration_error"],
        spread,
    )
