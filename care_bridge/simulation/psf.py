"""The point spread function of a fluorescence microscope, from its pupil.

The scalar model of Debye and Born-Wolf, computed as a Fourier transform of the pupil for each
plane (Hanser et al., J. Microscopy 2004): amplitude 1 within the aperture, the phase of defocus
without a paraxial approximation, the phase of Zernike modes, and the spherical aberration of
light that comes from a depth in a medium of another refractive index (Gibson & Lanni, JOSA A
1992). Polarisation and the objective's apodisation are left out.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import fft

from care_bridge.errors import ConfigError

MODES = ("tilt_y", "tilt_x", "astigmatism_45", "defocus", "astigmatism_0", "trefoil", "coma")
"""Names of the Zernike modes 1 to 7 (OSA/ANSI index)."""

# The kernel holds 98 % of the Airy pattern's light, and defocus up to these depths.
_AIRY_REACH = 6.0
_AXIAL_REACH = 4.0
_MOST_SAMPLES = 8192


@dataclass(frozen=True)
class Optics:
    """An objective and the grid on which its image is sampled.

    numerical_aperture: no unit. wavelength: of the emitted light. refractive_index: of the
    immersion. sample_index: of the specimen's medium. depth: of the focus in it. pixel_size,
    z_step: in the specimen. All lengths in micrometres. aberrations: radians, root mean square
    over the pupil, of the Zernike MODES. confocal: a closed pinhole (the square of the wide-field
    function: excitation at the same wavelength).
    """

    numerical_aperture: float
    wavelength: float
    refractive_index: float
    sample_index: float
    depth: float
    pixel_size: float
    z_step: float
    confocal: bool = False
    aberrations: tuple[float, ...] = (0.0,) * len(MODES)

    @property
    def ideal(self) -> Optics:
        """The same without aberrations."""
        return replace(self, depth=0.0, aberrations=(0.0,) * len(MODES))

    @property
    def axial_width(self) -> float:
        """Full width at half maximum along z, in micrometres:
        0.886 wavelength / (n - sqrt(n^2 - NA^2))."""
        n = self.refractive_index
        return float(0.886 * self.wavelength / (n - np.sqrt(n**2 - self.numerical_aperture**2)))


def psf_plane(optics: Optics) -> NDArray[np.float32]:
    """The in-focus point spread function, YX, of odd size, with sum 1."""
    return np.asarray(_psf(optics, 0)[0])


def psf_volume(optics: Optics, slices: int) -> NDArray[np.float32]:
    """The point spread function, ZYX, of odd size, with sum 1.

    It reaches four axial widths up and down, or as far as a stack of `slices` needs.
    """
    reach = int(np.ceil(_AXIAL_REACH * optics.axial_width / optics.z_step))
    return _psf(optics, min(reach, slices - 1))


@lru_cache(maxsize=4)
def _psf(optics: Optics, reach: int) -> NDArray[np.float32]:
    """Planes -reach … reach, sum 1; read-only, as callers share it."""
    aperture, wavelength = optics.numerical_aperture, optics.wavelength
    # Intensity has twice the bandwidth of the pupil; an odd part keeps the pixel's centre.
    fine = int(np.ceil(optics.pixel_size * 4 * aperture / wavelength)) // 2 * 2 + 1
    cone = reach * optics.z_step * aperture / np.sqrt(optics.refractive_index**2 - aperture**2)
    half = int(np.ceil((_AIRY_REACH * wavelength / aperture + cone) / optics.pixel_size))
    kept = (2 * half + 1) * fine
    size = fft.next_fast_len(2 * kept)
    if size > _MOST_SAMPLES:
        raise ConfigError(
            f"the point spread function is computed on {size} x {size} samples, more "
            f"than {_MOST_SAMPLES} x {_MOST_SAMPLES}: bring optics.pixel_size nearer to what the "
            "optics resolve, wavelength / (2 numerical_aperture), or simulate a thinner stack"
        )
    frequencies = fft.fftfreq(size, optics.pixel_size / fine)
    y, x = frequencies[:, None], frequencies[None, :]
    square = y**2 + x**2
    pupil = _pupil(optics, y, x, square, frequencies[1])
    within = pupil != 0
    axial = np.sqrt(np.maximum((optics.refractive_index / wavelength) ** 2 - square[within], 0))
    refocused = np.zeros_like(pupil)
    first = size // 2 - kept // 2
    kernel = np.empty((2 * reach + 1, 2 * half + 1, 2 * half + 1))
    for plane in range(-reach, reach + 1):
        phase = np.exp(2j * np.pi * plane * optics.z_step * axial)
        refocused[within] = pupil[within] * phase
        intensity = np.abs(fft.fftshift(fft.ifft2(refocused))) ** (4 if optics.confocal else 2)
        window = intensity[first : first + kept, first : first + kept]
        pixels = window.reshape(2 * half + 1, fine, 2 * half + 1, fine)
        kernel[plane + reach] = pixels.mean(axis=(1, 3))
    shared: NDArray[np.float32] = (kernel / kernel.sum()).astype(np.float32)
    shared.setflags(write=False)
    return shared


def _pupil(
    optics: Optics,
    y: NDArray[np.float64],
    x: NDArray[np.float64],
    square: NDArray[np.float64],
    step: float,
) -> NDArray[np.complex128]:
    """The complex pupil at frequencies y, x (cycles a micrometre); `step` between them."""
    edge = optics.numerical_aperture / optics.wavelength
    # The rim falls off within one sample, so that the aperture has its true area.
    amplitude = np.clip((edge - np.sqrt(square)) / step + 0.5, 0, 1)
    within = amplitude > 0
    phase = np.zeros(square.shape)
    for mode, coefficient in enumerate(optics.aberrations, start=1):
        if coefficient:
            phase += coefficient * zernike(mode, y / edge, x / edge)
    if optics.depth and optics.sample_index != optics.refractive_index:
        phase[within] += _mismatch(optics, square[within])
    return np.asarray(amplitude * np.exp(1j * np.where(within, phase, 0)))


def _mismatch(optics: Optics, square: NDArray[np.float64]) -> NDArray[np.float64]:
    """Phase of light from `depth` in a medium of another index, for squared frequencies.

    Its constant and the part that only shifts the focus are taken out: a microscopist focuses
    where the image is best.
    """
    sample, immersion = (
        2 * np.pi * np.sqrt(np.maximum((n / optics.wavelength) ** 2 - square, 0))
        for n in (optics.sample_index, optics.refractive_index)
    )
    phase = optics.depth * (sample - immersion)
    defocus = immersion - immersion.mean()
    slope = (phase * defocus).sum() / (defocus**2).sum()
    return np.asarray(phase - phase.mean() - slope * defocus)


def zernike(mode: int, y: NDArray[np.floating], x: NDArray[np.floating]) -> NDArray[np.float64]:
    """Zernike mode 1 to 7 (OSA/ANSI index), of root mean square 1 over the unit disc.

    y, x: coordinates in the pupil, its rim at 1.
    """
    square = y**2 + x**2
    match mode:
        case 1:
            values = 2 * y + 0 * x
        case 2:
            values = 2 * x + 0 * y
        case 3:
            values = np.sqrt(6) * 2 * x * y
        case 4:
            values = np.sqrt(3) * (2 * square - 1)
        case 5:
            values = np.sqrt(6) * (x**2 - y**2)
        case 6:
            values = np.sqrt(8) * (3 * x**2 * y - y**3)
        case 7:
            values = np.sqrt(8) * (3 * square - 2) * y
        case _:
            raise ValueError(f"there is no Zernike mode {mode} here: choose 1 to 7")
    return np.asarray(values, np.float64)
