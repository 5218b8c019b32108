"""The bundled model's training data: its recipe goes on to make the images that it was made from.

The figures were taken from the data set that denoise-2d was trained on. They allow for the last
digits of another processor's arithmetic, not for other random numbers.
"""

from __future__ import annotations

import numpy as np
import pytest
import yaml

from care_bridge.bundled import bundled_folder
from care_bridge.simulation.pairs import PairRecipe, draw_pair

PLACES = ((0, 0), (100, 37), (255, 128))


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
    text = (bundled_folder("model_zoo") / "denoise-2d" / "recipe.yaml").read_text(encoding="utf-8")
    data = yaml.safe_load(text)["data"]
    values = {
        key: tuple(value) if isinstance(value, list) else value
        for key, value in data["recipe"].items()
    }
    pair = draw_pair(PairRecipe(**values), data["seed"], index)
    assert (data["count"], pair.scene) == (600, scene)
    assert pair.photons == pytest.approx(photons, rel=1e-9)
    assert pair.camera.gain == pytest.approx(gain, rel=1e-9)
    np.testing.assert_allclose([pair.truth[place] for place in PLACES], truth, rtol=1e-5)
    assert int(pair.source.sum()) == pytest.approx(source_sum, rel=1e-5)
