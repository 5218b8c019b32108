"""How noisy the images are that a run learns from."""

from __future__ import annotations

from care_bridge.noise import noise_of
from care_bridge.tiling import evenly, middle
from care_bridge.training.dataset import Dataset
from care_bridge.training.scales import Scaling
from care_bridge.training.stacks import Stack

_STACKS = 64
_PIXELS = 1024
"""Of a stack's middle slice, along Y and X."""


def noise_range(dataset: Dataset) -> tuple[float, float]:
    """The lowest and the highest standard deviation of the noise in the channels of the training
    sources, in the normalised range; of many images 64 are looked at, evenly chosen."""
    scaling = Scaling(dataset.config.normalization, dataset.intensities, vary=False)
    stacks = dataset.training
    chosen = evenly(len(stacks), _STACKS)
    found = [noise for number in chosen for noise in _noise(stacks[number], scaling)]
    return min(found), max(found)


def _noise(stack: Stack, scaling: Scaling) -> list[float]:
    """Of each channel of a source."""
    *slices, height, width = stack.source.shape[1:]
    plane = [slice(size // 2, size // 2 + 1) for size in slices]
    pixels = stack.source[(*plane, middle(height, _PIXELS), middle(width, _PIXELS))]
    before, _ = scaling.of_prediction(stack)
    return [noise_of(channel) for channel in before.apply(pixels)]
