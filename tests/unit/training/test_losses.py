"""Losses against scikit-image and against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import laplace
from skimage.metrics import structural_similarity as skimage_ssim

from care_bridge.training.losses import LOSSES, structural_similarity

RNG = np.random.default_rng(11)


@pytest.mark.parametrize("shape", [(24, 31), (9, 16, 20)], ids=["2d", "3d"])
def test_ssim_is_scikit_images(shape: tuple[int, ...]) -> None:
    one = RNG.random((2, 3, *shape), np.float32)
    other = (one + RNG.normal(0, 0.2, one.shape)).astype(np.float32)
    expected = np.mean(
        [
            skimage_ssim(ours, theirs, win_size=7, data_range=1, use_sample_covariance=False)
            for mine, its in zip(one, other, strict=True)
            for ours, theirs in zip(mine, its, strict=True)
        ]
    )
    found = structural_similarity(torch.from_numpy(one), torch.from_numpy(other))
    assert float(found) == pytest.approx(float(expected), abs=1e-5)


@pytest.mark.parametrize("shape", [(24, 31), (5, 16, 20)], ids=["2d", "3d"])
def test_the_probabilistic_loss_is_scipys_likelihood(shape: tuple[int, ...]) -> None:
    means, targets = RNG.normal(size=(2, 3, 2, *shape)).astype(np.float32)
    scales = RNG.uniform(0.01, 3, means.shape).astype(np.float32)
    expected = -laplace.logpdf(targets.astype(np.float64), means, scales).mean()
    output = torch.from_numpy(np.concatenate([means, scales], axis=1))
    found = LOSSES["laplace"](output, torch.from_numpy(targets))
    assert float(found) == pytest.approx(expected, rel=1e-5)


def test_windows_shrink_to_a_thin_stack() -> None:
    thin = torch.rand(1, 1, 4, 12, 12)
    assert float(structural_similarity(thin, thin)) == pytest.approx(1)


def test_structure_counts_beside_the_error() -> None:
    """Two images with the same absolute error: of one all is brighter, of the other every second
    pixel is brighter and the others are darker, which destroys its structure."""
    truth = torch.from_numpy(RNG.random((1, 1, 16, 16), np.float32))
    brighter = truth + 0.1
    stripes = truth + 0.1 * (-1) ** torch.arange(16)
    for image in (brighter, stripes):
        assert float(LOSSES["mae"](image, truth)) == pytest.approx(0.1, rel=1e-5)
        assert float(LOSSES["mse"](image, truth)) == pytest.approx(0.01, rel=1e-5)
    losses = [float(LOSSES["mae+ssim"](image, truth)) for image in (brighter, stripes)]
    assert 0.1 < losses[0] < losses[1] < 1.1
