"""Training that is interrupted and resumed, against the same training in one go."""

from __future__ import annotations

import signal
from pathlib import Path

import numpy as np
import pytest
import torch

from care_bridge.training.checkpoint import LAST, member_folders, read_state
from care_bridge.training.config import TrainConfig
from care_bridge.training.learner import Learner
from care_bridge.training.run import resume, train
from care_bridge.training.start import Start

_STOP = 8


def assert_an_interrupted_run_ends_as_a_whole_one(
    data: Path,
    config: TrainConfig,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    start: Start | None = None,
) -> None:
    """Ctrl-C after 8 steps and resuming give the weights and figures of a run in one go, bit by
    bit; runs are made in `folder`."""
    train(data, folder / "whole", config, start)
    stop_at(_STOP, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        train(data, folder / "interrupted", config, start)
    members = member_folders(folder / "interrupted", config)
    assert read_state(members[0] / LAST)["step"] == _STOP
    monkeypatch.undo()
    resume(data, folder / "interrupted")
    for member in members:
        whole = folder / "whole" / member.relative_to(folder / "interrupted")
        one, other = (read_state(run / LAST) for run in (member, whole))
        assert one["step"] == other["step"]
        assert one["validation"] == other["validation"]
        assert one["network"].keys() == other["network"].keys()
        for key, weights in one["network"].items():
            assert weights.equal(other["network"][key]), key


def stop_at(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Send this process Ctrl-C when the given step has been made."""
    learn = Learner.learn

    def learned(self: Learner, batch: tuple[np.ndarray, np.ndarray], made: int) -> torch.Tensor:
        loss = learn(self, batch, made)
        if made + 1 == step:
            signal.raise_signal(signal.SIGINT)
        return loss

    monkeypatch.setattr(Learner, "learn", learned)
