"""The U-Net of content-aware restoration (Weigert et al. 2018), structured as csbdeep's default."""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, softplus

from care_bridge.training.networks.layers import convolution
from care_bridge.training.networks.pooling import MaxBlurPool

BATCH_NORM_EPS = 1e-3  # Keras's, so that csbdeep's weights mean the same here
_LEAST_SCALE = 1e-3  # csbdeep's


class UNet(nn.Module):
    """A residual U-Net in 2D or 3D: (B, C_in, [Z,] Y, X) to (B, C_out, [Z,] Y, X).

    Sizes are multiples of 2**depth. Each of the `depth` levels has `convolutions` convolutions
    with ReLU, `n_first` filters on the first level and twice as many on each next one, max-pooling
    by 2, nearest upsampling and concatenation. The last convolution of the bottleneck and of each
    decoder level halves the filters, as in csbdeep. The input is added to the output where
    `residual` is set and C_in == C_out. Weights start Glorot uniform, biases at zero.

    batch_norm: after each convolution but the last, as csbdeep does it. blur_pool: MaxBlurPool
    instead of max-pooling. top_skip: concatenate the first level's features too. probabilistic:
    the output has 2 * C_out channels, the means of Laplace distributions and then their scales
    (softplus + 1e-3, as in csbdeep).
    """

    def __init__(
        self,
        *,
        dimensions: int,
        channels_in: int,
        channels_out: int,
        depth: int,
        kernel: int,
        n_first: int,
        convolutions: int,
        residual: bool,
        batch_norm: bool = False,
        blur_pool: bool = False,
        top_skip: bool = True,
        probabilistic: bool = False,
    ) -> None:
        super().__init__()

        def block(n_in: int, n_out: int, n_last: int) -> nn.Sequential:
            channels = [n_in, *[n_out] * (convolutions - 1), n_last]
            return _block(dimensions, kernel, channels, batch_norm)

        filters = [n_first * 2**level for level in range(depth + 1)]
        narrowed = [n_first, *filters[:-1]]
        self.encoder = nn.ModuleList(
            block(n_in, n_out, n_out)
            for n_in, n_out in zip([channels_in, *filters], filters[:depth], strict=False)
        )
        self.bottleneck = block(([channels_in, *filters])[depth], filters[depth], narrowed[depth])
        self.decoder = nn.ModuleList(
            block(
                2 * filters[level] if level or top_skip else filters[0],
                filters[level],
                narrowed[level],
            )
            for level in reversed(range(depth))
        )
        max_pool = nn.MaxPool2d if dimensions == 2 else nn.MaxPool3d
        self.pool = MaxBlurPool(dimensions) if blur_pool else max_pool(2)
        self.last = convolution(dimensions)(narrowed[0], channels_out, 1)
        if probabilistic:
            self.scale = convolution(dimensions)(narrowed[0], channels_out, 1)
        self.probabilistic = probabilistic
        self.residual = residual and channels_in == channels_out
        self.top_skip = top_skip
        self.apply(_glorot)

    def forward(self, x: Tensor) -> Tensor:
        """Restore a batch."""
        features = self._features(x)
        restored: Tensor = self.last(features)
        if self.residual:
            restored = restored + x
        if not self.probabilistic:
            return restored
        scale = softplus(self.scale(features).float()) + _LEAST_SCALE
        return torch.cat([restored, scale], dim=1)

    def _features(self, x: Tensor) -> Tensor:
        skipped = []
        features: Tensor = x
        for level in self.encoder:
            features = level(features)
            skipped.append(features)
            features = self.pool(features)
        features = self.bottleneck(features)
        for level in self.decoder:
            # The same values both ways. interpolate has the faster gradient, and in 2D the faster
            # export: ONNX Runtime keeps its blocked layout through Resize (0.8 of the time and of
            # the memory). In 3D, where it has no such layout, Expand is faster.
            expand = features.ndim == 5 and not self.training
            wide = upsample(features) if expand else interpolate(features, scale_factor=2.0)
            beside = skipped.pop()
            joined = torch.cat([wide, beside], dim=1) if skipped or self.top_skip else wide
            features = level(joined)
        return features


def upsample(x: Tensor) -> Tensor:
    """Nearest upsampling by 2 along every spatial axis of (B, C, [Z,] Y, X).

    Written as unsqueeze, expand and reshape: bit-identical to Resize, and in 3D ONNX Runtime runs
    the exported Expand faster.
    """
    batch, channels, *sizes = x.shape
    repeated = x
    for axis in range(len(sizes)):
        repeated = repeated.unsqueeze(3 + 2 * axis)
    pairs = [extent for size in sizes for extent in (size, 2)]
    repeated = repeated.expand(batch, channels, *pairs)
    return repeated.reshape(batch, channels, *(2 * size for size in sizes))


def _block(dimensions: int, kernel: int, channels: list[int], batch_norm: bool) -> nn.Sequential:
    normalize = nn.BatchNorm2d if dimensions == 2 else nn.BatchNorm3d
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(channels):
        layers.append(convolution(dimensions)(n_in, n_out, kernel, padding="same"))
        if batch_norm:
            layers.append(normalize(n_out, eps=BATCH_NORM_EPS))
        layers.append(nn.ReLU())
    return nn.Sequential(*layers)


def _glorot(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d | nn.Conv3d):
        nn.init.xavier_uniform_(module.weight)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
