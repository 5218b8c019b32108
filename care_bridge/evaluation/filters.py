"""Every plain method that a restoration must beat, each at the setting that suits the truth best.

Choosing the setting by the truth favours the filters: nobody has it in practice. Settings in noise
are multiples of the image's noise, estimated from the differences of neighbouring pixels. Needs
scikit-image and scipy (extra `evaluate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import affine_transform, gaussian_filter, median_filter
from skimage.restoration import (
    denoise_bilateral,
    denoise_nl_means,
    denoise_tv_chambolle,
    richardson_lucy,
)

from care_bridge.errors import ConfigError
from care_bridge.evaluation.best_setting import Dial, best_setting, octaves
from care_bridge.evaluation.metrics import care_psnr, is_blank
from care_bridge.normalization import percentiles

Pixels = NDArray[np.float32]
_AXES = "ZYX"

_SIGMAS = octaves(0.125, 32, (0.5, 4.0))
_PROJECTION_SIGMAS = Dial((0.0, *_SIGMAS.values), range(0, 33, 4))
_SIGMAS_OF_LIGHT = octaves(0.25, 8, (0.5, 2.0))
_SIZES = Dial(tuple(range(3, 42, 2)), range(5))
_BILATERAL_SIGMAS = octaves(0.25, 16, (1.0, 4.0), steps=4)
_IN_NOISE = octaves(1 / 64, 64, (0.25, 8.0), steps=4)
_PATCHES = Dial((3, 5, 7, 9, 11), range(1, 3))
_ROUNDS = Dial((1, 2, 3, 4, 6, 8, 11, 16, 23, 32, 45, 64, 91, 128, 181, 256), range(0, 12, 2))


@dataclass(frozen=True)
class Baseline:
    """A method's best result: its image and the setting that gave it, for people."""

    name: str
    setting: str
    image: Pixels


def best_filters(
    noisy: NDArray[np.generic], truth: NDArray[np.generic], names: Sequence[str]
) -> Iterator[Baseline]:
    """The best result of each named filter (of FILTERS); arrays (Y, X) or (Z, Y, X), one shape.

    Bilateral and non-local means work within slices, the others along all axes. Where the truth is
    blank, every setting is as good as another.
    """
    for name in names:
        if name not in FILTERS:
            raise ConfigError(f'there is no baseline "{name}": choose of {", ".join(FILTERS)}')
        yield FILTERS[name](noisy, truth)


def interpolated(
    image: NDArray[np.generic], truth: NDArray[np.generic], factors: Sequence[float]
) -> Baseline:
    """`image` brought to the pixels of `truth` by cubic interpolation: the baseline of upsampling.

    factors: pixels of the truth a pixel of the image, by axis. Along each axis pixels are taken as
    areas that begin at the same edge (as binning leaves them) or as points of which the first ones
    coincide (as leaving out slices does), whichever suits the truth best.
    """
    pixels = image.astype(np.float32)
    steps = 1 / np.array(factors)
    zoomed = [number for number, factor in enumerate(factors) if factor != 1]
    nearness = _nearness(truth)
    tried = []
    for edges in product((True, False), repeat=len(zoomed)):
        starts = np.zeros(len(factors))
        for number, edge in zip(zoomed, edges, strict=True):
            starts[number] = steps[number] / 2 - 0.5 if edge else 0
        done = affine_transform(
            pixels, steps, starts, output_shape=truth.shape, order=3, mode="nearest"
        )
        tried.append((nearness(done), edges, done))
    _, edges, best = max(tried, key=lambda result: result[0])
    said = " x ".join(f"{factor:.4g}" for factor in factors)
    names = [_AXES[len(_AXES) - len(factors) + number] for number in zoomed]
    return Baseline("cubic", f"zoom {said}, {_alignment(names, edges)}", best.astype(np.float32))


def _alignment(names: Sequence[str], edges: Sequence[bool]) -> str:
    """Along which axes images begin at the same edge, and along which with the same pixel."""
    if len(set(edges)) == 1:
        return "same edges" if edges[0] else "same first pixels"
    ends = {
        told: "".join(n for n, edge in zip(names, edges, strict=True) if edge == told)
        for told in (True, False)
    }
    return f"same edges along {ends[True]}, same first pixels along {ends[False]}"


def projected(volume: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    """The maximum along Z of `volume` (Z, Y, X), smoothed before as suits `truth` (Y, X) best."""
    pixels = volume.astype(np.float32)
    return _best(
        "maximum projection",
        lambda sigma: np.asarray(gaussian_filter(pixels, sigma).max(axis=0)),
        [_PROJECTION_SIGMAS],
        lambda sigma: f"sigma {sigma:.3g}",
        truth,
    )


def _gaussian(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    pixels = noisy.astype(np.float32)
    return _best(
        "gaussian",
        lambda sigma: np.asarray(gaussian_filter(pixels, sigma)),
        [_SIGMAS],
        lambda sigma: f"sigma {sigma:.3g}",
        truth,
    )


def _median(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    pixels = noisy.astype(np.float32)
    return _best(
        "median",
        lambda size: np.asarray(median_filter(pixels, int(size))),
        [_SIZES],
        lambda size: f"size {size:g}",
        truth,
    )


def _bilateral(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    pixels, noise = _in_noise(noisy)

    def smooth(plane: Pixels, sigma: float, levels: float) -> Pixels:
        # scikit-image wants no negative pixels, and would take what lies outside as dark.
        darkest = plane.min()
        smoothed = denoise_bilateral(
            plane - darkest, sigma_color=levels, sigma_spatial=sigma, mode="edge"
        )
        return np.asarray(smoothed + darkest)

    return _best(
        "bilateral",
        lambda sigma, levels: noise * _by_slice(pixels, smooth, sigma, levels),
        [_BILATERAL_SIGMAS, _IN_NOISE],
        lambda sigma, levels: f"sigma {sigma:.3g}, {levels:.3g} noise",
        truth,
    )


def _total_variation(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    pixels, noise = _in_noise(noisy)
    return _best(
        "total variation",
        lambda weight: noise * _total_variation_of(pixels, weight),
        [_IN_NOISE],
        lambda weight: f"weight {weight:.3g} noise",
        truth,
    )


def _non_local_means(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    pixels, noise = _in_noise(noisy)

    def smooth(plane: Pixels, patch: float, strength: float) -> Pixels:
        return np.asarray(
            denoise_nl_means(plane, patch_size=int(patch), patch_distance=6, h=strength, sigma=1.0)
        )

    return _best(
        "non-local means",
        lambda patch, strength: noise * _by_slice(pixels, smooth, patch, strength),
        [_PATCHES, _IN_NOISE],
        lambda patch, strength: f"patch {patch:g}, h {strength:.3g} noise",
        truth,
    )


def _richardson_lucy(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    low, high = percentiles(noisy, (0.1, 99.9))
    if high <= low:
        return Baseline("richardson-lucy", "", noisy.astype(np.float32))
    light = np.clip((noisy.astype(np.float32) - low) / (high - low), 1e-3, None)

    def deconvolve(sigma: float, rounds: float) -> Pixels:
        kernel = _gaussian_kernel(sigma, noisy.ndim)
        # Mirrored borders: scikit-image would take what lies outside as dark.
        border = kernel.shape[0]
        padded = np.pad(light, border, mode="symmetric")
        inner = (slice(border, -border),) * noisy.ndim
        return np.asarray(_deconvolved(padded, kernel, int(rounds))[inner] * (high - low) + low)

    return _best(
        "richardson-lucy",
        deconvolve,
        [_SIGMAS_OF_LIGHT, _ROUNDS],
        lambda sigma, rounds: f"sigma {sigma:.3g}, {rounds:g} rounds",
        truth,
    )


FILTERS: dict[str, Callable[[NDArray[np.generic], NDArray[np.generic]], Baseline]] = {
    "gaussian": _gaussian,
    "median": _median,
    "bilateral": _bilateral,
    "total-variation": _total_variation,
    "non-local-means": _non_local_means,
    "richardson-lucy": _richardson_lucy,
}
"""The filters by the name that the command line knows."""


def _best(
    name: str,
    method: Callable[..., Pixels],
    dials: Sequence[Dial],
    told: Callable[..., str],
    truth: NDArray[np.generic],
) -> Baseline:
    """What `method` makes of its image at the values of `dials` that suit the truth best."""
    nearness = _nearness(truth)
    values = best_setting(lambda *tried: nearness(method(*tried)), dials)
    return Baseline(name, told(*values), method(*values).astype(np.float32))


def _nearness(truth: NDArray[np.generic]) -> Callable[[Pixels], float]:
    """How near images are to `truth`; all alike where it is blank."""
    return (lambda _: 0.0) if is_blank(truth) else (lambda image: care_psnr(image, truth))


def _in_noise(noisy: NDArray[np.generic]) -> tuple[Pixels, np.float32]:
    """The image in units of its noise, and the noise's standard deviation in grey levels; 1 where
    there is none."""
    pixels = noisy.astype(np.float32)
    noise = np.float32(np.sqrt(np.mean(np.diff(pixels, axis=-1).astype(np.float64) ** 2) / 2))
    if noise == 0:
        noise = np.float32(1)
    return pixels / noise, noise


def _by_slice(
    pixels: Pixels, smooth: Callable[[Pixels, float, float], Pixels], *settings: float
) -> Pixels:
    planes = pixels.reshape(-1, *pixels.shape[-2:])
    return np.stack([smooth(plane, *settings) for plane in planes]).reshape(pixels.shape)


def _total_variation_of(pixels: Pixels, weight: float) -> Pixels:
    # Stopped sooner, weights a few percent apart end up to half a decibel apart.
    done = denoise_tv_chambolle(  # type: ignore[no-untyped-call]
        pixels, weight=weight, eps=1e-6, max_num_iter=2000
    )
    return np.asarray(done)


def _deconvolved(light: Pixels, kernel: Pixels, rounds: int) -> Pixels:
    return np.asarray(
        richardson_lucy(light, kernel, num_iter=rounds, clip=False)  # type: ignore[no-untyped-call]
    )


def _gaussian_kernel(sigma: float, dimensions: int) -> Pixels:
    reach = int(np.ceil(3 * sigma))
    line = np.exp(-0.5 * (np.arange(-reach, reach + 1) / sigma) ** 2)
    kernel = line
    for _ in range(dimensions - 1):
        kernel = kernel[..., None] * line
    return np.asarray(kernel / kernel.sum(), np.float32)
