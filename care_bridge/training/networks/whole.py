"""Networks of several parts, built from plain settings: what a package calls to get its network."""

from __future__ import annotations

from typing import Any

from care_bridge.training.networks.mixture import Mixture
from care_bridge.training.networks.projection import ProjectionNetwork, Projector
from care_bridge.training.networks.unet import UNet


def projection(*, projector_filters: int, channels_in: int, **unet: Any) -> ProjectionNetwork:
    """A projector with `projector_filters` first filters, then a 2D U-Net (`unet`: see UNet)."""
    restoring = UNet(dimensions=2, channels_in=channels_in, **unet)
    return ProjectionNetwork(Projector(channels_in, projector_filters), restoring)


def mixture(*, members: int, **settings: Any) -> Mixture:
    """Several probabilistic U-Nets (`settings`: see UNet) or, where these name
    projector_filters, several of what `projection` builds."""
    build = projection if "projector_filters" in settings else UNet
    return Mixture(build(**settings) for _ in range(members))
