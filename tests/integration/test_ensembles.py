"""Probabilistic networks and ensembles of them, from their training to the run folder."""

from __future__ import annotations

import json
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.stats import laplace

from care_bridge.cli.main import main
from care_bridge.errors import ConfigError, TrainingError
from care_bridge.export.about import About
from care_bridge.export.builder import export_checkpoint
from care_bridge.package.package import load_package
from care_bridge.training import run as runs
from care_bridge.training.care import prepare
from care_bridge.training.checkpoint import BEST, LAST, load_checkpoint, read_state
from care_bridge.training.config import TrainConfig, load_config
from care_bridge.training.task import Task
from tests.integration.test_training import TINY, assert_same, sending
from tests.training_pairs import write_pairs

SETTINGS = (*TINY, "probabilistic=true", "training.steps=20", "training.steps_per_epoch=10")
MEMBERS = ("member1", "member2", "member3")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("data"), 3, (48, 56))


@pytest.fixture(scope="module")
def ensemble(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of three members that nothing interrupted."""
    run = tmp_path_factory.mktemp("runs") / "ensemble"
    runs.train(data, run, load_config(None, [*SETTINGS, "members=3"]))
    return run


def weights(folder: Path, name: str = BEST) -> dict[str, torch.Tensor]:
    return dict(read_state(folder / name)["network"])


def test_each_member_has_its_folder_and_the_run_its_figures(ensemble: Path) -> None:
    assert sorted(path.name for path in ensemble.iterdir()) == [
        "config.yaml",
        "ensemble.json",
        "example.npz",
        *MEMBERS,
        "report.html",
    ]
    told = json.loads((ensemble / "ensemble.json").read_text())
    assert told["members"] == 3
    assert told["validation"].keys() == {
        "psnr",
        "psnr_input",
        "psnr_members",
        "calibration_error",
    }
    own = [read_state(ensemble / member / BEST)["validation"]["psnr"] for member in MEMBERS]
    assert told["validation"]["psnr_members"] == pytest.approx(np.mean(own), abs=1e-3)
    assert load_checkpoint(ensemble).spread == told["spread"] > 0


def test_the_first_member_is_what_a_run_of_its_own_gives(
    data: Path, ensemble: Path, tmp_path: Path
) -> None:
    runs.train(data, tmp_path / "run", load_config(None, SETTINGS))
    for name in (BEST, LAST):
        assert_same(weights(ensemble / "member1", name), weights(tmp_path / "run", name))


def test_members_start_from_other_weights_and_see_other_patches(data: Path, tmp_path: Path) -> None:
    task = prepare(data, load_config(None, SETTINGS), tmp_path)
    tasks = [task.member(number) for number in range(3)]
    starts = [each.network.state_dict()["last.weight"] for each in tasks]
    assert not any(torch.equal(starts[0], other) for other in starts[1:])
    assert not torch.equal(starts[1], starts[2])
    sources = [each.batch(4)[0] for each in tasks]
    assert len({source.tobytes() for source in sources}) == 3
    again = prepare(data, load_config(None, SETTINGS), tmp_path / "again").member(2)
    np.testing.assert_array_equal(again.batch(4)[0], sources[2])
    assert torch.equal(again.network.state_dict()["last.weight"], starts[2])
    other_seed = load_config(None, [*SETTINGS, "seed=1"])
    assert not torch.equal(
        prepare(data, other_seed, tmp_path / "other").member(2).network.state_dict()["last.weight"],
        starts[2],
    )


@pytest.mark.parametrize("step", [1, 7, 20], ids=["first-step", "within", "last-step"])
def test_interrupted_in_the_second_member_it_ends_as_if_it_had_not_been(
    data: Path, ensemble: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: int
) -> None:
    run = tmp_path / "run"

    class Interrupting:
        """The task care, whose second member is interrupted during a step."""

        @staticmethod
        def prepare(data: Path, config: TrainConfig, scratch: Path) -> Task:
            task = prepare(data, config, scratch)
            return sending(task, signal.SIGINT, step=20 + step)

    with monkeypatch.context() as patch:
        patch.setitem(runs._MODULES, "care", Interrupting)
        with pytest.raises(KeyboardInterrupt):
            runs.train(data, run, load_config(None, [*SETTINGS, "members=3"]))
    assert read_state(run / "member2" / LAST)["step"] == step
    with pytest.raises(TrainingError, match="not trained to its end: go on with it by --resume"):
        load_checkpoint(run)
    runs.resume(data, run)
    for member in MEMBERS:
        for name in (BEST, LAST):
            assert_same(read_state(run / member / name), read_state(ensemble / member / name))
    assert (run / "ensemble.json").read_text() == (ensemble / "ensemble.json").read_text()


def test_the_network_of_an_ensemble_is_the_mixture_of_its_members(ensemble: Path) -> None:
    checkpoint = load_checkpoint(ensemble)
    assert checkpoint.members == 3
    source = torch.from_numpy(np.random.default_rng(0).random((2, 1, 16, 24), np.float32))
    restored, members = checkpoint.network(source)
    means = []
    for number, member in enumerate(MEMBERS):
        alone = load_checkpoint(ensemble / member)
        assert alone.members == 1
        mean, both = alone.network(source)
        assert torch.equal(members[:, 2 * number : 2 * number + 2], both)
        assert torch.equal(mean, both[:, :1])
        assert float(both[:, 1:].min()) > 0
        means.append(mean)
    torch.testing.assert_close(restored, torch.stack(means).mean(dim=0))


def test_a_probabilistic_run_learns_what_its_errors_are(tmp_path: Path) -> None:
    """The loss is the likelihood, and the predicted scale follows the error."""
    data = write_pairs(tmp_path / "data", 3, (96, 96))
    learn = ("network.n_first=8", "training.steps=150", "training.steps_per_epoch=75")
    rate = ("training.learning_rate=3e-3", "training.batch_size=4", "training.schedule=cosine")
    config = load_config(None, [*TINY, *learn, *rate, "patches.size=[32,32]", "probabilistic=true"])
    runs.train(data, tmp_path / "run", config)
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.validation["psnr"] > checkpoint.validation["psnr_input"] + 2
    assert checkpoint.validation["calibration_error"] < 0.15
    task = prepare(data, config, tmp_path / "scratch")
    errors, scales, losses = [], [], []
    for source, target in task.validation:
        mean, scale = np.split(checkpoint.network(torch.from_numpy(source))[1].numpy(), 2, axis=1)
        errors.append(np.abs(mean - target).ravel())
        scales.append(scale.ravel())
        losses.append(-laplace.logpdf(target, mean, scale).mean())
    assert checkpoint.validation["loss"] == pytest.approx(np.mean(losses), rel=1e-4)
    assert np.corrcoef(np.concatenate(errors), np.concatenate(scales))[0, 1] > 0.15


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        pytest.param(["--members"], (True, 5, "laplace"), id="default"),
        pytest.param(["--members", "2"], (True, 2, "laplace"), id="two"),
        pytest.param(["--probabilistic"], (True, 1, "laplace"), id="one"),
        pytest.param([], (False, 1, "mae"), id="none"),
    ],
)
def test_the_command_says_how_many(
    words: list[str],
    expected: tuple[bool, int, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[TrainConfig] = []
    monkeypatch.setattr(runs, "train", lambda _data, _run, config, _start: told.append(config))
    assert main(["train", str(tmp_path), "--out", str(tmp_path / "run"), *words]) == 0
    (config,) = told
    assert (config.probabilistic, config.members, config.training.loss) == expected


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(["members=3"], "set probabilistic=true, too", id="members-alone"),
        pytest.param(["probabilistic=true", "members=0"], "members has the value 0", id="none"),
        pytest.param(
            ["probabilistic=true", "training.loss=mse"], "trained with laplace", id="other-loss"
        ),
        pytest.param(["training.loss=laplace"], "probabilistic false", id="laplace-alone"),
        pytest.param(
            ["task=n2v", "probabilistic=true"], "does not suit the task n2v", id="noisy-alone"
        ),
        pytest.param(
            ["task=rcan", "probabilistic=true"], "blending its tiles suits images", id="rcan"
        ),
        pytest.param(
            ["task=isotropic", "probabilistic=true"], "averaging two orientations", id="isotropic"
        ),
    ],
)
def test_what_cannot_be_probabilistic_is_one_line(settings: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        load_config(None, settings)
    assert "\n" not in str(caught.value)


def test_more_steps_train_every_member_on(data: Path, ensemble: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    shorter = load_config(None, [*SETTINGS, "members=2", "training.steps=10"])
    runs.train(data, run, shorter)
    runs.resume(data, run, steps=20)
    for member in MEMBERS[:2]:
        assert_same(weights(run / member, LAST), weights(ensemble / member, LAST))


def test_a_damaged_ensemble_is_one_line(ensemble: Path, tmp_path: Path) -> None:
    (tmp_path / "member1").mkdir()
    for text in ("{", "[]", "{}"):
        (tmp_path / "ensemble.json").write_text(text)
        with pytest.raises(TrainingError, match=r"ensemble\.json is damaged"):
            load_checkpoint(tmp_path)


def test_its_package_passes_its_check_and_says_what_it_is(ensemble: Path, tmp_path: Path) -> None:
    report = export_checkpoint(
        load_checkpoint(ensemble), tmp_path / "model", About("Three members", "For a test")
    )
    assert report.errors == ()
    package = load_package(tmp_path / "model")
    assert package.spec.member_count == 3
    assert package.spec.spread == json.loads((ensemble / "ensemble.json").read_text())["spread"]
    assert [tensor.id for tensor in package.spec.tensors] == ["input", "restored", "members"]
    card = package.read("README.md").decode()
    assert "Laplace distributions by 3 members" in card
    assert "psnr_members" in card
