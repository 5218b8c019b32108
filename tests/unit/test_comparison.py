"""The table of a model card, read as a reader does."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from care_bridge.evaluation.comparison import as_table, average, compare
from care_bridge.evaluation.metrics import care_psnr

RNG = np.random.default_rng(4)
TRUTH = gaussian_filter(RNG.normal(size=(64, 64)), 4) * 1000 + 500


def noisy(level: float) -> np.ndarray:
    return TRUTH + RNG.normal(0, level, TRUTH.shape)


def cells(table: str) -> list[list[str]]:
    return [[cell.strip() for cell in line.strip("| \n").split("|")] for line in table.splitlines()]


def test_table_names_methods_and_holds_their_figures() -> None:
    image = noisy(40)
    comparison = compare(image, TRUTH + RNG.normal(0, 1, TRUTH.shape), TRUTH)
    head, _, row = cells(as_table("level", {"much": comparison}))
    assert head == ["level", "input", "best Gaussian", "best median", "model"]
    assert row[0] == "much"
    psnrs = [float(cell.split(" / ")[0]) for cell in row[1:]]
    assert psnrs[0] == pytest.approx(care_psnr(image, TRUTH), abs=0.01)
    assert psnrs[0] < psnrs[2] < psnrs[1] < psnrs[3]


def test_average_is_the_mean_of_each_figure() -> None:
    one, two = (compare(noisy(level), TRUTH, TRUTH) for level in (20, 80))
    both = average([one, two])
    for method in ("input", "best Gaussian", "best median"):
        assert both[method].psnr == pytest.approx((one[method].psnr + two[method].psnr) / 2)
        assert both[method].ssim == pytest.approx((one[method].ssim + two[method].ssim) / 2)
