"""The search for a setting, on scores whose highest value is known."""

from __future__ import annotations

import numpy as np
import pytest

from care_bridge.evaluation.best_setting import Dial, best_setting, octaves

SIGMAS = octaves(0.125, 32, (0.5, 4.0))
SIZES = Dial(tuple(range(3, 42, 2)), range(5))


@pytest.mark.parametrize("top", [0.2, 0.5, 1.3, 4.0, 23.0])
def test_the_top_is_found_inside_and_outside_of_the_coarse_values(top: float) -> None:
    (found,) = best_setting(lambda sigma: -abs(np.log(sigma / top)), [SIGMAS])
    assert found == pytest.approx(top, rel=2 ** (1 / 16) - 1 + 1e-9)


@pytest.mark.parametrize("top", [(0.3, 3), (2.0, 9), (9.0, 31)])
def test_two_dials_that_depend_on_each_other(top: tuple[float, int]) -> None:
    def score(sigma: float, size: float) -> float:
        along, across = np.log(sigma / top[0]), np.log(size / top[1])
        return float(-(along**2) - across**2 - along * across)

    sigma, size = best_setting(score, [SIGMAS, SIZES])
    assert sigma == pytest.approx(top[0], rel=0.1)
    assert size == pytest.approx(top[1], abs=2)


def test_a_score_that_rises_for_ever_ends_at_the_last_value() -> None:
    assert best_setting(lambda sigma: sigma, [SIGMAS]) == (SIGMAS.values[-1],)
