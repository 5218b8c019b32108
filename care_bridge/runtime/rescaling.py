"""Giving a restored image the grey levels of another image of the same scene."""

from __future__ import annotations

import math

import numpy as np

from care_bridge.errors import ImageError
from care_bridge.evaluation.least_squares import Moments
from care_bridge.images.source import ImageSink, ImageSource, boxes_of, whole
from care_bridge.normalization import Scale
from care_bridge.runtime.progress import Progress
from care_bridge.runtime.scaling import scale_back

# Pixels read at a time from each of the two images; about 40 bytes are needed for each.
_BLOCK = 1 << 20


def fit_to_truth(
    restored: ImageSource, truth: ImageSource, progress: Progress | None = None
) -> tuple[Scale, ...]:
    """For each channel the gain and the offset with which `restored` is nearest to `truth` by
    least squares, over all samples, frames and slices: truth ~ scale.invert(restored).

    Pixels that are not finite in either are left out. Both are read once, in blocks. Raises
    ImageError where their shapes differ, or where nothing can be fitted: a constant image, or one
    that becomes brighter where the other becomes darker.
    """
    shape, other = restored.info.canonical_shape, truth.info.canonical_shape
    if shape != other:
        raise ImageError(
            f"the result has shape {restored.info.shape} ({restored.info.axes}), the image to "
            f"rescale to {truth.info.shape} ({truth.info.axes}): they must show the same pixels"
        )
    moments = [Moments()] * shape[2]
    done = 0
    for box in boxes_of(whole(restored.info), restored.pieces, _BLOCK):
        ours, theirs = restored.read(box), truth.read(box)
        for number, channel in enumerate(range(box[2].start, box[2].stop)):
            x, y = ours[:, :, number], theirs[:, :, number]
            known = np.isfinite(x) & np.isfinite(y)
            if not known.all():
                x, y = x[known], y[known]
            moments[channel] += Moments.of(x, y)
        done += ours.size
        if progress:
            progress(done, math.prod(shape))
    return tuple(_scale(fitted, channel) for channel, fitted in enumerate(moments, 1))


def rescale(
    restored: ImageSource,
    scales: tuple[Scale, ...],
    sink: ImageSink,
    progress: Progress | None = None,
) -> None:
    """Write `restored` into `sink` with each channel inverted by its scale, in the sink's type.

    In integers, pixels that are not a number become 0.
    """
    dtype = sink.info.dtype
    done = 0
    for box in boxes_of(whole(restored.info), restored.pieces, _BLOCK):
        pixels = restored.read(box)
        lost = np.isnan(pixels) if dtype.kind == "u" else False
        np.copyto(pixels, 0, where=lost)
        result = np.empty(pixels.shape, dtype)
        for number, scale in enumerate(scales[box[2]]):
            scale_back(scale, pixels[:, :, number], result[:, :, number])
        np.copyto(result, 0, where=lost)
        sink.write(box, result)
        done += pixels.size
        if progress:
            progress(done, math.prod(restored.info.canonical_shape))


def _scale(moments: Moments, channel: int) -> Scale:
    if not moments.squares_x:
        raise ImageError(
            f"channel {channel} of the result is constant ({moments.mean_x:g}): it cannot be "
            "rescaled to another image"
        )
    if moments.gain <= 0:
        raise ImageError(
            f"channel {channel} of the result becomes darker where the image to rescale to becomes "
            f"brighter (gain {moments.gain:.3g}): give an image of the same scene"
        )
    return Scale(gain=moments.gain, offset=moments.offset)
