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
from scipy.ndimage import affine_transform, gaussian_filter
from skimage.restoration import (
    denoise_bilateral,
    denoise_nl_means,
    denoise_tv_chambolle,
    richardson_lucy,
)

from care_bridge.errors import ConfigError, ImageError
from care_bridge.evaluation.baselines import best_gaussian, best_median
from care_bridge.evaluation.metrics import care_psnr
from care_bridge.normalization import percentiles

Pixels = NDArray[np.float32]
_PROJECTION_SIGMAS = (0.0, 0.5, 1.0, 1.5, 2.0)


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

    Bilateral and non-local means work within slices, the others along all axes.
    """
    for name in names:
        if name not in FILTERS:
            raise ConfigError(f'there is no baseline "{name}": choose of {", ".join(FILTERS)}')
        yield FILTERS[name](noisy, truth)


def interpolated(
    image: NDArray[np.generic], truth: NDArray[np.generic], factors: Sequence[float]
) -> Baseline:
    """`image` brought to the pixels of `truth` by cubic interpolation: the baseline of upsampling.

    factors: pixels of the truth a pixel of the image, by axis. Pixels are taken as areas that begin
    at the same edge (as binning leaves them) or as points of which the first ones coincide (as
    leaving out slices does), whichever suits the truth better.
    """
    pixels = image.astype(np.float32)
    steps = 1 / np.array(factors)
    said = " x ".join(f"{factor:.4g}" for factor in factors)
    tried = (
        (
            affine_transform(
                pixels, steps, starts, output_shape=truth.shape, order=3, mode="nearest"
            ),
            f"zoom {said}, {told}",
        )
        for starts, told in ((steps / 2 - 0.5, "same edges"), (0 * steps, "same first pixels"))
    )
    return _best("cubic", tried, truth)


def projected(volume: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    """The maximum along Z of `volume` (Z, Y, X), smoothed before as suits `truth` (Y, X) best."""
    pixels = volume.astype(np.float32)
    tried = (
        (gaussian_filter(pixels, sigma).max(axis=0), f"sigma {sigma:g}")
        for sigma in _PROJECTION_SIGMAS
    )
    return _best("maximum projection", tried, truth)


def _gaussian(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    best = best_gaussian(noisy, truth)
    return Baseline("gaussian", f"sigma {best.size:g}", best.image)


def _median(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    best = best_median(noisy, truth)
    return Baseline("median", f"size {best.size:g}", best.image)


def _bilateral(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    pixels, noise = _in_noise(noisy)

    def smooth(plane: Pixels, sigma: float, levels: float) -> Pixels:
        # scikit-image wants no negative pixels, and would take what lies outside as dark.
        darkest = plane.min()
        smoothed = denoise_bilateral(
            plane - darkest, sigma_color=levels, sigma_spatial=sigma, mode="edge"
        )
        return np.asarray(smoothed + darkest)

    tried = (
        (_by_slice(pixels, smooth, sigma, levels), f"sigma {sigma:g}, {levels:g} noise")
        for sigma, levels in product((1.0, 2.0, 3.0), (1.0, 2.0, 4.0, 8.0))
    )
    return _best("bilateral", _scaled(tried, noise), truth)


def _total_variation(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    pixels, noise = _in_noise(noisy)
    tried = (
        (_total_variation_of(pixels, weight), f"weight {weight:g} noise")
        for weight in (0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
    )
    return _best("total variation", _scaled(tried, noise), truth)


def _non_local_means(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    pixels, noise = _in_noise(noisy)

    def smooth(plane: Pixels, patch: float, strength: float) -> Pixels:
        return np.asarray(
            denoise_nl_means(plane, patch_size=int(patch), patch_distance=6, h=strength, sigma=1.0)
        )

    tried = (
        (_by_slice(pixels, smooth, patch, strength), f"patch {patch:g}, h {strength:g} noise")
        for patch, strength in product((5.0, 7.0), (0.1, 0.2, 0.4, 0.8, 1.6))
    )
    return _best("non-local means", _scaled(tried, noise), truth)


def _richardson_lucy(noisy: NDArray[np.generic], truth: NDArray[np.generic]) -> Baseline:
    low, high = percentiles(noisy, (0.1, 99.9))
    if high <= low:
        raise ImageError("the input is blank: nothing can be restored from it")
    light = np.clip((noisy.astype(np.float32) - low) / (high - low), 1e-3, None)

    def tried() -> Iterator[tuple[Pixels, str]]:
        for sigma, rounds in product((1.0, 1.5, 2.0), (1, 2, 5, 10, 20)):
            kernel = _gaussian_kernel(sigma, noisy.ndim)
            # Mirrored borders: scikit-image would take what lies outside as dark.
            border = kernel.shape[0]
            padded = np.pad(light, border, mode="symmetric")
            done = _deconvolved(padded, kernel, rounds)
            inner = done[(slice(border, -border),) * noisy.ndim]
            yield inner * (high - low) + low, f"sigma {sigma:g}, {rounds} rounds"

    return _best("richardson-lucy", tried(), truth)


FILTERS: dict[str, Callable[[NDArray[np.generic], NDArray[np.generic]], Baseline]] = {
    "gaussian": _gaussian,
    "median": _median,
    "bilateral": _bilateral,
    "total-variation": _total_variation,
    "non-local-means": _non_local_means,
    "richardson-lucy": _richardson_lucy,
}
"""The filters by the name that the command line knows."""


def _best(name: str, tried: Iterator[tuple[Pixels, str]], truth: NDArray[np.generic]) -> Baseline:
    image, setting = max(tried, key=lambda result: care_psnr(result[0], truth))
    return Baseline(name, setting, image.astype(np.float32))


def _in_noise(noisy: NDArray[np.generic]) -> tuple[Pixels, float]:
    """The image in units of its noise, and the noise's standard deviation in grey levels."""
    pixels = noisy.astype(np.float32)
    noise = float(np.sqrt(np.mean(np.diff(pixels, axis=-1).astype(np.float64) ** 2) / 2))
    if noise == 0:
        raise ImageError("the input is constant along X: no noise can be estimated in it")
    return pixels / np.float32(noise), noise


def _scaled(tried: Iterator[tuple[Pixels, str]], noise: float) -> Iterator[tuple[Pixels, str]]:
    for image, setting in tried:
        yield image * np.float32(noise), setting


def _by_slice(
    pixels: Pixels, smooth: Callable[[Pixels, float, float], Pixels], *settings: float
) -> Pixels:
    planes = pixels.reshape(-1, *pixels.shape[-2:])
    return np.stack([smooth(plane, *settings) for plane in planes]).reshape(pixels.shape)


def _total_variation_of(pixels: Pixels, weight: float) -> Pixels:
    return np.asarray(
        denoise_tv_chambolle(pixels, weight=weight)  # type: ignore[no-untyped-call]
    )


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
