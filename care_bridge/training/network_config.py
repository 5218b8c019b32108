"""The configuration of the networks."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from care_bridge.training.section import Odd, Section

# A network that no memory holds is refused (memory.py) by a size that torch must be able to count.
_Filters = Annotated[int, Field(ge=1, le=1 << 18)]
_Layers = Annotated[int, Field(ge=1, le=64)]


class NetworkConfig(Section):
    """The U-Net.

    axes: "YX" (slices and frames are images of their own), "ZYX", or "auto" by what the images
    have. kernel: pixels, odd; None: 5 in 2D, 3 in 3D. residual: learn the difference to the input
    where both have as many channels. batch_norm: after each convolution but the last. blur_pool:
    pooling that does not alias. top_skip: hand the first level's features to the last one.
    """

    axes: Literal["auto", "YX", "ZYX"] = "auto"
    depth: Annotated[int, Field(ge=1, le=6)] = 2
    kernel: Annotated[Odd, Field(ge=1, le=19)] | None = None
    n_first: _Filters = 32
    convolutions: _Layers = 2
    residual: bool = True
    batch_norm: bool = False
    blur_pool: bool = False
    top_skip: bool = True


class ProjectionConfig(Section):
    """The first stage of a network that projects: n_first filters on its first level."""

    n_first: _Filters = 8


class RcanConfig(Section):
    """The residual channel attention network (networks/rcan.py), and how images are cut for it.

    channels: on all levels. groups, blocks: residual groups, and blocks in each. reduction: of the
    channels in the attention's bottleneck. tile: pixels along [Z,] Y, X, of which an
    eighth is blended; None: by the axes, no smaller than the patches.
    """

    channels: _Filters = 32
    groups: _Layers = 5
    blocks: _Layers = 3
    reduction: Annotated[int, Field(ge=1)] = 8
    tile: tuple[Annotated[int, Field(ge=8)], ...] | None = None
