"""The sampling grid of a simulated field of view."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Grid:
    """Pixels of a plane (YX) or a volume (ZYX).

    shape: pixels by axis. spacing: micrometres between them, by axis. Pixel i of an axis has its
    centre at i * spacing.
    """

    shape: tuple[int, ...]
    spacing: tuple[float, ...]

    @property
    def dimensions(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def extent(self) -> NDArray[np.float64]:
        """Micrometres by axis."""
        return np.asarray(np.array(self.shape) * np.array(self.spacing), np.float64)
