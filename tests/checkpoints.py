"""Networks as training leaves them, made without training."""

from __future__ import annotations

import numpy as np

from care_bridge.normalization import Scale
from care_bridge.training.checkpoint import Checkpoint, Example, build_network
from care_bridge.training.config import parse_config
from care_bridge.training.scales import Intensities
from tests.packages import test_image

SOURCE_SCALE = Scale(gain=55.0, offset=150.0)
TARGET_SCALE = Scale(gain=70.0, offset=140.0)


def untrained(
    axes: str = "YX",
    *,
    channels_in: int = 1,
    channels_out: int = 1,
    mode: str = "percentile",
    kernel: int = 3,
    depth: int = 2,
) -> Checkpoint:
    """A checkpoint with a freshly drawn small U-Net of four first filters."""
    config = parse_config(
        {
            "network": {"axes": axes, "n_first": 4, "kernel": kernel, "depth": depth},
            "normalization": {"mode": mode},
        }
    ).resolved(axes)
    network = build_network(config, channels_in, channels_out).requires_grad_(False).eval()
    dims = len(axes)
    return Checkpoint(
        config=config,
        network=network,
        axes=axes,
        channels_in=channels_in,
        channels_out=channels_out,
        step=123,
        validation={"psnr": 31.25, "psnr_input": 20.5},
        example=Example(
            test_image(dims, channels_in)[0].astype(np.uint16), test_image(dims, channels_out)[0]
        ),
        intensities=Intensities((SOURCE_SCALE,) * channels_in, (TARGET_SCALE,) * channels_out),
        images={"training": ["a.tif", "b.tif"], "validation": ["c.tif"]},
        versions={"torch": "2"},
    )
