"""The bundled models: what they do on images that training has not seen, and what is said of
them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml
from scipy.ndimage import gaussian_filter, median_filter

from care_bridge.axes import Axes
from care_bridge.bundled import bundled_folder
from care_bridge.evaluation.metrics import care_psnr
from care_bridge.images import Image, open_image
from care_bridge.package.store import bundled_models
from care_bridge.runtime.restorer import Restorer
from care_bridge.simulation.lowlight import dim_exposure
from care_bridge.simulation.scenes import SCENES

ZOO = bundled_folder("model_zoo")
Restore = Callable[[np.ndarray], np.ndarray]


@pytest.fixture(scope="module")
def denoise() -> Restore:
    restorer = Restorer("denoise-2d")
    return lambda pixels: restorer.restore_image(Image(pixels, Axes("YX"))).pixels


@pytest.fixture(scope="module")
def nuclei() -> np.ndarray:
    return open_image(ZOO / "samples" / "nuclei_dsb2018_512.tif").pixels


def best_filter(noisy: np.ndarray, truth: np.ndarray) -> float:
    pixels = noisy.astype(np.float32)
    smoothed = [gaussian_filter(pixels, sigma) for sigma in (0.7, 1, 1.5, 2, 2.5, 3, 4)]
    smoothed += [median_filter(pixels, size) for size in (3, 5, 7, 9)]
    return max(care_psnr(image, truth) for image in smoothed)


@pytest.mark.parametrize(("photons", "margin"), [(1, 1.2), (2, 1.0), (4, 0.6)])
def test_denoise_2d_beats_the_best_filter_on_real_nuclei(
    denoise: Restore, nuclei: np.ndarray, photons: float, margin: float
) -> None:
    noisy = dim_exposure(nuclei, photons, seed=42)
    after = care_psnr(denoise(noisy), nuclei)
    assert after > care_psnr(noisy, nuclei) + 6
    assert after > best_filter(noisy, nuclei) + margin


@pytest.mark.parametrize("structure", ["nuclei", "tubules", "granules", "membranes"])
def test_denoise_2d_gains_on_simulated_structures(denoise: Restore, structure: str) -> None:
    """Scenes without the recipe's optics and backgrounds, in the light of 20 photons."""
    scene = SCENES[structure]((256, 256), 0.3, np.random.default_rng(77))
    truth = gaussian_filter(scene, 1.0) / np.percentile(scene, 99.9) + 0.1
    noisy = dim_exposure(truth, 20 * truth.mean(), seed=1)
    assert care_psnr(denoise(noisy), truth) > best_filter(noisy, truth) + 1.0


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_denoise_2d_keeps_grey_levels(
    denoise: Restore, nuclei: np.ndarray, dtype: type[np.generic]
) -> None:
    """Brightness comes back where it was: the mean within 2 % of the structure's range."""
    noisy = dim_exposure(nuclei, 8, seed=3)
    pixels = np.clip(noisy - 90.0, 0, 255).astype(dtype)
    result = denoise(pixels)
    span = np.ptp(np.percentile(pixels, (2, 99.8)))
    assert abs(result.mean() - pixels.mean()) < 0.02 * span


def table_rows(card: str, heading: str) -> dict[str, list[str]]:
    lines = card[card.index(f"| {heading} |") :].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells[2:]}


def test_the_model_card_tells_what_the_model_does(denoise: Restore, nuclei: np.ndarray) -> None:
    card = (ZOO / "denoise-2d" / "README.md").read_text(encoding="utf-8")
    for photons, row in table_rows(card, "photons").items():
        noisy = dim_exposure(nuclei, float(photons), seed=0)
        said = [float(cell.split(" / ")[0]) for cell in row]
        assert said[0] == pytest.approx(care_psnr(noisy, nuclei), abs=0.1)
        assert said[-1] == pytest.approx(care_psnr(denoise(noisy), nuclei), abs=0.2)


def test_the_index_lists_the_bundled_models() -> None:
    index = yaml.safe_load((ZOO / "index.yaml").read_text(encoding="utf-8"))
    assert list(index) == list(bundled_models())
    assert all(isinstance(line, str) and "\n" not in line for line in index.values())


@pytest.mark.parametrize("name", bundled_models())
def test_a_recipe_and_a_card_lie_beside_every_model(name: str) -> None:
    folder: Path = bundled_models()[name]
    assert (folder / "recipe.yaml").is_file()
    assert "# Validation" in (folder / "README.md").read_text(encoding="utf-8")


def test_every_sample_says_where_it_is_from() -> None:
    said = (ZOO / "samples" / "README.md").read_text(encoding="utf-8")
    for sample in (ZOO / "samples").glob("*.tif"):
        assert sample.name in said
