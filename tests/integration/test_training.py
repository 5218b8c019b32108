"""Whole training runs, small: what they learn, keep, resume and refuse."""

from __future__ import annotations

import csv
import math
import pickle
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
import torch

from care_bridge.cli.main import main
from care_bridge.errors import ConfigError, TrainingError
from care_bridge.lock import open_locked
from care_bridge.training.care import prepare
from care_bridge.training.checkpoint import BEST, LAST, load_checkpoint, read_state
from care_bridge.training.config import load_config
from care_bridge.training.run import resume, train
from care_bridge.training.task import Task
from care_bridge.training.trainer import Trainer
from tests.small_training import TINY, sending
from tests.training_pairs import write_pairs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("data"), 4, (64, 72))


def task_of(data: Path, scratch: Path, *settings: str) -> Task:
    return prepare(data, load_config(None, [*TINY, *settings]), scratch)


def trainer_of(task: Task, run: Path) -> Trainer:
    run.mkdir(exist_ok=True)
    return Trainer(task, run)


def assert_same(one: Any, other: Any) -> None:
    """Bit by bit, through nested checkpoints."""
    if isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    elif isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for mine, theirs in zip(one, other, strict=True):
            assert_same(mine, theirs)
    else:
        assert one == other


def rows(run: Path) -> list[dict[str, str]]:
    with (run / "log.csv").open() as stream:
        return list(csv.DictReader(stream))


@pytest.mark.parametrize(
    "settings",
    [
        # Patience 0 halves the learning rate often, so the schedule's state matters too.
        pytest.param(("training.plateau_patience=0",), id="float32-plateau"),
        pytest.param(("training.schedule=cosine", "training.precision=bf16"), id="bf16-cosine"),
    ],
)
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    data: Path, tmp_path: Path, settings: tuple[str, ...]
) -> None:
    task = task_of(data, tmp_path / "a", *settings)
    trainer_of(task, tmp_path / "whole").fit()

    interrupted = tmp_path / "interrupted"
    task = sending(task_of(data, tmp_path / "b", *settings), signal.SIGINT, step=17)
    with pytest.raises(KeyboardInterrupt):
        trainer_of(task, interrupted).fit()
    assert read_state(interrupted / LAST)["step"] == 17

    task = task_of(data, tmp_path / "c", *settings)
    trainer = trainer_of(task, interrupted)
    trainer.resume(read_state(interrupted / LAST))
    assert trainer.step == 17
    trainer.fit()
    for name in (LAST, BEST):
        assert_same(read_state(interrupted / name), read_state(tmp_path / "whole" / name))
    for one, other in zip(rows(interrupted), rows(tmp_path / "whole"), strict=True):
        for column in ("step", "loss", "validation_loss", "validation_psnr", "learning_rate"):
            assert one[column] == other[column]


KILLED = """
import signal, sys
from pathlib import Path
from tests.integration.test_training import sending, task_of, trainer_of
data, run = map(Path, sys.argv[1:])
task = sending(task_of(data, run / "scratch"), signal.SIGKILL, step=17)
trainer = trainer_of(task, run)
trainer.save()
trainer.fit()
"""


def test_a_killed_run_ends_as_if_it_had_not_been(data: Path, tmp_path: Path) -> None:
    killed, whole = tmp_path / "killed", tmp_path / "whole"
    killed.mkdir()
    child = subprocess.run([sys.executable, "-c", KILLED, data, killed], check=False)
    assert child.returncode == -signal.SIGKILL
    assert read_state(killed / LAST)["step"] == 10
    trainer_of(task_of(data, tmp_path / "a"), whole).fit()
    trainer = trainer_of(task_of(data, tmp_path / "b"), killed)
    trainer.resume(read_state(killed / LAST))
    trainer.fit()
    for name in (LAST, BEST):
        assert_same(read_state(killed / name), read_state(whole / name))
    assert [row["step"] for row in rows(killed)] == ["10", "20", "30"]


def test_memory_layout_changes_no_number(data: Path, tmp_path: Path) -> None:
    weights = []
    for layout in ("true", "false"):
        trainer = trainer_of(
            task_of(data, tmp_path / layout, f"training.channels_last={layout}"),
            tmp_path / f"run-{layout}",
        )
        trainer.fit()
        weights.append(read_state(trainer.run / LAST)["network"]["last.weight"])
    torch.testing.assert_close(weights[0], weights[1], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
    ("shape", "settings"),
    [
        pytest.param((96, 96), ("patches.size=[32,32]", "network.axes=YX"), id="2d"),
        pytest.param((96, 96), ("patches.size=[32,32]", "normalization.mode=fixed"), id="fixed"),
        pytest.param((96, 96), ("patches.size=[32,32]", "training.precision=bf16"), id="bf16"),
        pytest.param(
            (12, 64, 64),
            ("patches.size=[8,24,24]", "patches.background=0.1", "training.learning_rate=1e-3"),
            id="3d",
        ),
    ],
)
def test_training_gains_over_the_input(
    tmp_path: Path, shape: tuple[int, ...], settings: tuple[str, ...]
) -> None:
    write_pairs(tmp_path / "data", 3, shape)
    learn = ("network.n_first=8", "training.steps=150", "training.steps_per_epoch=75")
    rate = ("training.learning_rate=3e-3", "training.batch_size=4", "training.schedule=cosine")
    config = load_config(None, [*TINY, *learn, *rate, *settings])
    train(tmp_path / "data", tmp_path / "run", config)
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.axes == "ZYX"[-len(shape) :]
    assert checkpoint.validation["psnr"] > checkpoint.validation["psnr_input"] + 2


def test_the_run_folder_holds_what_export_needs(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(data, run, load_config(None, TINY))
    assert sorted(path.name for path in run.iterdir()) == [
        "best.ckpt",
        "config.yaml",
        "example.npz",
        "last.ckpt",
        "log.csv",
        "report.html",
        "tensorboard",
    ]
    assert not list(tmp_path.glob(".*"))  # the pixels kept while it ran are gone
    checkpoint = load_checkpoint(run)
    assert load_config(run / "config.yaml") == checkpoint.config
    assert not checkpoint.network.training
    assert {weights.dtype for weights in checkpoint.network.parameters()} == {torch.float32}
    best = max(rows(run), key=lambda row: float(row["validation_psnr"]))
    assert checkpoint.step == int(best["step"])
    assert checkpoint.validation["loss"] == pytest.approx(float(best["validation_loss"]))
    assert load_checkpoint(run / LAST).step == 30
    assert set(checkpoint.versions) == {"care-bridge", "torch", "lightning"}

    (validated,) = checkpoint.images["validation"]
    assert sorted([validated, *checkpoint.images["training"]]) == [f"im{n}.tif" for n in range(4)]
    for side, pixels in (
        ("source", checkpoint.example.source),
        ("GT", checkpoint.example.target),
    ):
        np.testing.assert_array_equal(pixels[0], tifffile.imread(data / side / validated))
        trained = np.stack(
            [tifffile.imread(data / side / n) for n in checkpoint.images["training"]]
        )
        (scale,) = getattr(checkpoint.intensities, {"source": "source", "GT": "target"}[side])
        assert (scale.offset, scale.gain) == pytest.approx((trained.mean(), trained.std()))


def test_a_loss_that_is_no_number_stops_the_run(data: Path, tmp_path: Path) -> None:
    config = load_config(None, [*TINY, "training.learning_rate=1e30"])
    with pytest.raises(TrainingError, match=r"the loss became .* before step 10: set a lower"):
        train(data, tmp_path / "run", config)
    weights = read_state(tmp_path / "run" / LAST)["network"].values()
    assert all(torch.isfinite(tensor).all() for tensor in weights)


class Bomb:
    """Leaves a file where it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.touch, (Path("went-off"),))


def test_code_in_a_checkpoint_is_not_run(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with (tmp_path / "plain.ckpt").open("wb") as stream:
        pickle.dump({"format": 1, "network": Bomb()}, stream)
    torch.save({"format": 1, "network": Bomb()}, tmp_path / "torch.ckpt")
    (tmp_path / "cut.ckpt").write_bytes((tmp_path / "torch.ckpt").read_bytes()[:300])
    for name in ("plain.ckpt", "torch.ckpt", "cut.ckpt"):
        with pytest.raises(TrainingError, match=f"{name} is no checkpoint"):
            load_checkpoint(tmp_path / name)
    with pytest.raises(TrainingError, match="there is no checkpoint"):
        load_checkpoint(tmp_path / "nowhere.ckpt")
    assert not (tmp_path / "went-off").exists()


def test_the_command_trains_resumes_and_does_not_chatter(data: Path, tmp_path: Path) -> None:
    run = tmp_path / "new" / "run"
    command = [sys.executable, "-m", "care_bridge.cli.main", "train", data, "--out", run]
    first = subprocess.run(
        [*command, "--steps", "20", "--set", *TINY, "training.precision=bf16"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert first.returncode == 0, first.stderr
    assert first.stdout.split() == [str(run)]
    said = first.stderr.splitlines()
    assert said[0] == "4 pairs: source/ -> GT/, 1 for validation"
    assert [line.split(":")[0] for line in said[1:]] == [
        "3 frames to train on, 1 for validation, YX, patches of 16 x 16",
        "training on cpu in bf16",
        "step 10 of 20",
        "step 20 of 20",
        "report",
    ]
    assert main(["train", str(data), "--out", str(run), "--resume", "--steps", "30"]) == 0
    assert [row["step"] for row in rows(run)] == ["10", "20", "30"]
    assert read_state(run / LAST)["step"] == 30


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        pytest.param("{data} --out {run} --set trainin.steps=3", 'no key "trainin"', id="key"),
        pytest.param("{data} --out {run} --set n2v.span=7", "task structn2v, not", id="other-task"),
        pytest.param("{data} --out {run} --steps 0", "training.steps has the value 0", id="value"),
        pytest.param("{empty} --out {run}", "holds nothing: expected", id="no-folders"),
        pytest.param("{data} --out {data}", "no run, choose another --out", id="not-a-run"),
        pytest.param("{data} --out {file}", "no run, choose another --out", id="a-file"),
        pytest.param("{data} --out {file}/run", "cannot be written", id="run-below-a-file"),
        pytest.param("{data} --out {run} --resume", "no last.ckpt to go on", id="no-run"),
        pytest.param("{data} --out {run} --resume --set seed=1", "keeps its config", id="resume"),
        pytest.param("{data} --out {run} --config {empty}/c.yaml", "cannot be read", id="config"),
        pytest.param(
            "{data} --out {run} --set training.device=cuda",
            "finds no CUDA GPU",
            id="no-gpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU"),
        ),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: str,
    expected: str,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("")
    before = sorted(tmp_path.rglob("*"))
    places = {name: tmp_path / name for name in ("run", "empty", "file")}
    words = arguments.format(data=data, **places).split()
    small = [] if "--resume" in words else ["--set", "patches.size=[16,16]"]
    assert main(["train", *words, *small]) == 1
    told = capsys.readouterr()
    assert expected in told.err.splitlines()[-1]
    assert "Traceback" not in told.err
    assert not told.out
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("other", "changed"),
    [
        pytest.param({"count": 3}, "source im3.tif", id="fewer"),
        pytest.param({"count": 4, "seed": 1}, "source im0.tif", id="same-names-other-pixels"),
    ],
)
def test_resuming_needs_the_same_images(
    started: Path, tmp_path: Path, other: dict[str, int], changed: str
) -> None:
    data = write_pairs(tmp_path / "other", shape=(64, 72), **other)
    with pytest.raises(TrainingError, match=rf"the images are not those .*\({changed} is another"):
        resume(data, started, 2)
    assert read_state(started / LAST)["step"] == 1


def test_resuming_needs_the_best_network(started: Path, data: Path) -> None:
    (started / BEST).unlink()
    expected = rf"{BEST}, the best network so far, is missing: .* by --from .*{LAST}"
    with pytest.raises(TrainingError, match=expected):
        resume(data, started, 2)
    assert read_state(started / LAST)["step"] == 1


@pytest.fixture(scope="module")
def one_step(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("one-step") / "run"
    train(data, run, load_config(None, [*TINY, "training.steps=1"]))
    return run


@pytest.fixture
def started(one_step: Path, tmp_path: Path) -> Path:
    """A run of one step, for a test to spoil."""
    return shutil.copytree(one_step, tmp_path / "run")


def test_a_copy_of_the_images_elsewhere_will_do(started: Path, data: Path, tmp_path: Path) -> None:
    resume(shutil.copytree(data, tmp_path / "copy"), started, 2)
    assert read_state(started / LAST)["step"] == 2


@pytest.mark.parametrize(
    ("key", "before", "after"),
    [
        pytest.param("normalization.eps", "1.0e-06", "0.5", id="scaling"),
        pytest.param("training.learning_rate", "0.0004", "0.1", id="optimizer"),
        pytest.param("network.n_first", "4", "8", id="network"),
    ],
)
def test_an_edited_configuration_is_refused(
    started: Path, data: Path, key: str, before: str, after: str
) -> None:
    file = started / "config.yaml"
    line = f"{key.split('.')[1]}: "
    assert line + before in file.read_text()
    file.write_text(file.read_text().replace(line + before, line + after))
    with pytest.raises(ConfigError, match=rf"{key} = {after}, but the run was started with"):
        resume(data, started, 2)
    assert read_state(started / LAST)["step"] == 1


def test_a_new_last_step_is_kept(started: Path, data: Path) -> None:
    resume(data, started, 3)
    assert load_config(started / "config.yaml").training.steps == 3
    resume(data, started)
    assert read_state(started / LAST)["step"] == 3


@pytest.mark.parametrize(
    "damage",
    [
        pytest.param(lambda whole: whole[:300], id="cut"),
        pytest.param(lambda whole: b"PK\x03\x04" + bytes(100), id="no-zip"),
        pytest.param(lambda whole: b"", id="empty"),
        pytest.param(lambda whole: b"words", id="words"),
        pytest.param(lambda whole: whole.replace(b"target", b"carpet"), id="no-target"),
        pytest.param(lambda whole: whole[:150] + bytes(99) + whole[249:], id="overwritten"),
    ],
)
def test_a_damaged_example_is_one_line(started: Path, damage: Callable[[bytes], bytes]) -> None:
    file = started / "example.npz"
    file.write_bytes(damage(file.read_bytes()))
    with pytest.raises(TrainingError, match=r"example\.npz is damaged"):
        load_checkpoint(started)


def test_cosine_ends_at_zero_and_plateau_starts_high(data: Path, tmp_path: Path) -> None:
    for schedule in ("cosine", "plateau"):
        settings = (f"training.schedule={schedule}", "training.steps=20")
        trainer_of(task_of(data, tmp_path / "s", *settings), tmp_path / schedule).fit()
    cosine = [float(row["learning_rate"]) for row in rows(tmp_path / "cosine")]
    # The rate of a step is that before it: steps 9 and 19 of 20.
    expected = [4e-4 * (1 + math.cos(math.pi * step / 20)) / 2 for step in (9, 19)]
    assert cosine == pytest.approx(expected)
    assert float(rows(tmp_path / "plateau")[0]["learning_rate"]) == 4e-4


def test_a_changed_or_cut_checkpoint_is_one_line(started: Path) -> None:
    """Every byte of the archive's data is covered by a checksum."""
    file = started / BEST
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[len(whole) // 2] ^= 1
    cuts = (whole[: len(whole) * part // 20] for part in range(20))
    for damaged in (bytes(changed), *cuts):
        file.write_bytes(damaged)
        with pytest.raises(TrainingError, match=rf"{BEST} is no checkpoint, or is damaged"):
            load_checkpoint(started)


@pytest.mark.parametrize(
    "saved",
    [
        pytest.param(lambda text: text.replace(",", ";").encode(), id="semicolons"),
        pytest.param(lambda text: text.encode("utf-8-sig"), id="mark-in-front"),
        pytest.param(lambda text: text.encode("utf-16"), id="utf-16"),
        pytest.param(lambda text: b"", id="empty"),
    ],
)
def test_a_log_that_a_spreadsheet_program_saved_is_refused_and_can_be_deleted(
    started: Path, data: Path, saved: Callable[[str], bytes]
) -> None:
    log = started / "log.csv"
    log.write_bytes(saved(log.read_text()))
    with pytest.raises(TrainingError, match=r"log\.csv does not start with the columns"):
        resume(data, started, 2)
    assert read_state(started / LAST)["step"] == 1
    log.unlink()
    resume(data, started, 2)
    assert [row["step"] for row in rows(started)] == ["2"]


def test_a_row_that_a_full_disk_cut_is_dropped(started: Path, data: Path) -> None:
    with (started / "log.csv").open("a") as stream:
        stream.write("1,0.04")
    resume(data, started, 2)
    assert [row["step"] for row in rows(started)] == ["1", "2"]


def test_an_empty_folder_is_taken_and_one_image_is_told_as_such(tmp_path: Path) -> None:
    single = write_pairs(tmp_path / "single", 1, (64, 160))
    run = tmp_path / "run"
    run.mkdir()
    train(single, run, load_config(None, [*TINY, "training.steps=1"]))
    assert load_checkpoint(run).images == {"training": ["im0.tif"], "validation": ["im0.tif"]}
    assert "the part of the training image that training did not see" in (
        (run / "report.html").read_text()
    )


def test_one_process_at_a_time_trains_a_run(started: Path, data: Path) -> None:
    lock = started.with_name(f".{started.name}.lock")
    other = open_locked(lock)
    assert other
    with pytest.raises(TrainingError, match="is being trained by another process: wait"):
        resume(data, started, 2)
    assert read_state(started / LAST)["step"] == 1
    other.close()
    resume(data, started, 2)
    assert read_state(started / LAST)["step"] == 2
    assert not lock.exists()


@pytest.mark.parametrize("chosen", [True, False])
def test_torch_is_told_whether_numbers_must_repeat(
    data: Path, tmp_path: Path, chosen: bool
) -> None:
    trainer_of(task_of(data, tmp_path / "a", f"training.deterministic={chosen}"), tmp_path / "run")
    assert torch.are_deterministic_algorithms_enabled() == chosen
    torch.use_deterministic_algorithms(False)
