"""The affine map of least squared error between two images, from sums that blocks can share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Moments:
    """Of pairs (x, y): how many, their means, the sum of squared deviations of x from its mean,
    and the sum of the products of both deviations.

    Those of two sets add up to those of their union (Chan, Golub and LeVeque 1983): deviations
    from the mean lose no digits, as sums of squares would.
    """

    count: int = 0
    mean_x: float = 0.0
    mean_y: float = 0.0
    squares_x: float = 0.0
    products: float = 0.0

    @classmethod
    def of(cls, x: NDArray[np.generic], y: NDArray[np.generic]) -> Moments:
        """Those of the pixels of two arrays of one shape; summed in float64."""
        if not x.size:
            return cls()
        first_x, first_y = (float(pixels.flat[0]) for pixels in (x, y))
        # Counted from the first pixel, constant pixels deviate by exactly 0.
        along = x.astype(np.float64) - first_x
        across = y.astype(np.float64) - first_y
        mean_x, mean_y = float(along.mean()), float(across.mean())
        along -= mean_x
        across -= mean_y
        across *= along
        along *= along
        return cls(
            x.size, first_x + mean_x, first_y + mean_y, float(along.sum()), float(across.sum())
        )

    def __add__(self, other: Moments) -> Moments:
        count = self.count + other.count
        if not count:
            return self
        share = other.count / count
        apart_x, apart_y = other.mean_x - self.mean_x, other.mean_y - self.mean_y
        return Moments(
            count,
            self.mean_x + apart_x * share,
            self.mean_y + apart_y * share,
            self.squares_x + other.squares_x + apart_x**2 * self.count * share,
            self.products + other.products + apart_x * apart_y * self.count * share,
        )

    @property
    def gain(self) -> float:
        """Of the map gain * x + offset that is nearest to y; 0 where x is constant."""
        return self.products / self.squares_x if self.squares_x else 0.0

    @property
    def offset(self) -> float:
        """Of the same map."""
        return self.mean_y - self.gain * self.mean_x
