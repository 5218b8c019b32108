"""The bundled models: what they do on images that training has not seen, and what is said of
them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, median_filter
from zoo_parts.data import held_out, simulate
from zoo_parts.figures import overall, read_figures
from zoo_parts.making import export, learn, publish
from zoo_parts.measuring import PlainMethods, best_plain, mean_of
from zoo_parts.recipe import ZooRecipe, read_recipe

from care_bridge.axes import Axes
from care_bridge.bundled import bundled_folder
from care_bridge.evaluation.metrics import care_psnr
from care_bridge.images import Image, open_image
from care_bridge.package.store import bundled_models
from care_bridge.runtime.options import RestoreOptions
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


@pytest.mark.parametrize("model", bundled_models())
def test_a_model_does_what_its_figures_say(model: str, tmp_path: Path) -> None:
    """The held-out images made again and restored; PSNR by its definition in the CARE paper."""
    recipe = read_recipe(ZOO / model)
    simulate(held_out(recipe.data, recipe.held_out), tmp_path)
    restorer = Restorer(model, RestoreOptions(device="cpu"))
    found: dict[str, list[float]] = {"input": [], "restored": []}
    for file in sorted((tmp_path / "GT").iterdir()):
        truth, noisy = open_image(file), open_image(tmp_path / "source" / file.name)
        restored = restorer.restore_image(noisy)
        found["restored"].append(care_psnr(restored.pixels, truth.pixels))
        if noisy.pixels.shape == truth.pixels.shape:
            found["input"].append(care_psnr(noisy.pixels, truth.pixels))
    said = overall(read_figures(ZOO / model)["held_out"])
    assert said["images"] == len(found["restored"])
    for method, psnrs in found.items():
        if psnrs:
            assert np.mean(psnrs) == pytest.approx(said[method][0], abs=0.1)


@pytest.mark.parametrize("model", bundled_models())
def test_a_model_beats_every_plain_method(model: str) -> None:
    figures = read_figures(ZOO / model)
    said = overall(figures["held_out"])
    assert said["restored"][0] > said[best_plain(said)][0] + 0.3
    if "real" in figures:
        mean = mean_of(figures["real"].values())
        assert mean["restored"][0] > mean[best_plain(mean)][0]


@pytest.mark.parametrize("model", bundled_models())
def test_a_model_is_small_and_has_what_belongs_to_it(model: str) -> None:
    """All are carried in the wheel."""
    folder = bundled_models()[model]
    assert {"recipe.yaml", "figures.yaml", "README.md", "cover.png"} <= {
        file.name for file in folder.iterdir()
    }
    assert sum(file.stat().st_size for file in folder.iterdir()) < 5e6


def test_all_models_together_are_small() -> None:
    sizes = [file.stat().st_size for file in ZOO.rglob("*") if file.is_file()]
    assert sum(sizes) < 27e6


def test_a_recipe_makes_a_package_with_its_figures(tmp_path: Path) -> None:
    nuclei = {"count": 3, "exposure": {"photons": [20, 40]}}
    recipe = ZooRecipe(
        name="tiny-zoo",
        summary="Denoises a little",
        about={"name": "tiny-zoo", "description": "Denoises a little", "tags": ["nuclei"]},
        data={"seed": 1, "common": {"size": [64, 64]}, "kinds": {"nuclei": nuclei}},
        training={
            "patches": {"size": [32, 32], "background": 0, "validation_batches": 1},
            "network": {"n_first": 4, "depth": 1, "kernel": 3},
            "training": {"steps": 2, "steps_per_epoch": 1, "batch_size": 2},
        },
        held_out={"seed": 2, "count": 1},
    )
    work, model = tmp_path / "work", tmp_path / "zoo" / "tiny-zoo"
    learn(recipe, work)
    learn(recipe, work)  # there is nothing left to do
    plain = PlainMethods(work / "plain.json")
    publish(recipe, export(recipe, work), work, plain, None, model)
    said = overall(read_figures(model)["held_out"])
    noisy, truth = (
        open_image(work / "held_out" / part / "nuclei-0000.tif").pixels for part in ("source", "GT")
    )
    assert said["input"][0] == pytest.approx(care_psnr(noisy, truth), abs=0.01)
    assert best_filter(noisy, truth) <= said[best_plain(said)][0] + 0.01
    card = (model / "README.md").read_text(encoding="utf-8")
    assert f"{said['restored'][0]:.2f}" in card


def test_every_sample_says_where_it_is_from() -> None:
    said = (ZOO / "samples" / "README.md").read_text(encoding="utf-8")
    for sample in (ZOO / "samples").glob("*.tif"):
        assert sample.name in said
