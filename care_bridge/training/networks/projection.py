"""A stack projected to a plane by weights that are learned, and the plane restored."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import max_pool3d, relu

from care_bridge.training.defaults import PROJECTOR_POOLINGS
from care_bridge.training.networks.unet import UNet


class Projector(nn.Module):
    """How much each voxel of a stack (B, C, Z, Y, X) counts in its projection, before softmax:
    (B, 1, Z, Y, X).

    A U-Net with one convolution a level and kernels of 3 x 3 x 3, as csbdeep's, which pools along Y
    and X alone: Z may have any size. Y and X are multiples of 2**PROJECTOR_POOLINGS.
    """

    def __init__(self, channels_in: int, n_first: int) -> None:
        super().__init__()
        filters = [n_first * 2**level for level in range(PROJECTOR_POOLINGS + 1)]
        self.encoder = nn.ModuleList(
            nn.Conv3d(n_in, n_out, 3, padding="same")
            for n_in, n_out in zip([channels_in, *filters], filters, strict=False)
        )
        self.decoder = nn.ModuleList(
            nn.Conv3d(filters[level + 1] + filters[level], filters[level], 3, padding="same")
            for level in reversed(range(PROJECTOR_POOLINGS))
        )
        self.last = nn.Conv3d(n_first, 1, 1)
        for module in self.modules():
            if isinstance(module, nn.Conv3d) and module.bias is not None:
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The weights of a batch of stacks."""
        skipped = []
        features = x
        *encoder, bottom = self.encoder
        for level in encoder:
            features = relu(level(features))
            skipped.append(features)
            features = max_pool3d(features, (1, 2, 2))
        features = relu(bottom(features))
        for level in self.decoder:
            joined = torch.cat([_wider(features), skipped.pop()], dim=1)
            features = relu(level(joined))
        weights: Tensor = self.last(features)
        return weights


class ProjectionNetwork(nn.Module):
    """(B, C_in, Z, Y, X) to (B, C_out, Y, X): the mean along Z, weighted by the softmax along Z of
    what the projector gives, then a 2D U-Net (Weigert et al. 2018)."""

    def __init__(self, projector: Projector, unet: UNet) -> None:
        super().__init__()
        self.projector = projector
        self.unet = unet

    def forward(self, x: Tensor) -> Tensor:
        """Project and restore a batch."""
        weights = torch.softmax(self.projector(x), dim=2)
        restored: Tensor = self.unet((weights * x).sum(dim=2))
        return restored


def _wider(x: Tensor) -> Tensor:
    """Nearest upsampling by 2 along Y and X of (B, C, Z, Y, X), see `unet.upsample`."""
    batch, channels, slices, height, width = x.shape
    repeated = x[:, :, :, :, None, :, None]
    repeated = repeated.expand(batch, channels, slices, height, 2, width, 2)
    return repeated.reshape(batch, channels, slices, 2 * height, 2 * width)
