"""Which network a configuration asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import nn

from care_bridge.training.config import TrainConfig
from care_bridge.training.networks.rcan import RCAN
from care_bridge.training.networks.unet import UNet
from care_bridge.training.networks.whole import mixture, projection


@dataclass(frozen=True)
class Architecture:
    """What is called, with which arguments, to get a freshly drawn network."""

    build: Callable[..., nn.Module]
    settings: dict[str, Any]

    def network(self) -> nn.Module:
        """The network."""
        return self.build(**self.settings)


def architecture(config: TrainConfig, channels_in: int, channels_out: int) -> Architecture:
    """The network that is trained by a resolved configuration; one member of an ensemble."""
    network = config.network
    if network.kernel is None:
        raise ValueError("the configuration must be resolved before a network is built")
    channels = {"channels_in": channels_in, "channels_out": channels_out}
    if config.task == "rcan":
        settings = {
            "dimensions": len(network.axes),
            "channels": config.rcan.channels,
            "groups": config.rcan.groups,
            "blocks": config.rcan.blocks,
            "reduction": config.rcan.reduction,
            "kernel": network.kernel,
            "residual": network.residual,
        }
        return Architecture(RCAN, channels | settings)
    settings = {
        "depth": network.depth,
        "kernel": network.kernel,
        "n_first": network.n_first,
        "convolutions": network.convolutions,
        "residual": network.residual,
        "batch_norm": network.batch_norm,
        "blur_pool": network.blur_pool,
        "top_skip": network.top_skip,
        "probabilistic": config.probabilistic,
    }
    if config.task == "projection":
        filters = {"projector_filters": config.projection.n_first}
        return Architecture(projection, filters | channels | settings)
    return Architecture(UNet, {"dimensions": len(network.axes)} | channels | settings)


def whole_architecture(config: TrainConfig, channels_in: int, channels_out: int) -> Architecture:
    """The network that is exported: of a probabilistic one the mixture of all members."""
    one = architecture(config, channels_in, channels_out)
    if not config.probabilistic:
        return one
    return Architecture(mixture, {"members": config.members} | one.settings)
