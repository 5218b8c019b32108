"""`evaluate --model`: images restored to be judged, with what a probabilistic model predicts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from care_bridge.cli.main import main
from care_bridge.images import open_image
from tests.packages import tiny_package
from tests.training_pairs import blobs, write_image


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_package(tmp_path_factory.mktemp("package") / "ensemble", members=3)


@pytest.fixture(scope="module")
def scaled_as_source(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, trained on targets that were scaled as their sources."""
    folder = tiny_package(tmp_path_factory.mktemp("package") / "source", members=3)
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    trained = {"config": {"normalization": {"target": "source"}}}
    rdf["config"]["care_bridge"]["training"] = trained
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False))
    return folder


@pytest.fixture
def image(tmp_path: Path) -> Path:
    rng = np.random.default_rng(2)
    noisy = rng.poisson(blobs((2, 60, 72), rng)).astype(np.float32)
    return write_image(tmp_path / "in.tif", noisy, "CYX")


def run(*words: object) -> int:
    return main([*map(str, words)])


def told(capsys: pytest.CaptureFixture[str], *words: object) -> dict:
    assert run("evaluate", *words, "--json") == 0
    (found,) = json.loads(capsys.readouterr().out)["images"]
    return dict(found)


def accuracies(found: dict) -> dict[float, float]:
    """The share of the truth inside the interval of each confidence."""
    curve = found["reliability"]
    return dict(zip(curve["confidences"], curve["accuracies"], strict=True))


def restored(image: Path, package: Path, out: Path, kind: str, *words: object) -> Path:
    given = ("restore", image, "--model", package, "--out", out / "a.tif", "--device", "cpu")
    assert run(*given, "--dtype", "float32", "--uncertainty", kind, *words) == 0
    return out / f"a_{kind}.tif"


def test_a_truth_that_was_drawn_from_the_prediction_is_calibrated(
    scaled_as_source, image, tmp_path, capsys
):
    draw = restored(image, scaled_as_source, tmp_path, "samples", "--samples", 1)
    capsys.readouterr()
    words = ("--truth", draw, "--input", image)
    found = told(capsys, *words, "--model", scaled_as_source)
    assert found["reliability"]["error"] < 0.01
    part = told(capsys, *words, "--model", scaled_as_source, "--roi", "Y=10:50,X=5:60")
    assert part["reliability"]["error"] < 0.03
    assert part["reliability"]["error"] != found["reliability"]["error"]
    members = restored(image, scaled_as_source, tmp_path / "file", "members")
    capsys.readouterr()
    by_file = told(capsys, "--truth", draw, "--members", members, "--members-percentiles", "none")
    assert accuracies(by_file) == pytest.approx(accuracies(found), abs=1e-6)


def test_targets_scaled_by_their_own_percentiles_are_judged_so(package, image, tmp_path, capsys):
    """The truth in other grey levels than the input: only its own scale makes them comparable."""
    draw = restored(image, package, tmp_path, "samples", "--samples", 1)
    truth = open_image(draw)
    other = write_image(tmp_path / "truth.tif", 7 * truth.pixels + 3000, "CYX")
    capsys.readouterr()
    found = told(capsys, "--truth", other, "--input", image, "--model", package)
    members = restored(image, package, tmp_path / "file", "members", "--range", "0-1")
    capsys.readouterr()
    by_file = told(capsys, "--truth", other, "--members", members)
    assert accuracies(by_file) == pytest.approx(accuracies(found), abs=1e-6)
    # By hand, for one confidence: the share of the truth inside the interval.
    ends = open_image(
        restored(
            image, package, tmp_path / "ends", "interval", "--range", "0-1", "--confidence", 0.3
        )
    ).pixels
    low, high = np.percentile(truth.pixels, (2, 99.8), axis=(1, 2), keepdims=True)
    scaled = (truth.pixels - low) / (high - low)
    inside = np.mean((ends[::2] <= scaled) & (scaled <= ends[1::2]))
    assert accuracies(found)[0.3] == pytest.approx(inside, abs=2e-3)


def test_restored_figures_are_those_of_the_restored_file(package, image, tmp_path, capsys):
    clean = write_image(tmp_path / "t.tif", blobs((2, 60, 72), np.random.default_rng(2)), "CYX")
    assert run("restore", image, "--model", package, "--out", tmp_path / "r.tif") == 0
    capsys.readouterr()
    by_model = told(capsys, "--truth", clean, "--input", image, "--model", package)
    by_file = told(capsys, "--truth", clean, "--input", image, "--restored", tmp_path / "r.tif")
    del by_model["reliability"]
    by_file.pop("reliability", None)
    assert by_model == by_file


@pytest.mark.parametrize(
    "words",
    [
        pytest.param(("--input", "I"), id="no-truth"),
        pytest.param(("--truth", "T"), id="no-input"),
        pytest.param(("--truth", "T", "--input", "I", "--restored", "R"), id="restored-too"),
    ],
)
def test_a_model_needs_input_and_truth(package, words, capsys):
    assert run("evaluate", *words, "--model", package) == 1
    assert "--model restores --input" in capsys.readouterr().err
