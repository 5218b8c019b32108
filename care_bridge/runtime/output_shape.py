"""Whether a network's outputs have the shapes that its package says."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import InferenceError
from care_bridge.package.spec import TensorSpec


def check_output(output: NDArray[np.float32], described: TensorSpec) -> None:
    """Raise InferenceError where an output has not the axes and channels that are described."""
    channels, channel = len(described.channel_names), described.axes.find("C")
    if output.ndim != len(described.axes) or (channel >= 0 and output.shape[channel] != channels):
        raise InferenceError(
            f'the network\'s output "{described.id}" has the shape {output.shape}, the package '
            f"says the axes {described.axes} with {channels} channels: have the model exported "
            "again"
        )


def check_sizes(output: NDArray[np.generic], expected: Sequence[int]) -> None:
    """Raise InferenceError where an output (CZYX) has not the expected sizes of Z, Y and X."""
    if list(output.shape[1:]) != list(expected):
        raise InferenceError(
            f"the network gives {' x '.join(map(str, output.shape[1:]))} pixels (Z x Y x X) where "
            f"the package says {' x '.join(map(str, expected))}: have the model "
            "exported again"
        )
