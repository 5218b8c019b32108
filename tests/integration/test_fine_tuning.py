"""Training that starts from trained networks: of runs, checkpoints and packages."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml

from care_bridge.cli.main import main
from care_bridge.errors import ConfigError, TrainingError
from care_bridge.export.about import About
from care_bridge.export.builder import export_checkpoint
from care_bridge.images import open_image
from care_bridge.package.package import load_package
from care_bridge.training.checkpoint import BEST, START, load_checkpoint, read_state
from care_bridge.training.config import load_config, parse_config, read_values
from care_bridge.training.csbdeep import import_csbdeep
from care_bridge.training.n2v import prepare
from care_bridge.training.run import train
from care_bridge.training.start import open_start
from tests.integration.test_training import TINY
from tests.interrupted_training import assert_an_interrupted_run_ends_as_a_whole_one
from tests.training_pairs import write_image, write_pairs

CSBDEEP = Path(__file__).parents[1] / "unit" / "data" / "csbdeep"
SHORT = (
    "patches.size=[16,16]",
    "patches.validation_batches=2",
    "training.batch_size=2",
    "training.steps=12",
    "training.steps_per_epoch=6",
    "training.device=cpu",
)
SMALL_NETWORK = ("network.n_first=4", "network.depth=1", "network.kernel=3")
STARTS = {
    "care": (),
    "3d": ("patches.size=[4,16,16]",),
    "ensemble": ("probabilistic=true", "members=2"),
    "n2v2": ("task=n2v2", "data.source=source"),
    "rcan": ("task=rcan", "rcan.channels=8", "rcan.groups=1", "rcan.blocks=1"),
    "projection": ("task=projection", "projection.n_first=1", "patches.size=[16,16]"),
}


def pairs_for(name: str, folder: Path, seed: int = 0) -> Path:
    shape = (6, 40, 48) if name in ("3d", "projection") else (48, 56)
    write_pairs(folder, 3, shape, seed)
    if name == "projection":
        for file in (folder / "GT").iterdir():
            write_image(file, open_image(file).pixels.max(axis=0))
    return folder


def settings_of(name: str, *more: str) -> dict[str, object]:
    return read_values(None, [*SHORT, *SMALL_NETWORK, *STARTS[name], *more])


def short(name: str) -> dict[str, object]:
    """What the second training is told: nothing of the network."""
    sizes = [each for each in STARTS[name] if each.startswith(("patches", "data"))]
    return read_values(None, [*SHORT, *sizes])


@pytest.fixture(params=STARTS)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run and its package for each name, made when they are asked for."""
    return tmp_path_factory.mktemp("trained")


def run_and_package(trained: Path, name: str) -> tuple[Path, Path]:
    run, package = trained / name, trained / f"{name}-package"
    if not package.exists():
        train(pairs_for(name, trained / f"{name}-data"), run, parse_config(settings_of(name)))
        export_checkpoint(load_checkpoint(run), package, About("Start of others", "Small"))
    return run, package


@pytest.mark.parametrize("kind", ["run", "package"])
def test_a_run_begins_with_the_networks_that_it_is_given(
    kind: str, name: str, trained: Path, tmp_path: Path
) -> None:
    run, package = run_and_package(trained, name)
    start = open_start(run if kind == "run" else package)
    config = start.configuration(short(name))
    tuned = tmp_path / "tuned"
    train(pairs_for(name, tmp_path / "data", seed=1), tuned, config, start)

    before, after = load_checkpoint(run), load_checkpoint(tuned)
    assert after.config.network == before.config.network
    assert after.config.normalization == before.config.normalization
    assert after.members == before.members
    assert after.start is not None
    assert {"run", "package"} & after.start.keys() == {kind}
    shape = (2, before.channels_in, *(8,) * (len(before.axes) == 3), 32, 32)
    source = torch.from_numpy(np.random.default_rng(0).random(shape, np.float32))
    began = [read_state(file)["network"] for file in sorted(tuned.rglob(START))]
    networks = list(getattr(after.network, "members", [after.network]))
    expected = list(getattr(before.network, "members", [before.network]))
    assert len(began) == len(networks) == len(expected)
    for state, network, known in zip(began, networks, expected, strict=True):
        assert any(not state[key].equal(value) for key, value in network.state_dict().items())
        network.load_state_dict(state)
        with torch.no_grad():
            torch.testing.assert_close(network(source), known(source), rtol=1e-4, atol=1e-4)


def test_batch_normalization_of_a_package_trains_as_it_predicts(
    trained: Path, tmp_path: Path
) -> None:
    """Training normalises by batches: what they have in common with the trained statistics."""
    _, package = run_and_package(trained, "n2v2")
    start = open_start(package)
    data = pairs_for("n2v2", tmp_path / "data")
    config = start.configuration({**short("n2v2"), "data": {"source": "source"}})
    train(data, tmp_path / "tuned", config, start)
    task = prepare(data, config, tmp_path / "pixels")
    start.give(0, task)
    source = torch.from_numpy(np.concatenate([batch[0] for batch in task.validation]))
    with torch.no_grad():
        trains, predicts = task.network.train()(source), task.network.eval()(source)
    assert (trains - predicts).abs().mean() < 0.2 * predicts.std()


def test_a_model_of_csbdeeps_can_be_fine_tuned(tmp_path: Path) -> None:
    checkpoint = import_csbdeep(CSBDEEP / "2d")
    export_checkpoint(checkpoint, tmp_path / "package", About("Imported model", "Of csbdeep"))
    start = open_start(tmp_path / "package")
    config = start.configuration(read_values(None, SHORT))
    channels = (checkpoint.channels_in, 48, 56) if checkpoint.channels_in > 1 else (48, 56)
    data = tmp_path / "data"
    for number in range(2):
        for side in ("source", "GT"):
            rng = np.random.default_rng([number, side == "GT"])
            pixels = rng.integers(0, 900, channels).astype(np.uint16)
            write_image(data / side / f"{number}.tif", pixels, "CYX"[-len(channels) :])
    train(data, tmp_path / "run", config, start)
    began = read_state(tmp_path / "run" / START)["network"]
    for key, weights in checkpoint.network.state_dict().items():
        torch.testing.assert_close(began[key], weights)


def test_fine_tuning_begins_where_training_ended(tmp_path: Path) -> None:
    """From the start its loss is about that of the best network, not of a fresh one."""
    data = write_pairs(tmp_path / "data", 3, (96, 96))
    learn = ("training.steps=120", "training.steps_per_epoch=40", "training.learning_rate=3e-3")
    train(data, tmp_path / "first", load_config(None, [*TINY, "network.n_first=8", *learn]))
    start = open_start(tmp_path / "first")
    few = read_values(None, [*SHORT, "training.learning_rate=1e-5", "training.steps=2"])
    train(data, tmp_path / "second", start.configuration(few), start)
    first, second = (load_checkpoint(tmp_path / run).validation for run in ("first", "second"))
    assert second["psnr"] > first["psnr_input"] + 0.8 * (first["psnr"] - first["psnr_input"])


def test_an_interrupted_fine_tuning_ends_as_a_whole_one(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = run_and_package(trained, "care")
    start = open_start(run / BEST)
    config = start.configuration({**short("care"), "training": {**SMALL_TRAINING}})
    data = pairs_for("care", tmp_path / "data", seed=1)
    assert_an_interrupted_run_ends_as_a_whole_one(data, config, tmp_path, monkeypatch, start)
    assert load_checkpoint(tmp_path / "interrupted").start == start.told


SMALL_TRAINING = {
    "batch_size": 2,
    "steps": 40,
    "steps_per_epoch": 4,
    "device": "cpu",
    "learning_rate": 0.03,
    "early_stopping": 2,
}


def test_an_interrupted_ensemble_starts_its_next_members_from_what_it_was_given(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, _ = run_and_package(trained, "ensemble")
    start = open_start(run)
    config = start.configuration(short("ensemble"))
    data = pairs_for("ensemble", tmp_path / "data", seed=1)
    assert_an_interrupted_run_ends_as_a_whole_one(data, config, tmp_path, monkeypatch, start)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(["network.depth=2"], "network.depth has the value 2", id="network"),
        pytest.param(["preset=resolution"], "network.n_first has the value 64", id="preset"),
        pytest.param(["normalization.low=1"], "normalization.low has the value 1", id="percentile"),
        pytest.param(["task=rcan"], "another kind", id="kind"),
        pytest.param(
            ["probabilistic=true"], "probabilistic has the value True", id="probabilistic"
        ),
    ],
)
def test_another_network_than_the_given_one_is_refused(
    settings: list[str], expected: str, trained: Path
) -> None:
    start = open_start(run_and_package(trained, "care")[0])
    with pytest.raises(ConfigError, match=expected):
        start.configuration(read_values(None, [*SHORT, *settings]))


def test_what_decides_nothing_about_the_network_may_be_given(trained: Path) -> None:
    start = open_start(run_and_package(trained, "care")[0])
    given = ["network.depth=1", "normalization.target=source", "normalization.train_low=[0,1]"]
    config = start.configuration(read_values(None, [*SHORT, *given]))
    assert config.normalization.target == "source"
    assert config.normalization.train_low == (0, 1)
    assert start.configuration({"task": "n2n"}).normalization.target == "source"


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        pytest.param("foreign", "does not say how its network is built", id="foreign"),
        pytest.param("other", "are not those of the network", id="weights-of-another"),
        pytest.param("unknown", "as this version does not know it", id="unknown-key"),
    ],
)
def test_a_package_that_cannot_be_started_from_is_one_line(
    wrong: str, expected: str, trained: Path, tmp_path: Path
) -> None:
    package = tmp_path / "package"
    shutil.copytree(run_and_package(trained, "care")[1], package)
    rdf = package / "rdf.yaml"
    content = yaml.safe_load(rdf.read_text("utf-8"))
    told = content["config"]["care_bridge"]
    if wrong == "foreign":
        del told["training"]
    elif wrong == "other":
        told["training"]["config"]["network"]["n_first"] = 1 << 16
    else:
        told["training"]["config"]["network"]["attention"] = True
    rdf.write_text(yaml.safe_dump(content), "utf-8")
    with pytest.raises(TrainingError, match=expected):
        open_start(package)


def test_images_with_other_channels_are_refused(trained: Path, tmp_path: Path) -> None:
    start = open_start(run_and_package(trained, "care")[0])
    for side in ("source", "GT"):
        for number in range(2):
            rng = np.random.default_rng([number, side == "GT"])
            pixels = rng.integers(0, 900, (2, 32, 32)).astype(np.uint16)
            write_image(tmp_path / "data" / side / f"{number}.tif", pixels, "CYX")
    with pytest.raises(TrainingError, match="sources have 2 channels"):
        train(tmp_path / "data", tmp_path / "run", start.configuration(short("care")), start)
    assert not (tmp_path / "run").exists()


def test_the_command_starts_from_a_bundled_model(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = write_pairs(tmp_path / "data", 2, (48, 56))
    words = ["train", str(data), "--out", str(tmp_path / "run"), "--from", "denoise-2d"]
    assert main([*words, "--set", *SHORT, "training.steps=1"]) == 0
    checkpoint = load_checkpoint(tmp_path / "run")
    assert checkpoint.start is not None
    assert checkpoint.start["package"] == "denoise-2d"
    # What it was told can be told again.
    assert load_config(tmp_path / "run" / "config.yaml") == checkpoint.config
    weights = onnx.load(Path(__file__).parents[2] / "model_zoo" / "denoise-2d" / "weights.onnx")
    kernel = next(each for each in weights.graph.initializer if each.name == "bottleneck.0.weight")
    export_checkpoint(checkpoint, tmp_path / "tuned", About("Fine-tuned", "Of the bundled one"))
    told = load_package(tmp_path / "tuned").spec.config["training"]
    assert told["started_from"]["package"] == "denoise-2d"
    assert (
        "| started from: package | denoise-2d |" in (tmp_path / "tuned" / "README.md").read_text()
    )
    began = read_state(tmp_path / "run" / START)["network"]["bottleneck.0.weight"]
    np.testing.assert_array_equal(began.numpy(), onnx.numpy_helper.to_array(kernel))
