"""A network's outputs for its test tensor, computed as the RDF says, before any inverse scaling.

This is what another consumer computes, so it is what the package's test output is compared with.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from care_bridge.normalization import FixedScale, Scale
from care_bridge.package.spec import ModelSpec
from care_bridge.runtime.session import Session


def predict(
    spec: ModelSpec, session: Session, tensor: NDArray[np.generic]
) -> list[NDArray[np.float32]]:
    """The outputs for `tensor` (the axes of spec.input, grey levels).

    In percentile mode they are in the normalised range, in fixed mode in grey levels.
    """
    order = [spec.input.axes.index(axis) for axis in ("B", "C")]
    source = np.moveaxis(tensor, order, (0, 1))
    normalized = np.stack([_normalized(spec, sample) for sample in source])
    outputs = session.run_all(np.ascontiguousarray(np.moveaxis(normalized, (0, 1), order)))
    if not isinstance(spec.normalization, FixedScale):
        return outputs
    means = spec.normalization.after
    widths = tuple(Scale(gain=scale.gain, offset=0.0) for scale in means)
    scales = means, (means + widths) * spec.member_count
    channel = spec.output.axes.index("C")
    return [_inverted(output, channel, each) for output, each in zip(outputs, scales, strict=False)]


def _inverted(
    output: NDArray[np.float32], channel: int, scales: tuple[Scale, ...]
) -> NDArray[np.float32]:
    channels = zip(scales, np.moveaxis(output, channel, 0), strict=True)
    scaled = np.stack([scale.invert(plane) for scale, plane in channels], axis=channel)
    return scaled.astype(np.float32)


def input_scales(spec: ModelSpec, sample: NDArray[np.generic]) -> tuple[Scale, ...]:
    """The scale of each channel of `sample` (C, …)."""
    if isinstance(spec.normalization, FixedScale):
        return spec.normalization.before
    return tuple(spec.normalization.fit(channel) for channel in sample)


def _normalized(spec: ModelSpec, sample: NDArray[np.generic]) -> NDArray[np.float32]:
    scales = input_scales(spec, sample)
    return np.stack([scale.apply(channel) for scale, channel in zip(scales, sample, strict=True)])
