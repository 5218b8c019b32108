"""Layers in 2D or 3D."""

from __future__ import annotations

from torch import nn


def convolution(dimensions: int) -> type[nn.Conv2d] | type[nn.Conv3d]:
    """The convolution of 2 or 3 dimensions."""
    return nn.Conv2d if dimensions == 2 else nn.Conv3d
