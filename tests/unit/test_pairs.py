"""Simulated training pairs, read back from their files."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from care_bridge.images import open_image
from care_bridge.simulation.pairs import PairRecipe, draw_pair, write_pairs

RECIPE = PairRecipe(
    size=(96, 80),
    scenes={"nuclei": 1, "tubules": 1, "granules": 1, "membranes": 1},
    mixed=0.3,
    pixel_size=(0.1, 0.6),
    numerical_aperture=(0.4, 1.4),
    wavelength=(0.45, 0.68),
    photons=(10, 200),
    background=(0.02, 0.5),
    defocus=(0, 0.5),
    haze=(0, 0.5),
    gain=(0.5, 8),
    offset=(100, 400),
    read_noise=(0.7, 2.5),
)


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pairs")
    write_pairs(RECIPE, folder, count=6, seed=3)
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_folders_are_as_training_reads_them(written: Path) -> None:
    assert names(written) == ["GT", "pairs.json", "source"]
    assert names(written / "source") == names(written / "GT")
    assert len(names(written / "source")) == 6
    for name in names(written / "source"):
        source, truth = (open_image(written / kind / name) for kind in ("source", "GT"))
        assert source.axes == truth.axes == "YX"
        assert source.pixels.shape == truth.pixels.shape == (96, 80)
        assert source.pixels.dtype == np.uint16
        assert truth.pixels.dtype == np.float32


def test_noise_is_that_of_the_camera_beside_it(written: Path) -> None:
    """(source - truth) / sigma has mean 0 and variance 1, sigma by the photon transfer curve of
    what pairs.json says."""
    for said in json.loads((written / "pairs.json").read_text())["pairs"]:
        source, truth = (
            open_image(written / kind / said["file"]).pixels.astype(np.float64)
            for kind in ("source", "GT")
        )
        camera = said["camera"]
        photons = (truth - camera["offset"]) / camera["gain"]
        variance = camera["gain"] ** 2 * (photons + camera["read_noise"] ** 2) + 1 / 12
        scores = (source - truth) / np.sqrt(variance)
        assert abs(scores.mean()) < 5 / np.sqrt(scores.size)
        assert scores.var() == pytest.approx(1, abs=5 * np.sqrt(2.5 / scores.size))


def test_brightest_parts_have_the_photons_it_says(written: Path) -> None:
    for said in json.loads((written / "pairs.json").read_text())["pairs"]:
        truth = open_image(written / "GT" / said["file"]).pixels
        peak = (np.percentile(truth, 99.9) - said["camera"]["offset"]) / said["camera"]["gain"]
        assert 0.5 * said["photons"] < peak < 2 * said["photons"]


def test_calibration_is_the_pixel_size(written: Path) -> None:
    said = json.loads((written / "pairs.json").read_text())["pairs"][0]
    size = open_image(written / "source" / said["file"]).calibration.voxel_size
    assert size["X"] == size["Y"] == pytest.approx(said["microscope"]["pixel_size"], rel=1e-3)


def test_more_pairs_leave_the_first_ones_as_they_were(written: Path, tmp_path: Path) -> None:
    write_pairs(RECIPE, tmp_path, count=2, seed=3)
    for kind in ("source", "GT"):
        for name in ("0000.tif", "0001.tif"):
            few, many = (open_image(folder / kind / name) for folder in (tmp_path, written))
            assert np.array_equal(few.pixels, many.pixels)


def test_seed_and_number_choose_the_pair() -> None:
    first = draw_pair(RECIPE, 3, 0)
    for other in (draw_pair(RECIPE, 4, 0), draw_pair(RECIPE, 3, 1)):
        assert not np.array_equal(first.truth, other.truth)


def test_draws_cover_the_ranges_and_stay_in_them() -> None:
    small = replace(RECIPE, size=(16, 16), scenes={"diffuse": 1})
    drawn = [draw_pair(small, 0, index) for index in range(60)]
    for values, (low, high) in (
        ([pair.photons for pair in drawn], RECIPE.photons),
        ([pair.camera.gain for pair in drawn], RECIPE.gain),
        ([pair.microscope.pixel_size for pair in drawn], RECIPE.pixel_size),
    ):
        assert low <= min(values) < low * 1.3
        assert high / 1.3 < max(values) <= high
        # Drawn evenly on a logarithmic scale: half of them lie below the geometric mean.
        assert 15 < sum(value < np.sqrt(low * high) for value in values) < 45
