"""The blur of a wide-field fluorescence microscope in focus."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True)
class Microscope:
    """An ideal objective with a circular pupil in front of a camera.

    numerical_aperture: of the objective, no unit. wavelength: of the emitted light, in
    micrometres. pixel_size: in the sample, in micrometres.
    """

    numerical_aperture: float
    wavelength: float
    pixel_size: float

    def transfer(self, frequencies: NDArray[np.floating]) -> NDArray[np.float64]:
        """The optical transfer function at `frequencies` (cycles a micrometre, any shape).

        (2/pi) (acos(r) - r sqrt(1 - r^2)) with r = frequency * wavelength / (2 NA), 0 above r = 1
        (Goodman, Introduction to Fourier Optics, section 6.3). It is the Fourier transform of
        the Airy pattern.
        """
        relative = np.minimum(frequencies * self.wavelength / (2 * self.numerical_aperture), 1.0)
        within = np.arccos(relative) - relative * np.sqrt(1 - relative**2)
        return np.asarray(2 / np.pi * within, np.float64)

    def blur(self, scene: NDArray[np.floating]) -> NDArray[np.float64]:
        """The image of `scene` (YX, brightness in any unit), in the same unit and size.

        Convolves with the Airy pattern. The scene is taken to go on mirrored beyond its borders.
        """
        height, width = scene.shape
        mirrored = np.pad(scene, ((0, height), (0, width)), "symmetric")
        vertical = np.fft.fftfreq(2 * height, self.pixel_size)[:, None]
        horizontal = np.fft.rfftfreq(2 * width, self.pixel_size)[None, :]
        spectrum = np.fft.rfft2(mirrored) * self.transfer(np.hypot(vertical, horizontal))
        blurred = np.fft.irfft2(spectrum, mirrored.shape)[:height, :width]
        return np.asarray(np.maximum(blurred, 0), np.float64)
