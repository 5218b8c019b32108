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

from tests.evaluated_pairs import as_json, by_hand, evaluate, write_folders
from tests.training_pairs import blobs
from tests.training_pairs import write_image as save

RNG = np.random.default_rng(21)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folders(tmp_path_factory.mktemp("pairs"))


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
