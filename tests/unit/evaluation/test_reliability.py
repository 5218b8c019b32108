"""Calibration of drawn data, intervals and divergences against numerical integration."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from care_bridge.errors import ImageError
from care_bridge.evaluation.reliability import (
    Laplaces,
    calibration,
    fitted_spread,
    laplaces_from_channels,
)

RNG = np.random.default_rng(5)
MEANS = RNG.normal(0.4, 0.3, (1, 200, 300))
SCALES = RNG.gamma(3, 0.02, MEANS.shape)
DRAWN = RNG.laplace(MEANS[0], SCALES[0])
GRID = np.linspace(-6, 7, 400_001)


def density(mean: float, scale: float) -> np.ndarray:
    return np.exp(-np.abs(GRID - mean) / scale) / (2 * scale)


def mixture(members: list[tuple[float, float]]) -> np.ndarray:
    return np.mean([density(*member) for member in members], axis=0)


def laplaces(members: list[tuple[float, float]]) -> Laplaces:
    means, scales = np.array(members).T
    return Laplaces(means[:, None], scales[:, None])


ENSEMBLES = [
    pytest.param([(0.2, 0.1), (0.25, 0.05), (0.9, 0.2)], id="three"),
    pytest.param([(0.0, 0.03), (1.0, 0.03)], id="apart"),
    pytest.param([(0.5, 0.1)] * 4, id="equal"),
]


def test_data_from_the_predicted_distribution_lies_on_the_diagonal() -> None:
    found = calibration(DRAWN, Laplaces(MEANS, SCALES))
    assert found.error < 0.01
    np.testing.assert_allclose(found.accuracies, found.confidences, atol=0.01)
    assert found.verdict == "calibrated"


@pytest.mark.parametrize(
    ("factor", "verdict"),
    [(0.5, "intervals too narrow"), (2.0, "intervals too wide")],
)
def test_wrong_widths_are_seen(factor: float, verdict: str) -> None:
    found = calibration(DRAWN, Laplaces(MEANS, factor * SCALES))
    # An interval of confidence c reaches s ln(1/(1-c)); with s off by the factor it holds this:
    confidences = np.array(found.confidences)
    np.testing.assert_allclose(found.accuracies, 1 - (1 - confidences) ** factor, atol=0.01)
    assert found.error > 0.1
    assert found.verdict == verdict


def test_data_from_a_mixture_lies_on_the_diagonal() -> None:
    means = np.stack([MEANS[0], MEANS[0] + 0.2, MEANS[0] - 0.05])
    scales = np.stack([SCALES[0], 0.5 * SCALES[0], 2 * SCALES[0]])
    chosen = RNG.integers(3, size=MEANS.shape[1:])[None]
    mean = np.take_along_axis(means, chosen, 0)[0]
    scale = np.take_along_axis(scales, chosen, 0)[0]
    assert calibration(RNG.laplace(mean, scale), Laplaces(means, scales)).error < 0.01


@pytest.mark.parametrize("spread", [0.3, 1.0, 2.5])
def test_the_spread_of_a_mixture_is_found(spread: float) -> None:
    means = np.stack([MEANS[0], MEANS[0] + 0.2, MEANS[0] - 0.05])
    scales = np.stack([SCALES[0], 0.5 * SCALES[0], 2 * SCALES[0]])
    chosen = RNG.integers(3, size=MEANS.shape[1:])[None]
    drawn = RNG.laplace(*(np.take_along_axis(each, chosen, 0)[0] for each in (means, scales)))
    middle = means.mean(axis=0)
    truth = middle + spread * (drawn - middle)
    predicted = Laplaces(means, scales)
    found = fitted_spread(truth, predicted)
    assert found == pytest.approx(spread, rel=0.02)
    narrowed = predicted.spread(found)
    assert calibration(truth, narrowed).error < 0.01
    np.testing.assert_allclose(narrowed.mean(), predicted.mean())
    np.testing.assert_allclose(narrowed.disagreement(), predicted.disagreement(), rtol=1e-9)


def test_affine_maps_of_everything_change_nothing() -> None:
    scaled = calibration(DRAWN, Laplaces(MEANS, SCALES))
    grey = calibration(100 + 500 * DRAWN, Laplaces(100 + 500 * MEANS, 500 * SCALES))
    np.testing.assert_allclose(grey.accuracies, scaled.accuracies, atol=1e-4)


def test_interval_of_one_laplace_is_the_formula() -> None:
    lower, upper = laplaces([(0.3, 0.1)]).interval(0.9)
    assert lower[0] == pytest.approx(0.3 - 0.2303, abs=1e-4)
    assert upper[0] == pytest.approx(0.3 + 0.2303, abs=1e-4)


@pytest.mark.parametrize("members", ENSEMBLES)
@pytest.mark.parametrize("confidence", [0.5, 0.9])
def test_intervals_hold_their_share(members: list[tuple[float, float]], confidence: float) -> None:
    lower, upper = laplaces(members).interval(confidence)
    summed = np.cumsum(mixture(members)) * (GRID[1] - GRID[0])
    at = np.interp([lower[0], upper[0]], GRID, summed)
    np.testing.assert_allclose(at, [(1 - confidence) / 2, (1 + confidence) / 2], atol=1e-3)


@pytest.mark.parametrize("members", ENSEMBLES)
def test_spread_and_disagreement_equal_integrals(members: list[tuple[float, float]]) -> None:
    step = GRID[1] - GRID[0]
    mixed = mixture(members)
    mean = np.sum(GRID * mixed) * step
    variance = np.sum((GRID - mean) ** 2 * mixed) * step
    predicted = laplaces(members)
    assert predicted.mean()[0] == pytest.approx(mean, abs=1e-4)
    assert predicted.standard_deviation()[0] == pytest.approx(np.sqrt(variance), rel=1e-3)
    own = [density(*member) + 1e-300 for member in members]
    divergences = [np.sum(p * np.log(p / (mixed + 1e-300))) * step for p in own]
    expected = np.mean(divergences) / np.log(len(members))
    assert predicted.disagreement()[0] == pytest.approx(expected, abs=0.025)


def test_one_member_agrees_with_itself() -> None:
    assert not Laplaces(MEANS, SCALES).disagreement().any()


@pytest.mark.parametrize(
    ("draw", "verdict"),
    [
        pytest.param(lambda rng, size: rng.laplace(0, 1, size), "calibrated", id="itself"),
        pytest.param(lambda rng, size: rng.laplace(0, 2, size), "intervals too narrow", id="twice"),
        pytest.param(lambda rng, size: rng.laplace(0, 0.5, size), "intervals too wide", id="half"),
        pytest.param(
            lambda rng, size: rng.laplace(0, 1, size) * rng.choice([0.2, 3], size),
            "intervals too wide in the middle, too narrow outside",
            id="heavier-tails",
        ),
        pytest.param(
            lambda rng, size: rng.uniform(-1.6, 1.6, size),
            "intervals too narrow in the middle, too wide outside",
            id="no-tails",
        ),
    ],
)
def test_the_verdict_is_that_of_the_whole_curve(
    draw: Callable[[np.random.Generator, int], np.ndarray], verdict: str
) -> None:
    """Truth of five shapes, predicted as a Laplace distribution of scale 1."""
    truth = draw(np.random.default_rng(0), 100_000)
    predicted = Laplaces(np.zeros((1, truth.size)), np.ones((1, truth.size)))
    assert calibration(truth, predicted).verdict == verdict


def test_channels_are_members_of_means_and_scales() -> None:
    channels = np.arange(1, 9, dtype=np.float32)[:, None, None] * np.ones((8, 3, 4), np.float32)
    predicted = laplaces_from_channels(channels, 2)
    assert predicted.means[:, :, 0, 0].tolist() == [[1, 2], [5, 6]]
    assert predicted.scales[:, :, 0, 0].tolist() == [[3, 4], [7, 8]]


@pytest.mark.parametrize(
    ("truth", "means", "scales", "message"),
    [
        pytest.param(DRAWN[1:], MEANS, SCALES, r"\(199, 300\)", id="shapes"),
        pytest.param(DRAWN, MEANS, SCALES[:, 1:], r"\(1, 199, 300\)", id="scales-shape"),
        pytest.param(DRAWN, MEANS, 0 * SCALES, "must be positive", id="zero-scale"),
        pytest.param(DRAWN, MEANS * np.nan, SCALES, "NaN", id="nan-mean"),
        pytest.param(DRAWN * np.nan, MEANS, SCALES, "NaN", id="nan-truth"),
    ],
)
def test_what_cannot_be_judged(
    truth: np.ndarray, means: np.ndarray, scales: np.ndarray, message: str
) -> None:
    with pytest.raises(ImageError, match=message):
        calibration(truth, Laplaces(means, scales))


def test_channels_that_are_no_members() -> None:
    with pytest.raises(ImageError, match="a multiple of 2"):
        laplaces_from_channels(np.ones((3, 4, 4)), 1)
