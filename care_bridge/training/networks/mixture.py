"""Probabilistic networks as one: what each predicts, and the mean of all."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Mixture(nn.Module):
    """M probabilistic networks, each (B, C_in, …) to the means and the scales of C Laplace
    distributions (B, 2 * C, …); their predictions count equally (Weigert et al. 2018)."""

    def __init__(self, members: Iterable[nn.Module]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The mixtures' means (B, C, …), and the members' outputs after each other
        (B, 2 * M * C, …)."""
        outputs = [member(x) for member in self.members]
        means = [output[:, : output.shape[1] // 2] for output in outputs]
        # A sum of a few tensors, not a mean over a new axis: ONNX engines keep their layout.
        total = means[0]
        for mean in means[1:]:
            total = total + mean
        return total / len(means), torch.cat(outputs, dim=1)
