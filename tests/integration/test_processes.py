"""Several devices that learn together, here two processes on a CPU; memory that runs out."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import psutil
import pytest
import torch

from care_bridge.errors import DeviceError, TrainingError
from care_bridge.training import care, n2v
from care_bridge.training.checkpoint import LAST, build_network, load_checkpoint, read_state
from care_bridge.training.config import load_config
from care_bridge.training.memory import check_memory
from care_bridge.training.processes import launched
from care_bridge.training.run import train
from tests.integration.test_training import TINY, rows, task_of, trainer_of
from tests.training_pairs import write_pairs

TWO = ("training.devices=2", "training.batch_size=8")
ONE = ("training.devices=1", "training.batch_size=16")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("data"), 3, (48, 56))


def command(data: Path, run: Path, *settings: str) -> list[str]:
    words = ["train", str(data), "--out", str(run)]
    return [sys.executable, "-m", "care_bridge", *words, "--set", *TINY, *settings]


def single_threaded() -> dict[str, str]:
    return {**os.environ, "OMP_NUM_THREADS": "1"}


@pytest.mark.parametrize(
    ("prepare", "settings"),
    [
        pytest.param(care.prepare, (), id="care"),
        pytest.param(n2v.prepare, ("task=n2v", "data.source=source"), id="n2v"),
    ],
)
def test_two_batches_of_8_are_one_of_16(prepare, settings, data: Path, tmp_path: Path) -> None:
    def batch_of(size: int, k: int) -> tuple[np.ndarray, np.ndarray]:
        told = [*TINY, *settings, f"training.batch_size={size}"]
        scratch = tmp_path / f"{size}-{k}"
        return prepare(data, load_config(None, told), scratch).batch(k)

    for whole, *halves in zip(batch_of(16, 3), batch_of(8, 6), batch_of(8, 7), strict=True):
        np.testing.assert_array_equal(whole, np.concatenate(halves))


def test_two_processes_learn_what_one_does_of_batches_of_twice_the_size(
    data: Path, tmp_path: Path
) -> None:
    told = {}
    for run, settings in (("one", ONE), ("two", TWO)):
        done = subprocess.run(
            command(data, tmp_path / run, *settings),
            env=single_threaded(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.split()[:1] == [str(tmp_path / run)]
        assert len(done.stdout.split()) == 1
        told[run] = [line for line in done.stderr.splitlines() if line.startswith("step ")]
    assert len(told["two"]) == 3
    one, two = (read_state(tmp_path / run / LAST) for run in ("one", "two"))
    assert one["step"] == two["step"] == 30
    config = load_checkpoint(tmp_path / "one").config
    fresh = build_network(config, 1, 1).state_dict()
    learned = sum((one["network"][key] - fresh[key]).square().sum() for key in fresh)
    apart = sum((one["network"][key] - two["network"][key]).square().sum() for key in fresh)
    assert apart < 1e-4 * learned
    for mine, theirs in zip(rows(tmp_path / "one"), rows(tmp_path / "two"), strict=True):
        assert float(mine["loss"]) == pytest.approx(float(theirs["loss"]), rel=1e-3)
    assert not list(tmp_path.glob(".*"))


def test_two_processes_stop_together_and_are_resumed(data: Path, tmp_path: Path) -> None:
    settings = (*TWO, "training.steps=2000", "training.steps_per_epoch=50")
    process = subprocess.Popen(
        command(data, tmp_path / "run", *settings),
        env=single_threaded(),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("step 50"):
            break
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does
    process.stderr.read()
    assert process.wait() != 0
    stopped = read_state(tmp_path / "run" / LAST)["step"]
    assert 50 <= stopped < 2000
    resumed = command(data, tmp_path / "run")
    resumed = [*resumed[: resumed.index("--set")], "--resume", "--steps", str(stopped + 10)]
    done = subprocess.run(resumed, env=single_threaded(), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert read_state(tmp_path / "run" / LAST)["step"] == stopped + 10


def test_memory_that_runs_out_is_one_line(data: Path, tmp_path: Path) -> None:
    task = task_of(data, tmp_path / "scratch")

    def loss(output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return torch.empty(1 << 50)

    trainer = trainer_of(replace(task, loss=loss), tmp_path / "run")
    expected = r"memory ran out on 2 patches of 16 x 16 .* lower training.batch_size, patches.size"
    with pytest.raises(TrainingError, match=expected):
        trainer.fit()


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        # 900 n^2 in its convolutions of 5 x 5, counted by hand.
        pytest.param(
            ["network.n_first=200000"],
            r"3\.6e\+13 weights, .* 5\.36e\+05 GiB .* a lower network\.n_first than 200000$",
            id="U-Net",
        ),
        pytest.param(
            ["task=rcan", "rcan.channels=100000"],
            r"weights, which need .* set a lower rcan\.channels than 100000$",
            id="rcan",
        ),
    ],
)
def test_a_network_that_no_memory_holds_is_refused(
    data: Path, tmp_path: Path, settings: list[str], expected: str
) -> None:
    config = load_config(None, ["patches.size=[16,16]", *settings])
    with pytest.raises(TrainingError, match=expected) as caught:
        train(data, tmp_path / "run", config)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU, whose memory counts")
def test_a_network_is_refused_by_what_training_keeps_of_it(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Weights and moments of each are in the checkpoint; gradients are as large as weights."""
    config = load_config(None, [*TINY, "training.steps=1"])
    train(data, tmp_path / "run", config)
    state = read_state(tmp_path / "run" / LAST)
    moments = [
        moment.nbytes
        for each in state["optimizer"]["state"].values()
        for name, moment in each.items()
        if name != "step"
    ]
    kept = 2 * sum(weight.nbytes for weight in state["network"].values()) + sum(moments)
    for there in (kept, kept - 1):
        memory = SimpleNamespace(total=there)
        monkeypatch.setattr(psutil, "virtual_memory", lambda told=memory: told)
        if there == kept:
            check_memory(config.resolved("YX"), 1, 1)
            continue
        with pytest.raises(TrainingError, match="set a lower network.n_first than 4"):
            check_memory(config.resolved("YX"), 1, 1)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_what_needs_a_gpu_says_so() -> None:
    with pytest.raises(TrainingError, match="fp16, which needs a CUDA GPU"):
        launched(load_config(None, ["training.precision=fp16"]).training)
    with pytest.raises(DeviceError, match="finds no CUDA GPU"):
        launched(load_config(None, ["training.device=cuda", "training.devices=2"]).training)
