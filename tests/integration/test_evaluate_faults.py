"""`care-bridge evaluate` on images and options with faults: one line each, and the rest goes on."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from tests.evaluated_pairs import SHAPE, as_json, by_hand, evaluate, write_folders
from tests.training_pairs import blobs
from tests.training_pairs import write_image as save

RNG = np.random.default_rng(22)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("pairs"))


@pytest.fixture(scope="module")
def bad(folders: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("bad")
    good = tifffile.imread(folders / "restored" / "b1.tif")
    save(root / "small.tif", good[:40])
    save(root / "constant.tif", np.full(SHAPE, 7, np.float32))
    spoilt = good.copy()
    spoilt[3, 4] = np.nan
    save(root / "nan.tif", spoilt)
    save(root / "lonely" / "b1.tif", good)
    save(root / "half.tif", good[::2, ::2])
    save(root / "movie.tif", np.stack([good, good]), axes="TYX")
    return root


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param("--truth T/b1.tif --restored B/small.tif", "Y=40 X=64", id="shapes"),
        pytest.param("--truth T --restored B/lonely", "b2.tif has no partner", id="partner"),
        pytest.param("--truth T/b1.tif --restored B/constant.tif", "constant (7)", id="constant"),
        pytest.param("--truth B/constant.tif --restored R/b1.tif", "constant (7)", id="blank"),
        pytest.param("--truth T/b1.tif --restored B/nan.tif", "1 pixels that are NaN", id="nan"),
        pytest.param("--truth T --restored R --roi Y=5:5", "empty along Y", id="empty-region"),
        pytest.param("--truth T --restored R --roi Y=500:900", "not inside", id="outside"),
        pytest.param("--truth T --restored R --roi Y=0:8", "11 x 11", id="tiny-region"),
        pytest.param("--truth T --restored R/b1.tif", "folders only", id="file-and-folder"),
        pytest.param("--truth T --restored B/none", "does not exist", id="missing"),
        pytest.param("--truth T --restored R --roi Y=0:64,Y=10:40", "names Y twice", id="twice"),
        pytest.param(["--truth", "T", "--restored", "R", "--roi", ""], "cannot be", id="no-region"),
        pytest.param(["--truth", "T", "--restored", "R", "--line", ""], "cannot be", id="no-line"),
        pytest.param(["--truth", "T", "--doses", ""], "numbers like 2,5,10", id="no-doses"),
        pytest.param("--truth T --doses 100000", "photons in the average pixel", id="saturated"),
        pytest.param("--truth T --restored R --black 9", "without --doses", id="black-alone"),
        pytest.param(
            "--truth T --restored R --members-percentiles 2,99", "without --members", id="alone"
        ),
        pytest.param(
            "--truth T --members R --members-percentiles 2", "two like 2,99.8", id="percentiles"
        ),
        pytest.param("--restored R --input I --members R", "without --truth", id="members-alone"),
        pytest.param(
            "--truth T --restored R --csv B/one --report B/one --overwrite",
            "give two files",
            id="one-file",
        ),
        pytest.param("--truth T", "nothing to compare", id="nothing"),
        pytest.param("--restored R", "nothing to compare with", id="no-truth"),
        pytest.param("--truth T --restored R --baselines", "with --input", id="no-input"),
        pytest.param("--truth T --input I --baselines bm3d", 'no baseline "bm3d"', id="baseline"),
        pytest.param("--truth T --doses 2,many", "numbers like", id="doses"),
        pytest.param("--truth T --doses nan", "numbers like", id="doses-nan"),
        pytest.param("--truth T --doses 1e30", "numbers like", id="doses-huge"),
        pytest.param("--truth T --doses 2 --black nan", "no grey level", id="black-nan"),
        pytest.param("--truth T --doses 2 --black=-1e300", "no grey level", id="black-huge"),
        pytest.param("--truth T --doses 0", "more than 0", id="no-photons"),
        pytest.param("--truth T --restored R --doses 2", "leave --restored out", id="both"),
        pytest.param("--truth T --restored R --line 0,0,900,9", "outside the image", id="line"),
        pytest.param("--restored B/small.tif --input I/b1.tif", "(40, 64)", id="input-shape"),
        pytest.param("--truth T --members R", "a multiple of 2", id="members"),
        pytest.param(
            "--truth T/b1.tif --members B/small.tif", "the same pixels", id="small-member"
        ),
        pytest.param("--truth T/b1.tif --input B/small.tif", "whole number of times", id="stretch"),
        pytest.param(
            "--truth T/b1.tif --input B/half.tif --roi Y=0:20", "leave Y out", id="region-of-two"
        ),
        pytest.param("--truth T/b1.tif --input B/movie.tif", "one field of view", id="movie"),
    ],
)
def test_bad_input_is_one_line(
    arguments: str | list[str],
    message: str,
    folders: Path,
    bad: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    places = {"T": folders / "truth", "R": folders / "restored", "I": folders / "input", "B": bad}
    words = [
        str(places[word[0]]) + word[1:] if re.match(r"[TRIB](/|$)", word) else word
        for word in (arguments.split() if isinstance(arguments, str) else arguments)
    ]
    assert evaluate(*words) == 1
    said = capsys.readouterr()
    assert message in said.err
    assert said.err.count("\n") == 1
    assert said.out == ""


def test_one_bad_image_leaves_the_others_evaluated(
    folders: Path, bad: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("b1.tif", "b2.tif"):
        save(tmp_path / "r" / name, tifffile.imread(folders / "restored" / name))
    save(tmp_path / "r" / "b2.tif", tifffile.imread(bad / "constant.tif"))
    page = tmp_path / "page.html"
    places = ["--truth", folders / "truth", "--restored", tmp_path / "r"]
    assert evaluate(*places, "--json", "--report", page) == 1
    said = capsys.readouterr()
    found = json.loads(said.out)
    alone = ["--truth", folders / "truth/b1.tif", "--restored", tmp_path / "r/b1.tif"]
    assert found["means"] == as_json(capsys, *alone)["means"]
    assert [image["image"] for image in found["failed"]] == ["b2.tif"]
    reason, summary = said.err.splitlines()
    assert "b2.tif is constant (7)" in reason
    assert summary.endswith("1 images could not be evaluated, for the reasons above: b2.tif")
    assert "b2.tif is constant (7)" in page.read_text("utf-8")


def test_what_a_blank_frame_lacks_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A movie of two channels: the first is blank, and so is the first frame of the second."""
    truth = np.full((3, 2, 32, 40), 100.0, np.float32)
    truth[1:, 1] = [blobs((32, 40), RNG) for _ in range(2)]
    noisy = truth + RNG.normal(0, 300, truth.shape).astype(np.float32)
    noisy[0] = 100
    for name, pixels in (("t.tif", truth), ("i.tif", noisy)):
        save(tmp_path / name, pixels, axes="TCYX")
    said = as_json(
        capsys, "--truth", tmp_path / "t.tif", "--restored", tmp_path / "i.tif",
        "--input", tmp_path / "i.tif", "--baselines", "--objects", "--report", tmp_path / "p.html",
        "--line", "1,1,20,20",
    )  # fmt: skip
    (image,) = said["images"]
    assert {note.split(":")[0] for note in image["notes"]} == {
        "no resolution-scaled error",
        "no figures of channel 0",
        "no objects",
        "no panels and profiles",
    }
    means = {mean["method"]: mean for mean in said["means"]}
    expected = by_hand(noisy[:, 1].reshape(-1, 40), truth[:, 1].reshape(-1, 40))[0]
    assert means["input"]["psnr"] == pytest.approx(expected, abs=1e-6)
    assert len(means) == 8
    for name in ("gaussian", "median", "total variation", "richardson-lucy"):
        assert means[name]["psnr"] > means["input"]["psnr"] + 1


def test_saturated_slices_have_no_micro_ssim_and_all_the_rest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """98 % of the pixels of one slice are at the maximum: nothing is above the background."""
    truth = blobs((2, 32, 40), RNG).astype(np.float32)
    truth[1] = truth.max()
    truth[1, :5, :5] = 100
    image = truth + RNG.normal(0, 30, truth.shape).astype(np.float32)
    save(tmp_path / "t.tif", truth)
    save(tmp_path / "r.tif", image)
    said = as_json(capsys, "--truth", tmp_path / "t.tif", "--restored", tmp_path / "r.tif")
    whole, first, second = said["images"][0]["rows"]
    assert second["micro_ssim"] is None
    assert second["psnr"] == pytest.approx(by_hand(image[1], truth[1])[0], abs=1e-6)
    assert whole["micro_ssim"] == first["micro_ssim"]
