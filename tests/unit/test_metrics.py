"""The metrics against scikit-image and numpy's own least squares."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from care_bridge.errors import ImageError, MissingExtraError
from care_bridge.evaluation import metrics
from care_bridge.evaluation.metrics import care_figures, care_psnr, psnr

RNG = np.random.default_rng(11)
TRUTH = RNG.gamma(2.0, 300.0, (48, 64)).astype(np.uint16)
NOISY = (0.3 * TRUTH + RNG.normal(40, 60, TRUTH.shape)).astype(np.float32)


def by_least_squares(image: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.percentile(truth.astype(np.float64), (0.1, 99.9))
    scaled = (truth - low) / (high - low)
    columns = np.stack([image.ravel().astype(np.float64), np.ones(image.size)], axis=1)
    (alpha, beta), *_ = np.linalg.lstsq(columns, scaled.ravel(), rcond=None)
    return alpha * image.astype(np.float64) + beta, scaled


def test_paper_metric_equals_least_squares_and_scikit_image() -> None:
    fitted, scaled = by_least_squares(NOISY, TRUTH)
    figures = care_figures(NOISY, TRUTH)
    assert figures.psnr == pytest.approx(
        peak_signal_noise_ratio(scaled, fitted, data_range=1.0), abs=1e-4
    )
    assert figures.nrmse == pytest.approx(np.sqrt(np.mean((fitted - scaled) ** 2)), rel=1e-5)
    assert figures.ssim == pytest.approx(
        structural_similarity(scaled, fitted, data_range=1.0), abs=1e-5
    )


def test_plain_psnr_equals_scikit_image() -> None:
    truth, image = TRUTH, np.clip(NOISY, 0, 65535).astype(np.uint16)
    expected = peak_signal_noise_ratio(truth, image, data_range=4000)
    assert psnr(image, truth, 4000) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 0.01, 300.0])
@pytest.mark.parametrize("shift", [0.0, -50.0, 1000.0])
def test_paper_metric_is_blind_to_brightness_and_contrast(scale: float, shift: float) -> None:
    changed = NOISY.astype(np.float64) * scale + shift
    assert care_psnr(changed, TRUTH) == pytest.approx(care_psnr(NOISY, TRUTH), abs=1e-4)


def test_less_noise_is_better() -> None:
    noise = RNG.normal(0, 1, TRUTH.shape)
    found = [care_psnr(TRUTH + level * noise, TRUTH) for level in (10, 50, 250)]
    assert found[0] > found[1] + 10 > found[2] + 20


def test_blank_image_explains_nothing() -> None:
    low, high = np.percentile(TRUTH, (0.1, 99.9))
    expected = -20 * np.log10(TRUTH.astype(np.float64).std() / (high - low))
    assert care_psnr(np.full(TRUTH.shape, 7), TRUTH) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize(
    ("image", "truth", "message"),
    [
        pytest.param(NOISY, np.full(NOISY.shape, 5), "blank", id="blank-truth"),
        pytest.param(NOISY[:-1], TRUTH, r"\(47, 64\).*\(48, 64\)", id="shapes"),
    ],
)
def test_what_cannot_be_compared(image: np.ndarray, truth: np.ndarray, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        care_psnr(image, truth)


def test_too_small_for_ssim() -> None:
    with pytest.raises(ImageError, match="window of 7"):
        care_figures(NOISY[:5], TRUTH[:5])


def test_ssim_is_left_out_where_scikit_image_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "find_spec", lambda name: None)
    figures = care_figures(NOISY, TRUTH)
    assert figures.ssim is None
    assert figures.psnr == pytest.approx(care_psnr(NOISY, TRUTH))
    with pytest.raises(MissingExtraError, match="evaluate"):
        metrics.structural_similarity(NOISY, TRUTH)


def test_psnr_and_camera_do_without_scipy_and_scikit_image() -> None:
    """The demo runs on the base install, which has neither."""
    code = (
        "import sys, numpy, care_bridge.simulation.camera\n"
        "from care_bridge.evaluation.metrics import care_psnr\n"
        "care_psnr(numpy.eye(9), numpy.eye(9))\n"
        "print(*{'scipy', 'skimage'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
