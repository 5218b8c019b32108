"""What training makes small: functions of the network's output and its target, both normalised."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, avg_pool3d, l1_loss, mse_loss

Loss = Callable[[Tensor, Tensor], Tensor]

_WINDOW = 7
_C1, _C2 = 0.01**2, 0.03**2


def structural_similarity(one: Tensor, other: Tensor) -> Tensor:
    """Mean SSIM (Wang et al. 2004) of two batches (B, C, [Z,] Y, X), for a data range of 1.

    Uniform windows of 7 pixels a side, or of the image's size where that is smaller; only windows
    that lie inside the image.
    """
    pool = avg_pool2d if one.ndim == 4 else avg_pool3d
    window = tuple(min(_WINDOW, size) for size in one.shape[2:])

    def mean(values: Tensor) -> Tensor:
        return pool(values, window, stride=1)

    mean_one, mean_other = mean(one), mean(other)
    variance_one = mean(one * one) - mean_one**2
    variance_other = mean(other * other) - mean_other**2
    covariance = mean(one * other) - mean_one * mean_other
    luminance = (2 * mean_one * mean_other + _C1) / (mean_one**2 + mean_other**2 + _C1)
    structure = (2 * covariance + _C2) / (variance_one + variance_other + _C2)
    return torch.mean(luminance * structure)


def absolute_and_structure(output: Tensor, target: Tensor) -> Tensor:
    """Mean absolute error plus 1 - SSIM."""
    return l1_loss(output, target) + 1 - structural_similarity(output, target)


def laplace(output: Tensor, target: Tensor) -> Tensor:
    """Mean negative log-likelihood of `target` (B, C, …) under Laplace distributions, whose means
    and scales are the halves of `output` (B, 2 * C, …): |mean - target| / scale + ln(2 scale)."""
    mean, scale = torch.chunk(output, 2, dim=1)
    return torch.mean(torch.abs(mean - target) / scale + torch.log(scale)) + math.log(2)


def over_known(loss: Loss) -> Loss:
    """`loss` over the pixels whose target is known: it is NaN at the others."""

    def over_known_pixels(output: Tensor, target: Tensor) -> Tensor:
        known = ~torch.isnan(target)
        return loss(output[known], target[known])

    return over_known_pixels


LOSSES: Mapping[str, Loss] = {
    "mae": l1_loss,
    "mse": mse_loss,
    "mae+ssim": absolute_and_structure,
    "laplace": laplace,
}
"""By the configuration's training.loss."""
