"""Residual channel attention networks (Zhang et al., ECCV 2018; in 3D: Chen et al., Nature Methods
2021), after the description in the papers."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from care_bridge.training.networks.layers import convolution


class Attention(nn.Module):
    """Weighs the channels of (B, C, [Z,] Y, X) by what they hold on average over the whole image,
    through a bottleneck of C // reduction channels."""

    def __init__(self, dimensions: int, channels: int, reduction: int) -> None:
        super().__init__()
        layer = convolution(dimensions)
        self.squeeze = layer(channels, max(channels // reduction, 1), 1)
        self.excite = layer(max(channels // reduction, 1), channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """The weighted channels."""
        # A sum, because ONNX's ReduceMean is another one from opset 18 on.
        means = x.sum(dim=tuple(range(2, x.ndim)), keepdim=True) / math.prod(x.shape[2:])
        return x * torch.sigmoid(self.excite(torch.relu(self.squeeze(means))))


class AttentionBlock(nn.Module):
    """Two convolutions and channel attention, added to what came in."""

    def __init__(self, dimensions: int, channels: int, reduction: int, kernel: int) -> None:
        super().__init__()
        layer = convolution(dimensions)
        self.layers = nn.Sequential(
            layer(channels, channels, kernel, padding="same"),
            nn.ReLU(),
            layer(channels, channels, kernel, padding="same"),
            Attention(dimensions, channels, reduction),
        )

    def forward(self, x: Tensor) -> Tensor:
        """One block."""
        added: Tensor = x + self.layers(x)
        return added


class ResidualGroup(nn.Module):
    """Blocks and a convolution, added to what came in."""

    def __init__(
        self, dimensions: int, channels: int, reduction: int, kernel: int, blocks: int
    ) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *(AttentionBlock(dimensions, channels, reduction, kernel) for _ in range(blocks)),
            convolution(dimensions)(channels, channels, kernel, padding="same"),
        )

    def forward(self, x: Tensor) -> Tensor:
        """One group."""
        added: Tensor = x + self.layers(x)
        return added


class RCAN(nn.Module):
    """(B, C_in, [Z,] Y, X) to (B, C_out, [Z,] Y, X), of any size.

    A convolution, `groups` of `blocks`, another convolution, added to the first one's result, and
    one to the output. Normalised images are seen as 2 x - 1, and the output is taken back from
    there. `residual`: the input is added to the output where both have as many channels.
    """

    def __init__(
        self,
        *,
        dimensions: int,
        channels_in: int,
        channels_out: int,
        channels: int,
        groups: int,
        blocks: int,
        reduction: int,
        kernel: int,
        residual: bool,
    ) -> None:
        super().__init__()
        layer = convolution(dimensions)
        self.first = layer(channels_in, channels, kernel, padding="same")
        self.groups = nn.Sequential(
            *(
                ResidualGroup(dimensions, channels, reduction, kernel, blocks)
                for _ in range(groups)
            ),
            layer(channels, channels, kernel, padding="same"),
        )
        self.last = layer(channels, channels_out, kernel, padding="same")
        self.residual = residual and channels_in == channels_out

    def forward(self, x: Tensor) -> Tensor:
        """Restore a batch."""
        centred = 2 * x - 1
        features = self.first(centred)
        restored: Tensor = self.last(features + self.groups(features))
        if self.residual:
            restored = restored + centred
        return (restored + 1) / 2
