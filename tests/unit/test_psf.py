"""The point spread function against closed formulas of diffraction."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from care_bridge.simulation.psf import Optics, psf_plane, psf_volume, zernike

OIL = Optics(
    numerical_aperture=1.4,
    wavelength=0.52,
    refractive_index=1.515,
    sample_index=1.33,
    depth=0.0,
    pixel_size=0.03,
    z_step=0.05,
)
WATER = replace(OIL, numerical_aperture=1.1, refractive_index=1.33, pixel_size=0.04, z_step=0.08)
DRY = replace(OIL, numerical_aperture=0.5, refractive_index=1.0, pixel_size=0.06, z_step=0.3)


def full_width(profile: np.ndarray, step: float) -> float:
    """Full width at half maximum of a profile with one peak, its flanks interpolated."""
    half = profile.max() / 2
    above = np.flatnonzero(profile >= half)
    first, last = above[0], above[-1]
    left = first - (profile[first] - half) / (profile[first] - profile[first - 1])
    right = last + (profile[last] - half) / (profile[last] - profile[last + 1])
    return float(right - left) * step


@pytest.mark.parametrize(
    "optics",
    [pytest.param(OIL, id="oil"), pytest.param(WATER, id="water"), pytest.param(DRY, id="dry")],
)
def test_widths_are_those_of_diffraction(optics: Optics) -> None:
    """Airy pattern: 0.5145 wavelength / NA. Along the axis, a pupil that is even in the axial
    frequency: 0.886 wavelength / (n - sqrt(n^2 - NA^2))."""
    na, n = optics.numerical_aperture, optics.refractive_index
    kernel = psf_volume(optics, 9)
    z, y, x = (size // 2 for size in kernel.shape)
    lateral = full_width(kernel[z, y], optics.pixel_size)
    axial = full_width(kernel[:, y, x], optics.z_step)
    assert lateral == pytest.approx(0.5145 * optics.wavelength / na, rel=0.02)
    assert axial == pytest.approx(0.886 * optics.wavelength / (n - np.sqrt(n**2 - na**2)), rel=0.05)
    plane = psf_plane(optics)
    in_focus = full_width(plane[len(plane) // 2], optics.pixel_size)
    assert in_focus == pytest.approx(lateral, rel=1e-3)


def test_coarse_pixels_see_the_same_pattern_averaged() -> None:
    """A pixel of 3 fine ones holds their sum."""
    fine = psf_plane(replace(OIL, pixel_size=0.05))
    coarse = psf_plane(replace(OIL, pixel_size=0.15))
    middle, centre = len(coarse) // 2, len(fine) // 2
    for shift in range(-3, 4):
        y = centre + 3 * shift
        block = fine[centre - 1 : centre + 2, y - 1 : y + 2]
        assert coarse[middle, middle + shift] == pytest.approx(block.sum(), rel=0.02)


def test_zernike_modes_are_orthonormal() -> None:
    y, x = np.mgrid[-1:1:801j, -1:1:801j]
    disc = y**2 + x**2 <= 1
    modes = np.array([zernike(mode, y, x)[disc] for mode in range(1, 8)])
    np.testing.assert_allclose(modes @ modes.T / disc.sum(), np.eye(7), atol=0.01)
    np.testing.assert_allclose(modes.mean(axis=1), 0, atol=0.01)


@pytest.mark.parametrize("mode", [3, 4, 5, 6, 7])
def test_aberrations_dim_the_peak_as_marechal_says(mode: int) -> None:
    """A phase of s radians root mean square leaves exp(-s^2) of the peak, where s is small."""
    strengths = tuple(0.4 if number == mode else 0.0 for number in range(1, 8))
    aberrated = psf_plane(replace(WATER, aberrations=strengths))
    assert aberrated.max() / psf_plane(WATER).max() == pytest.approx(np.exp(-0.16), rel=0.02)


def test_tilt_shifts_the_pattern() -> None:
    """2 a y over the unit pupil, whose radius is NA / wavelength: by wavelength a / (pi NA)."""
    pixel = DRY.wavelength / (np.pi * DRY.numerical_aperture) / 5
    straight = psf_plane(replace(DRY, pixel_size=pixel))
    tilted = psf_plane(replace(DRY, pixel_size=pixel, aberrations=(1.0, 0, 0, 0, 0, 0, 0)))
    expected = np.roll(straight, -5, axis=0)
    np.testing.assert_allclose(tilted[10:-10], expected[10:-10], atol=1e-3 * straight.max())


def test_weak_defocus_is_a_plane_out_of_focus() -> None:
    """A paraxial sqrt(3) (2 r^2 - 1) a is the plane z = 4 sqrt(3) a n wavelength / (2 pi NA^2)."""
    low = replace(DRY, numerical_aperture=0.2, pixel_size=0.2)
    strength = 1.0
    z = 4 * np.sqrt(3) * strength * low.wavelength / (2 * np.pi * 0.2**2)
    volume = psf_volume(replace(low, z_step=z), 2)
    defocused = psf_plane(replace(low, aberrations=(0, 0, 0, strength, 0, 0, 0)))
    middle, size = len(volume) // 2, min(len(defocused), volume.shape[1])
    planes = [
        image[(rest := (len(image) - size) // 2) : rest + size, rest : rest + size]
        for image in (volume[middle + 1], defocused)
    ]
    one, other = (plane / plane.sum() for plane in planes)
    assert np.abs(one - other).sum() < 0.05


def test_depth_in_another_medium_blurs_along_the_axis_only_to_one_side() -> None:
    """Spherical aberration: dimmer, and no longer the same above and below the focus."""
    optics = replace(OIL, pixel_size=0.1, z_step=0.1)
    inside = psf_volume(replace(optics, depth=5.0), 21)
    ideal = psf_volume(optics, 21)
    matched = psf_volume(replace(optics, depth=5.0, sample_index=1.515), 21)
    assert inside.max() < 0.8 * ideal.max()
    axis = inside[:, inside.shape[1] // 2, inside.shape[2] // 2]
    assert np.abs(axis - axis[::-1]).max() > 0.1 * axis.max()
    np.testing.assert_allclose(matched, ideal)


@pytest.mark.parametrize("depth", [1.0, 5.0, 10.0])
@pytest.mark.parametrize(
    ("immersion", "sample", "aperture"),
    [
        pytest.param(1.515, 1.33, 1.4, id="oil-water"),
        pytest.param(1.515, 1.4, 1.3, id="oil-tissue"),
        pytest.param(1.33, 1.45, 1.1, id="water-clearing"),
        pytest.param(1.0, 1.33, 0.8, id="dry-water"),
    ],
)
def test_the_focus_at_a_depth_is_where_the_axis_is_brightest(
    depth: float, immersion: float, sample: float, aperture: float
) -> None:
    """The middle plane is the focus: planes above and below are dimmer on the axis."""
    optics = replace(
        OIL,
        numerical_aperture=aperture,
        refractive_index=immersion,
        sample_index=sample,
        depth=depth,
        pixel_size=0.1,
        z_step=0.1,
    )
    kernel = psf_volume(optics, 21)
    z, y, x = (size // 2 for size in kernel.shape)
    assert abs(int(kernel[:, y, x].argmax()) - z) <= 1


def test_light_beyond_the_critical_angle_comes_from_the_surface_only() -> None:
    """Deep in water an aperture of 1.4 is one of 1.33: the pattern has no finer frequencies than
    2 1.33 / wavelength; at the coverslip it has, up to 2 1.4 / wavelength."""
    beyond = []
    for depth in (0.0, 10.0):
        kernel = psf_plane(replace(OIL, pixel_size=0.05, depth=depth))
        window = np.hanning(len(kernel))
        spectrum = np.abs(np.fft.fft2(kernel * window * window[:, None]))
        y, x = np.meshgrid(*(np.fft.fftfreq(size, 0.05) for size in kernel.shape))
        frequency = np.hypot(y, x) * OIL.wavelength
        ring = (frequency > 2 * 1.345) & (frequency < 2 * 1.38)
        middle = (frequency > 1.5) & (frequency < 1.6)
        beyond.append(spectrum[ring].mean() / spectrum[middle].mean())
    assert beyond[0] > 0.01
    assert beyond[1] < 0.1 * beyond[0]


def test_closed_pinhole_squares_the_pattern() -> None:
    """The width of the square of the Airy pattern: 0.3706 wavelength / NA, and no light is lost."""
    kernel = psf_plane(replace(OIL, confocal=True))
    width = full_width(kernel[len(kernel) // 2], OIL.pixel_size)
    assert width == pytest.approx(0.3706 * OIL.wavelength / OIL.numerical_aperture, rel=0.02)
    assert kernel.sum() == pytest.approx(1, rel=1e-4)
