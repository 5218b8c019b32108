"""The halo that a network's structure asks for, whatever it has learned."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import nn

from care_bridge.export.graph import run_torch
from care_bridge.runtime.halo import Probed, measure_halo
from care_bridge.tiling import AxisLimits, round_up
from care_bridge.training.networks.mixture import Mixture
from care_bridge.training.networks.projection import ProjectionNetwork

_ANY = AxisLimits(step=1, min=1, halo=0)


def structural_halo(
    network: nn.Module, axes: str, channels: int, limits: Mapping[str, AxisLimits]
) -> dict[str, int]:
    """The halo of `network` in pixels by axis, measured with averaging convolutions.

    A trained network may hardly use its outermost weights, and on an unlucky probe its ReLUs may
    hide them; with positive weights every path shows. axes: "YX" or "ZYX".
    """
    if isinstance(network, Mixture):
        halos = [structural_halo(member, axes, channels, limits) for member in network.members]
        return {axis: max(halo[axis] for halo in halos) for axis in limits}
    if isinstance(network, ProjectionNetwork):
        # The softmax between its stages hides how far the first one looks, so they are added. The
        # second one meets the changes of the first at any pixel, and its reach is that from whole
        # steps of its own.
        first = structural_halo(network.projector, axes, channels, {"Z": _ANY, **limits})
        second = structural_halo(network.unet, axes.removeprefix("Z"), channels, limits)
        step = 2 ** len(network.unet.encoder)
        return {axis: round_up(first[axis], step) + second[axis] for axis in limits}
    averaging = copy.deepcopy(network)
    with torch.no_grad():
        for module in averaging.modules():
            if isinstance(module, nn.Conv2d | nn.Conv3d):
                module.weight.fill_(1 / math.prod(module.weight.shape[1:]))
                if module.bias is not None:
                    module.bias.zero_()
            elif isinstance(module, nn.BatchNorm2d | nn.BatchNorm3d):
                module.reset_parameters()  # it passes everything on as it is
    return measure_halo(Probed(lambda x: run_torch(averaging, x), f"BC{axes}", channels, limits))
