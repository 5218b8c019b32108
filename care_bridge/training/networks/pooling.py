"""Pooling that does not alias: max-pooling, then blurring, then every second pixel (Zhang 2019)."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import conv2d, conv3d, max_pool2d, max_pool3d


class MaxBlurPool(nn.Module):
    """Halve every spatial axis of (B, C, [Z,] Y, X), as the network of N2V2 does (Hoeck et al.
    2022): the maximum of 2 pixels a side, blurred by (1, 2, 1) / 4 along each axis."""

    kernel: Tensor

    def __init__(self, dimensions: int) -> None:
        super().__init__()
        binomial = torch.tensor([0.25, 0.5, 0.25])
        kernel = binomial
        for _ in range(dimensions - 1):
            kernel = kernel[..., None] * binomial
        self.register_buffer("kernel", kernel, persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Pool a batch of even sizes."""
        channels = x.shape[1]
        weights = self.kernel.expand(channels, 1, *self.kernel.shape)
        if x.ndim == 4:
            return conv2d(max_pool2d(x, 2, 1), weights, stride=2, padding=1, groups=channels)
        return conv3d(max_pool3d(x, 2, 1), weights, stride=2, padding=1, groups=channels)
