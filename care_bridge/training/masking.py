"""Blind spots: pixels of a noisy patch that the network must tell from their neighbours.

Noise2Void (Krull et al. 2019) replaces a masked pixel by another one of its surroundings, N2V2
(Hoeck et al. 2022) by their median, structN2V (Broaddus et al. 2020) hides a line of pixels around
it besides, along which the noise is correlated. No torch here.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

Pixels = NDArray[np.intp]
"""(N, d): an index along each axis for each of N pixels."""


@dataclass(frozen=True)
class Line:
    """Pixels hidden with a masked one: `span` of them in its middle, along one of the patch's axes
    [Z,] Y, X, counted from the last (-1 is X)."""

    axis: int
    span: int


@dataclass(frozen=True)
class Masking:
    """What is hidden from the network.

    percentage: of a patch's pixels, in percent, each channel for itself. radius: of the window
    that a replacement comes from. median: the window's median instead of one of its pixels.
    """

    percentage: float
    radius: int
    median: bool = False
    line: Line | None = None

    def hide(
        self, patch: NDArray[np.float32], generator: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`patch` (C, [Z,] Y, X) with masked pixels replaced, and what they were: NaN elsewhere."""
        shown, hidden = patch.copy(), np.full_like(patch, np.nan)
        for channel, seen, truth in zip(patch, shown, hidden, strict=True):
            pixels = draw_pixels(channel.shape, self.percentage, generator)
            if self.line:
                beside = pixels_beside(pixels, self.line, channel.shape)
                seen[tuple(beside.T)] = generator.uniform(channel.min(), channel.max(), len(beside))
            where = tuple(pixels.T)
            truth[where] = channel[where]
            if self.median:
                seen[where] = median_around(channel, pixels, self.radius)
            else:
                seen[where] = one_around(channel, pixels, self.radius, generator)
        return shown, hidden


def draw_pixels(
    shape: tuple[int, ...], percentage: float, generator: np.random.Generator
) -> Pixels:
    """Pixels of an image, spread evenly: one in each box of a lattice whose boxes hold
    100 / `percentage` pixels and which lies at random.

    The edge of a box is no whole number of pixels, so that the share is right at any percentage.
    Pixels that two boxes choose count once (1 in 40 of 10 percent in 3D). Where all lie beside a
    small image, they are drawn again: there is one at least.
    """
    edge = (100 / percentage) ** (1 / len(shape))
    counts = [int(size / edge) + 2 for size in shape]
    lattice = np.indices(counts).reshape(len(shape), -1).T
    inside = np.zeros(len(lattice), np.bool_)
    while not inside.any():
        boxes = lattice - generator.random(len(shape))
        pixels = np.floor((boxes + generator.random(boxes.shape)) * edge).astype(np.intp)
        inside = ((pixels >= 0) & (pixels < shape)).all(axis=1)
    return np.unique(pixels[inside], axis=0)


def one_around(
    image: NDArray[np.float32], pixels: Pixels, radius: int, generator: np.random.Generator
) -> NDArray[np.float32]:
    """For each pixel the value of one in the window around it, never its own."""
    starts, widths, own = _windows(pixels, image.shape, radius)
    chosen = generator.integers(np.prod(widths) - 1, size=len(pixels))
    chosen += chosen >= own
    values: NDArray[np.float32] = image[tuple(starts.T + np.unravel_index(chosen, widths))]
    return values


def median_around(image: NDArray[np.float32], pixels: Pixels, radius: int) -> NDArray[np.float32]:
    """For each pixel the median of the window around it without itself."""
    starts, widths, own = _windows(pixels, image.shape, radius)
    windows = sliding_window_view(image, widths)[tuple(starts.T)].reshape(len(pixels), -1)
    others = np.arange(windows.shape[1]) != own[:, None]
    medians: NDArray[np.float32] = np.median(windows[others].reshape(len(pixels), -1), axis=1)
    return medians


def pixels_beside(pixels: Pixels, line: Line, shape: tuple[int, ...]) -> Pixels:
    """The other pixels of the lines through `pixels`, as far as they lie in the image."""
    steps = np.zeros((line.span, len(shape)), np.intp)
    steps[:, line.axis] = np.arange(line.span) - line.span // 2
    others = steps[steps.any(axis=1)]
    found = (pixels[:, None] + others).reshape(-1, len(shape))
    return found[((found >= 0) & (found < shape)).all(axis=1)]


def _windows(
    pixels: Pixels, shape: tuple[int, ...], radius: int
) -> tuple[Pixels, tuple[int, ...], Pixels]:
    """The window of each pixel: its start, the width of all, the pixel's own number in it. At the
    image's border it is moved inside, so that all have the same width."""
    widths = tuple(min(2 * radius + 1, size) for size in shape)
    starts = np.clip(pixels - radius, 0, np.subtract(shape, widths))
    own = np.ravel_multi_index(tuple((pixels - starts).T), widths)
    return starts, widths, own
