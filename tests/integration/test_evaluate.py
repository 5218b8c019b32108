"""`care-bridge evaluate` as a user runs it: figures, files, the page, one line for bad input."""

from __future__ import annotations

import csv
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import tifffile
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from care_bridge.cli.main import main
from tests.training_pairs import blobs
from tests.training_pairs import write_image as save

SHAPE = (48, 64)
RNG = np.random.default_rng(21)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """truth/, restored/ and input/ with two images each."""
    root = tmp_path_factory.mktemp("pairs")
    for name in ("b1.tif", "b2.tif"):
        truth = blobs(SHAPE, RNG)
        save(root / "truth" / name, truth.astype(np.uint16))
        save(root / "restored" / name, (0.5 * truth + RNG.normal(0, 20, SHAPE)).astype(np.float32))
        save(root / "input" / name, RNG.poisson(truth / 20).astype(np.uint16))
    return root


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert evaluate(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def by_hand(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(truth.astype(float), (0.1, 99.9))
    scaled = (truth - low) / (high - low)
    fitted = np.polyval(np.polyfit(image.ravel().astype(float), scaled.ravel(), 1), image)
    return (
        peak_signal_noise_ratio(scaled, fitted, data_range=1),
        structural_similarity(scaled, fitted.astype(float), data_range=1.0),
    )


def test_folders_are_paired_and_averaged(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = as_json(
        capsys, "--truth", folders / "truth", "--restored", folders / "restored",
        "--input", folders / "input", "--baselines", "gaussian",
    )  # fmt: skip
    means = {mean["method"]: mean for mean in said["means"]}
    assert list(means) == ["input", "restored", "gaussian"]
    for method in ("input", "restored"):
        expected = [
            by_hand(
                tifffile.imread(folders / method / name), tifffile.imread(folders / "truth" / name)
            )
            for name in ("b1.tif", "b2.tif")
        ]
        psnr, ssim = np.mean(expected, axis=0)
        assert means[method]["psnr"] == pytest.approx(psnr, abs=1e-6)
        assert means[method]["ssim"] == pytest.approx(ssim, abs=1e-6)


@pytest.mark.parametrize(("slope", "shift"), [(2.5, -40.0), (-0.375, 7.0)])
def test_brightness_and_contrast_are_no_error(
    slope: float, shift: float, folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Both maps of whole numbers are exact in float32, so nothing is left but double rounding."""
    truth = folders / "truth" / "b1.tif"
    mapped = slope * tifffile.imread(truth).astype(np.float64) + shift
    save(tmp_path / "mapped.tif", mapped.astype(np.float32))
    said = as_json(capsys, "--truth", truth, "--restored", tmp_path / "mapped.tif")
    assert said["means"][0]["nrmse"] < 1e-12
    assert said["means"][0]["ssim"] == pytest.approx(1, abs=1e-12)


def test_the_text_says_what_the_figures_depend_on(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert evaluate("--truth", folders / "truth", "--restored", folders / "restored") == 0
    text = capsys.readouterr().out
    for fact in ("means of 2 images", "0.1 and 99.9", "divisor", "7 pixels", "data range", "sigma"):
        assert fact in text


def test_a_region_is_compared_alone(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    files = [folders / role / "b1.tif" for role in ("truth", "restored")]
    said = as_json(capsys, "--truth", files[0], "--restored", files[1], "--roi", "Y=10:40,X=5:")
    truth, restored = (tifffile.imread(file)[10:40, 5:] for file in files)
    assert said["means"][0]["psnr"] == pytest.approx(by_hand(restored, truth)[0], abs=1e-6)


def test_movies_of_volumes_are_measured_by_frame_and_slice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = np.stack([blobs((8, 24, 32), RNG) for _ in range(2)]).astype(np.uint16)
    truth[1, 3] = 100
    image = (truth + RNG.normal(0, 30, truth.shape)).astype(np.float32)
    for name, pixels in (("t.tif", truth), ("r.tif", image)):
        tifffile.imwrite(tmp_path / name, pixels)
    table = tmp_path / "rows.csv"
    said = as_json(
        capsys, "--truth", tmp_path / "t.tif", "--restored", tmp_path / "r.tif",
        "--axes", "TZYX", "--csv", table,
    )  # fmt: skip
    rows = list(csv.DictReader(table.open()))
    places = [(row["frame"], row["slice"]) for row in rows]
    assert len(places) == len(set(places)) == 1 + 2 + 16
    found = dict(zip(places, rows, strict=True))
    assert float(found["", ""]["psnr"]) == pytest.approx(
        by_hand(image.reshape(-1, 32), truth.reshape(-1, 32))[0], abs=1e-6
    )
    assert float(found["0", ""]["ssim"]) == pytest.approx(by_hand(image[0], truth[0])[1], abs=1e-6)
    assert float(found["1", "5"]["psnr"]) == pytest.approx(
        by_hand(image[1, 5], truth[1, 5])[0], abs=1e-6
    )
    assert found["1", "3"]["psnr"] == ""
    assert set(said["images"][0]["isotropy"]) == {"restored", "truth"}


def test_without_truth_the_input_is_explained(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = as_json(
        capsys,
        "--restored",
        folders / "restored" / "b1.tif",
        "--input",
        folders / "input" / "b1.tif",
    )
    found = said["images"][0]["resolution_scaled"]
    recorded = tifffile.imread(folders / "input" / "b1.tif").astype(float)
    assert 0.3 < found["correlation"] < 1
    assert 0 < found["error"] < recorded.std()
    assert said["means"] == []


def test_reliability_in_the_normalised_scale(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mean = blobs((96, 128), RNG) / 3000
    scale = 0.01 + 0.03 * mean
    truth = 1000 + 2000 * RNG.laplace(mean, scale)
    low, high = np.percentile(truth, (2, 99.8))
    drawn = [(1000 + 2000 * mean - low) / (high - low), 2000 * scale / (high - low)]
    save(tmp_path / "t.tif", truth.astype(np.float32))
    found = {}
    for name, factor in (("right", 1), ("narrow", 0.5)):
        members = np.stack([drawn[0], factor * drawn[1]]).astype(np.float32)
        save(tmp_path / f"{name}.tif", members, axes="CYX")
        said = as_json(capsys, "--truth", tmp_path / "t.tif", "--members", tmp_path / f"{name}.tif")
        found[name] = said["images"][0]["reliability"]["error"]
    assert found["right"] < 0.01
    assert found["narrow"] > 0.1


def test_a_region_leaves_predictions_in_the_scale_of_the_whole_image(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The region is darker than the rest: its own percentiles are others."""
    mean = np.tile(np.linspace(0, 1, 256), (256, 1))
    truth = 1000 + 2000 * RNG.laplace(mean, 0.05)
    low, high = np.percentile(truth, (2, 99.8))
    drawn = [1000 + 2000 * mean - low, np.full(mean.shape, 2000 * 0.05)]
    save(tmp_path / "t.tif", truth.astype(np.float32))
    save(tmp_path / "m.tif", (np.stack(drawn) / (high - low)).astype(np.float32), axes="CYX")
    files = ["--truth", tmp_path / "t.tif", "--members", tmp_path / "m.tif"]
    said = as_json(capsys, *files, "--roi", "X=0:64")
    assert said["images"][0]["reliability"]["error"] < 0.01


def test_upsampling_and_projection_have_their_own_baseline(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = blobs((8, 32, 32), RNG).astype(np.float32)
    save(tmp_path / "t.tif", volume)
    save(tmp_path / "coarse.tif", volume[::2])
    save(tmp_path / "plane.tif", volume.max(axis=0))
    upsampled = as_json(capsys, "--truth", tmp_path / "t.tif", "--input", tmp_path / "coarse.tif")
    assert [mean["method"] for mean in upsampled["means"]] == ["cubic"]
    projection = as_json(capsys, "--truth", tmp_path / "plane.tif", "--input", tmp_path / "t.tif")
    assert projection["means"][0]["method"] == "maximum projection"
    assert projection["means"][0]["nrmse"] == pytest.approx(0, abs=1e-6)


def test_an_input_of_other_pixels_is_brought_to_the_truths_and_filtered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What was done stands in the table: how it was enlarged, and the filters' settings."""
    volume = 1000 + blobs((11, 32, 32), RNG).astype(np.float32)
    save(tmp_path / "t.tif", volume)
    noisy = volume + RNG.normal(0, 100, volume.shape).astype(np.float32)
    save(tmp_path / "c.tif", noisy.reshape(11, 16, 2, 16, 2).mean(axis=(2, 4)))
    arguments = ["--truth", tmp_path / "t.tif", "--input", tmp_path / "c.tif", "--baselines"]
    assert evaluate(*arguments, "gaussian", "median") == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line}
    assert lines["cubic"].endswith("zoom 1 x 2 x 2, same edges")
    assert re.search(r"sigma [\d.]+, after cubic$", lines["gaussian"])
    assert re.search(r"size \d+, after cubic$", lines["median"])
    assert "input" not in lines


def test_slices_whose_voxels_say_how_far_apart_they_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """11 slices are no whole multiple of 5, but come of slices 2.5 times as far apart."""
    volume = blobs((11, 32, 32), RNG).astype(np.float32)
    for name, pixels, step in (("t", volume, 0.4), ("known", volume[:10:2], 1.0)):
        said = {"spacing": step, "unit": "um", "axes": "ZYX"}
        file = tmp_path / f"{name}.tif"
        tifffile.imwrite(file, pixels, imagej=True, metadata=said, resolution=(10, 10))
    save(tmp_path / "unknown.tif", volume[:10:2])
    found = as_json(capsys, "--truth", tmp_path / "t.tif", "--input", tmp_path / "known.tif")
    assert found["images"][0]["rows"][0]["setting"].startswith("zoom 2.5 x 1 x 1")
    assert evaluate("--truth", tmp_path / "t.tif", "--input", tmp_path / "unknown.tif") == 1
    assert "neither is the truth a whole number of times as large" in capsys.readouterr().err


def test_less_light_is_worse_for_every_filter(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = as_json(
        capsys, "--truth", folders / "truth", "--doses", "2,40", "--baselines", "gaussian", "median"
    )
    psnr = {(mean["photons"], mean["method"]): mean["psnr"] for mean in said["means"]}
    assert len(psnr) == 6
    for method in ("input", "gaussian", "median"):
        assert psnr[2, method] + 3 < psnr[40, method]


class Page(HTMLParser):
    """Collects the page's pictures, charts and everything it would fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[str] = []
        self.fetched: list[str] = []
        self.charts = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.charts += tag == "svg"
        for key, value in attrs:
            if key in ("src", "href"):
                inside = (value or "").startswith("data:image/png;base64,")
                (self.pictures if inside else self.fetched).append(value or "")


def test_the_page_holds_everything_itself(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "report.html"
    arguments = [
        "--truth", folders / "truth", "--restored", folders / "restored",
        "--input", folders / "input", "--objects", "--line", "10,5,40,60", "--report", path,
    ]  # fmt: skip
    assert evaluate(*arguments) == 0
    page = Page()
    text = path.read_text("utf-8")
    page.feed(text)
    # for each of two images: input, restored, truth, four maps, the unexplained rest
    assert len(page.pictures) == 2 * 8
    assert page.fetched == []
    assert page.charts == 2
    named = text.replace('xmlns="http://www.w3.org/2000/svg"', "")
    assert not re.search(r"https?://|url\(", named)
    capsys.readouterr()
    assert evaluate(*arguments) == 1
    assert "exists already" in capsys.readouterr().err
    assert evaluate(*arguments, "--overwrite") == 0


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


@pytest.mark.parametrize("known", [True, False])
def test_volumes_of_unknown_voxels_say_what_their_isotropy_takes_for_granted(
    known: bool, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    volume = blobs((9, 32, 32), RNG).astype(np.float32)
    said = {"spacing": 1.0, "unit": "um", "axes": "ZYX"} if known else {"axes": "ZYX"}
    file = tmp_path / "v.tif"
    tifffile.imwrite(file, volume, imagej=True, metadata=said, resolution=(2, 2) if known else None)
    assert evaluate("--truth", file, "--restored", file) == 0
    assert ("the voxel size is not known" in capsys.readouterr().out) is not known


def test_pictures_are_written_as_files(
    folders: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [
        "--truth", folders / "truth", "--doses", "4,30", "--baselines", "gaussian",
        "--black", "50", "--line", "10,5,40,60", "--pictures", tmp_path / "shown",
    ]  # fmt: skip
    assert evaluate(*arguments) == 0
    names = sorted(path.name for path in (tmp_path / "shown").iterdir())
    images = [f"b{n}_{photons}_photons" for n in (1, 2) for photons in (30, 4)]
    charts = [f"{image}_profile_along_the_line.svg" for image in images]
    assert names == sorted(
        [*(f"{image}.png" for image in images), *charts, "error_against_dose.svg"]
    )
    for chart in (tmp_path / "shown").glob("*.svg"):
        assert ElementTree.parse(chart).getroot().tag == "{http://www.w3.org/2000/svg}svg"
    assert evaluate(*arguments) == 1
    assert "is not empty" in capsys.readouterr().err


def test_the_black_level_is_no_light(folders: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """blobs() lie on a ground of 100; what is taken as light decides how noisy it is."""
    truth = folders / "truth" / "b1.tif"
    psnr = [
        as_json(capsys, "--truth", truth, "--doses", "10", "--black", black)["means"][0]["psnr"]
        for black in (0, 90)
    ]
    assert psnr[1] > psnr[0]
    assert evaluate("--truth", truth, "--doses", "10", "--black", "2000") == 1
    assert "lower --black" in capsys.readouterr().err


def test_simulated_exposures_are_restored_by_a_model(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = folders / "truth" / "b1.tif"
    said = as_json(capsys, "--truth", truth, "--doses", "10", "--model", "denoise-2d")
    psnr = {mean["method"]: mean["psnr"] for mean in said["means"]}
    assert psnr["restored"] > psnr["input"] + 3


def test_an_image_that_is_its_truth_is_valid_json(
    folders: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = folders / "truth" / "b1.tif"
    assert evaluate("--truth", truth, "--restored", truth, "--json") == 0
    text = capsys.readouterr().out
    (mean,) = json.loads(text, parse_constant=pytest.fail)["means"]
    assert mean["plain_psnr"] is None
    assert mean["plain_nrmse"] == 0
    assert mean["ssim"] == pytest.approx(1)


def test_without_its_extra_it_says_what_to_install(
    folders: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name, package=None: None)
    assert evaluate("--truth", folders / "truth", "--restored", folders / "restored") == 1
    assert '".[evaluate]"' in capsys.readouterr().err
