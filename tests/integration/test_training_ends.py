"""How training ends early, keeps its gradients short, and what it shows meanwhile."""

from __future__ import annotations

import logging
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from care_bridge.cli.main import main
from care_bridge.training import run as runs
from care_bridge.training.care import prepare
from care_bridge.training.checkpoint import BEST, LAST, read_state
from care_bridge.training.config import TrainConfig
from care_bridge.training.task import Task
from tests.integration.test_training import TINY, rows, sending, task_of, trainer_of
from tests.training_pairs import write_pairs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("data"), 3, (48, 56))


BY_LOSS = "normalization.target=source"
"""So that the loss tells which network is the best: no contrast is guessed."""


def worsening(task: Task, best: int) -> Task:
    """The task, whose validation loss falls until the epoch `best` (from 1) and rises then."""
    looks = 0

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        nonlocal looks
        if torch.is_grad_enabled():
            return task.loss(output, target)
        looks += 1
        epoch = (looks + len(task.validation) - 1) // len(task.validation)
        return torch.tensor(float(abs(epoch - best)))

    return replace(task, loss=loss)


def test_early_stopping_ends_a_run_that_learns_no_more(
    data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = ("training.steps=100", "training.early_stopping=3", BY_LOSS)
    run = tmp_path / "run"
    with caplog.at_level(logging.INFO, "care_bridge"):
        trainer_of(worsening(task_of(data, tmp_path / "a", *settings), best=2), run).fit()
    assert read_state(run / BEST)["step"] == 20
    assert read_state(run / LAST)["step"] == 50
    assert "stopped after step 50: 3 epochs without" in caplog.text
    again = trainer_of(task_of(data, tmp_path / "b", *settings), run)
    again.resume(read_state(run / LAST))
    again.fit()
    assert again.step == 50


def test_an_interruption_does_not_change_when_it_stops(data: Path, tmp_path: Path) -> None:
    settings = ("training.steps=100", "training.early_stopping=2", BY_LOSS)
    run = tmp_path / "run"
    task = worsening(task_of(data, tmp_path / "a", *settings), best=1)
    with pytest.raises(KeyboardInterrupt):
        trainer_of(sending(task, signal.SIGINT, step=23), run).fit()
    trainer = trainer_of(worsening(task_of(data, tmp_path / "b", *settings), best=-1), run)
    trainer.resume(read_state(run / LAST))
    trainer.fit()
    assert trainer.step == 30


def test_an_interruption_in_the_last_validation_is_heard(data: Path, tmp_path: Path) -> None:
    """Else an ensemble would go on with its next member."""
    task = task_of(data, tmp_path / "a", "training.steps=10")

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        if not torch.is_grad_enabled():
            signal.raise_signal(signal.SIGINT)
        return task.loss(output, target)

    one_patch = replace(task, loss=loss, validation=task.validation[:1])
    with pytest.raises(KeyboardInterrupt):
        trainer_of(one_patch, tmp_path / "run").fit()
    assert read_state(tmp_path / "run" / LAST)["step"] == 10


def test_gradients_are_no_longer_than_asked(data: Path, tmp_path: Path) -> None:
    norms = {}
    for clip in ("null", "1e-3"):
        task = task_of(data, tmp_path / clip, f"training.clip_gradients={clip}", "training.steps=1")
        trainer = trainer_of(task, tmp_path / f"run-{clip}")
        trainer.fit()
        gradients = [weights.grad.ravel() for weights in trainer.learner.network.parameters()]
        norms[clip] = float(torch.cat(gradients).norm())
    assert norms["1e-3"] == pytest.approx(1e-3, rel=1e-3)
    assert norms["null"] > 0.01


def test_tensorboard_shows_a_patch(data: Path, tmp_path: Path) -> None:
    task = task_of(data, tmp_path / "a", "training.steps=20", "probabilistic=true")
    trainer_of(task, tmp_path / "run").fit()
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard"))
    events.Reload()
    names = ["patch/restored", "patch/scale", "patch/source", "patch/target"]
    assert sorted(events.Tags()["images"]) == names
    shown = events.Images("patch/source")
    assert [each.step for each in shown] == [10, 20]
    assert (shown[0].height, shown[0].width) == (16, 16)
    assert np.ptp(task.validation[0][0][0, 0]) > 0


def killed_writer(folder: Path) -> Path:
    """A partial file in `folder`, as a process leaves it that was killed while it wrote."""
    write = "import sys; from pathlib import Path; from care_bridge.atomic import partial_beside; "
    write += "partial_beside(Path(sys.argv[1])).touch()"
    subprocess.run([sys.executable, "-c", write, str(folder / "last.ckpt")], check=True)
    (left,) = folder.glob(".*.partial")
    return left


def test_a_terminated_run_says_so_and_goes_on_with_all_it_had(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class Terminating:
        """The task care, during whose tenth step, the end of an epoch, SIGTERM comes."""

        @staticmethod
        def prepare(data: Path, config: TrainConfig, scratch: Path) -> Task:
            return sending(prepare(data, config, scratch), signal.SIGTERM, step=10)

    run = tmp_path / "run"
    called = ["train", str(data), "--out", str(run)]
    with monkeypatch.context() as patch:
        patch.setitem(runs._MODULES, "care", Terminating)
        assert main([*called, "--set", *TINY]) == 143
    left = killed_writer(run)
    kept = (run / "config.yaml").read_bytes()
    assert main([*called, "--resume", "--steps", "9"]) == 1
    assert "--steps 9 lies before the step 10 that" in capsys.readouterr().err
    assert (run / "config.yaml").read_bytes() == kept

    assert main([*called, "--resume", "--steps", "20"]) == 0
    assert not left.exists()
    assert [row["step"] for row in rows(run)] == ["10", "20"]
    events = EventAccumulator(str(run / "tensorboard"))
    events.Reload()
    assert [each.step for each in events.Scalars("validation/psnr")] == [10, 20]
