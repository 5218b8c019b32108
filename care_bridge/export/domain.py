"""What images a model was trained for, in a form that programs can read."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from care_bridge.axes import rdf_id
from care_bridge.export.about import About
from care_bridge.training.checkpoint import Checkpoint

# Of the median of absolute values to the standard deviation of Gaussian noise, and of the second
# differences (weights 1, -2, 1) of noise to the noise itself.
_MEDIAN_TO_DEVIATION = 1.4826
_SECOND_DIFFERENCES = 6**0.5


def domain_content(checkpoint: Checkpoint, about: About) -> dict[str, object]:
    """config.care_bridge.domain: modality; pixel_size, the lowest and the highest by axis in
    micrometres; noise, see `example_noise`. What is not known is left out."""
    content: dict[str, object] = {}
    if about.modality:
        content["modality"] = about.modality
    sizes = pixel_size(checkpoint, about)
    if sizes:
        ranges = {rdf_id(axis): [low, high] for axis, (low, high) in sizes.items()}
        content["pixel_size"] = {"unit": "micrometer", **ranges}
    noise = example_noise(checkpoint)
    if noise:
        content["noise"] = round(noise, 4)
    return content


def pixel_size(checkpoint: Checkpoint, about: About) -> Mapping[str, tuple[float, float]]:
    """What is told of the training images' pixel size, lowest and highest in micrometres by axis;
    else what their files say."""
    return about.pixel_size or checkpoint.pixel_size


def example_noise(checkpoint: Checkpoint) -> float:
    """The noise of the run's example, a standard deviation in parts of the span between its
    normalization's percentiles; 0 for models that others trained, whose example is any image.

    From second differences along X, of which structure has few (after Immerkaer 1996, with the
    median for the mean); the largest of all channels.
    """
    if checkpoint.imported:
        return 0.0
    limits = checkpoint.config.normalization
    found = []
    for channel in checkpoint.example.source.astype(np.float64):
        low, high = np.percentile(channel, (limits.low, limits.high))
        second = np.diff(channel, 2, axis=-1)
        spread = _MEDIAN_TO_DEVIATION * np.median(np.abs(second - np.median(second)))
        found.append(float(spread / _SECOND_DIFFERENCES / (high - low or 1.0)))
    return max(found)


def noise_line(checkpoint: Checkpoint) -> str:
    """The example's noise for people; "" where it is not known."""
    noise = example_noise(checkpoint)
    return f"{100 * noise:.2g} % of the span between its percentiles" if noise else ""
