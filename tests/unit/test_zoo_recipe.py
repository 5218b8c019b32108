"""The recipes of the bundled models can be used, and that of denoise-2d goes on to make the images
that it was made from.

The figures were taken from the data set that denoise-2d was trained on. They allow for the last
digits of another processor's arithmetic, not for other random numbers.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from zoo_parts.data import held_out, kind_recipe, simulate
from zoo_parts.recipe import read_recipe, with_tuples

from care_bridge.bundled import bundled_folder
from care_bridge.export.about import About
from care_bridge.images import open_image
from care_bridge.simulation.pairs import PairRecipe, draw_pair
from care_bridge.training.config import parse_config

ZOO = bundled_folder("model_zoo")
MODELS = sorted(path.parent.name for path in ZOO.glob("*/recipe.yaml"))
PLACES = ((0, 0), (100, 37), (255, 128))


@pytest.mark.parametrize("model", MODELS)
def test_a_recipe_can_be_used(model: str, tmp_path: Path) -> None:
    recipe = read_recipe(ZOO / model)
    assert About(**with_tuples(recipe.about)).name == model
    config = parse_config(recipe.training)
    assert config.seed == 1
    for data in (recipe.data, held_out(recipe.data, recipe.held_out)):
        if "scenes" in data:
            PairRecipe(**with_tuples(data["scenes"]))
        for kind in data.get("kinds", ()):
            assert kind_recipe(data, kind, tmp_path).seed == data["seed"]
    assert recipe.held_out["seed"] != recipe.data["seed"]


def test_kinds_are_simulated_once_and_lie_together(tmp_path: Path) -> None:
    data = {
        "seed": 3,
        "common": {"size": [32, 32], "count": 2, "exposure": {"photons": 5}},
        "kinds": {"nuclei": {}, "spheres": {"count": 1, "exposure": {"photons": 500}}},
    }
    simulate(data, tmp_path)
    names = ["nuclei-0000.tif", "nuclei-0001.tif", "spheres-0000.tif"]
    for part in ("source", "GT"):
        assert sorted(file.name for file in (tmp_path / part).iterdir()) == names
    source, truth = (
        open_image(tmp_path / part / names[2]).pixels.astype(float) for part in ("source", "GT")
    )
    assert np.corrcoef(source.ravel(), truth.ravel())[0, 1] > 0.9
    before = (tmp_path / "source" / names[0]).stat().st_mtime_ns
    simulate(data, tmp_path)
    assert (tmp_path / "source" / names[0]).stat().st_mtime_ns == before


@pytest.mark.parametrize(
    ("index", "scene", "photons", "gain", "truth", "source_sum"),
    [
        (0, "tubules", 105.925180961, 6.938374866, (581.2781, 585.0523, 416.3308), 39060428),
        (2, "membranes", 7.045630048, 1.077802999, (428.1292, 427.3708, 422.6350), 27831684),
        (599, "granules", 23.459601375, 4.223249128, (343.7271, 340.2937, 434.3157), 22996515),
    ],
)
def test_denoise_2d_has_its_training_data(
    index: int,
    scene: str,
    photons: float,
    gain: float,
    truth: tuple[float, ...],
    source_sum: int,
) -> None:
    data = read_recipe(ZOO / "denoise-2d").data
    pair = draw_pair(PairRecipe(**with_tuples(data["scenes"])), data["seed"], index)
    assert (data["count"], pair.scene) == (600, scene)
    assert pair.photons == pytest.approx(photons, rel=1e-9)
    assert pair.camera.gain == pytest.approx(gain, rel=1e-9)
    np.testing.assert_allclose([pair.truth[place] for place in PLACES], truth, rtol=1e-5)
    assert int(pair.source.sum()) == pytest.approx(source_sum, rel=1e-5)
