"""`evaluate` where an input has other channels than the truth, as a model may make them."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.cli.main import main
from tests.evaluated_pairs import as_json, by_hand, evaluate
from tests.training_pairs import blobs, write_image

SMALL = (
    "patches.size=[16,16]",
    "patches.validation_batches=1",
    "network.n_first=4",
    "training.batch_size=2",
    "training.steps_per_epoch=2",
    "training.device=cpu",
)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """source/ of two channels and GT/ of one, a package trained on them, and what it makes of
    source/."""
    root, rng = tmp_path_factory.mktemp("channels"), np.random.default_rng(17)
    for number in (1, 2, 3):
        truth = blobs((40, 48), rng)
        both = np.stack([rng.poisson(truth / 9), rng.poisson(truth[::-1] / 9)])
        write_image(root / "GT" / f"b{number}.tif", truth.astype(np.uint16))
        write_image(root / "source" / f"b{number}.tif", both.astype(np.uint16), "CYX")
    for words in (
        ["train", root, "--out", root / "run", "--steps", "2", "--set", *SMALL],
        ["export", root / "run", "--out", root / "model.zip"],
        ["restore", root / "source", "--model", root / "model.zip", "--out", root / "made"],
    ):
        assert main([*map(str, words)]) == 0
    return root


@pytest.mark.parametrize("by", ["file", "model"])
def test_what_a_model_makes_of_other_channels_is_evaluated_without_them(
    by: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    judged = ("--restored", root / "made") if by == "file" else ("--model", root / "model.zip")
    words = ("--truth", root / "GT", "--input", root / "source", *judged)
    told = as_json(capsys, *words)
    (mean,) = told["means"]
    assert mean["method"] == "restored"
    expected = [
        by_hand(tifffile.imread(root / "made" / name), tifffile.imread(root / "GT" / name))
        for name in ("b1.tif", "b2.tif", "b3.tif")
    ]
    assert mean["psnr"] == pytest.approx(np.mean(expected, axis=0)[0], abs=1e-6)
    for image in told["images"]:
        (note,) = image["notes"]
        assert "2 channels" in note
        assert "the truth 1" in note
        assert "--roi C=0:1" in note


def test_the_region_chooses_the_channel_of_the_input_that_is_compared(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    files = {role: root / role / "b1.tif" for role in ("GT", "source")}
    words = ("--truth", files["GT"], "--input", files["source"], "--roi", "C=0:1")
    told = as_json(capsys, *words, "--model", root / "model.zip", "--baselines", "median")
    means = {mean["method"]: mean for mean in told["means"]}
    assert list(means) == ["input", "restored", "median"]
    first = tifffile.imread(files["source"])[0]
    expected = by_hand(first, tifffile.imread(files["GT"]))[0]
    assert means["input"]["psnr"] == pytest.approx(expected, abs=1e-6)
    assert told["images"][0]["notes"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        pytest.param(
            "--truth GT --input source --restored made --baselines",
            r"--baselines filter .*b1\.tif, which has 2 channels, its truth 1: .* --roi C=0:1",
            id="filters",
        ),
        pytest.param(
            "--truth GT --input source", r"b1\.tif has C=2 .*, its truth Y=40", id="input-alone"
        ),
        pytest.param(
            "--restored made --input source", r"b1\.tif has Y=40 X=48, its input C=2", id="no-truth"
        ),
    ],
)
def test_other_channels_are_refused_where_they_are_what_was_asked_for(
    words: str, said: str, root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(root / word) if (root / word).exists() else word for word in words.split()]
    assert evaluate(*given) == 1
    error = capsys.readouterr().err
    assert re.search(said, error)
    assert error.count("\n") == 1


def test_channels_of_the_result_must_be_those_of_the_truth(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_image(
        tmp_path / "t.tif", np.stack([blobs((40, 48), np.random.default_rng(1))] * 3), "CYX"
    )
    source = root / "source" / "b1.tif"
    words = ("--truth", tmp_path / "t.tif", "--input", source, "--model", root / "model.zip")
    assert evaluate(*words) == 1
    assert "the restored image has C=1 Y=40 X=48, its truth C=3" in capsys.readouterr().err
    assert evaluate("--truth", source, "--doses", "10", "--model", root / "model.zip") == 1
    said = capsys.readouterr().err
    assert "makes 1 channels of 40 x 48 pixels" in said
    assert "2 channels" in said
