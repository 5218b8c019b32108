"""What fluoresces: random 2D structures, before optics and camera.

Every scene is a function of a shape (Y, X in pixels), the pixel size (micrometres) and a random
generator, and returns brightness (float64, YX, >= 0, no unit; ordinary structures are about 1).
Sizes are drawn in micrometres, so one structure appears at the scale that the pixel size says.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial import cKDTree

Plane = NDArray[np.float64]
Scene = Callable[[tuple[int, int], float, np.random.Generator], Plane]


def nuclei(shape: tuple[int, int], pixel_size: float, rng: np.random.Generator) -> Plane:
    """Cell nuclei: textured ellipses 6 to 14 um long, with dark nucleoli, and now and then the
    small and several times brighter chromosomes of a dividing cell."""
    diameter = rng.uniform(6, 14) / pixel_size
    coverage = rng.uniform(0.03, 0.45)
    brightness_spread = rng.uniform(0.1, 0.5)
    dividing = rng.choice([0.0, rng.uniform(0, 0.15)])
    roundness = rng.uniform(0.05, 0.6)
    texture = _texture(shape, 1.0 / pixel_size, rng, rng.uniform(0.0, 0.35))
    nucleoli = _nucleoli(shape, pixel_size, rng) if rng.random() < 0.5 else np.ones(shape)
    scene = np.zeros(shape)
    for _ in range(_count(shape, diameter, coverage, rng)):
        brightness = rng.lognormal(0, brightness_spread)
        if rng.random() < dividing:
            axes = diameter * np.array([rng.uniform(0.1, 0.2), rng.uniform(0.3, 0.5)])
            _draw_blob(scene, axes, brightness * rng.uniform(2, 6), 0.3, rng)
        else:
            axes = diameter / 2 * np.array([rng.uniform(0.55, 1.0), rng.uniform(0.9, 1.1)])
            _draw_blob(scene, axes, brightness, roundness, rng)
    return np.asarray(scene * texture * nucleoli, np.float64)


def tubules(shape: tuple[int, int], pixel_size: float, rng: np.random.Generator) -> Plane:
    """Filaments: trajectories of a given persistence length, from single microtubules (25 nm)
    to mitochondria (0.6 um), each of its own brightness."""
    persistence = rng.uniform(2, 40) / pixel_size
    width = rng.uniform(0.025, 0.6) / pixel_size
    length = rng.uniform(4, 60) / pixel_size
    area = shape[0] * shape[1]
    # A count that keeps the filaments' total length a given share of the image's area.
    count = 3 + int(rng.uniform(0.02, 0.12) * area / length)
    paths = [_trajectory(shape, length, persistence, rng) for _ in range(count)]
    weights = [np.full(len(path), rng.lognormal(0, 0.3)) for path in paths]
    drawn = _splat(shape, np.concatenate(paths), np.concatenate(weights))
    return _unit_peaks(gaussian_filter(drawn, width / 2))


def granules(shape: tuple[int, int], pixel_size: float, rng: np.random.Generator) -> Plane:
    """Vesicles and spots of 0.05 to 1 um, crowded in parts of the image, brightness log-normal."""
    count = int(rng.uniform(0.0005, 0.008) * shape[0] * shape[1]) + 3
    crowd = np.exp(rng.uniform(0, 2) * _smooth_noise(shape, rng.uniform(4, 15) / pixel_size, rng))
    chosen = rng.choice(crowd.size, count, p=(crowd / crowd.sum()).ravel())
    places = np.stack(np.unravel_index(chosen, shape), axis=1) + rng.uniform(0, 1, (count, 2))
    brightness = rng.lognormal(0, rng.uniform(0.1, 0.7), count)
    radii = rng.uniform(0.025, 0.5, 3) / pixel_size
    sorts = rng.integers(len(radii), size=count)
    scene = np.zeros(shape)
    for sort, radius in enumerate(radii):
        of_sort = sorts == sort
        spots = gaussian_filter(_splat(shape, places[of_sort], brightness[of_sort]), radius)
        scene += spots * max(2 * np.pi * radius**2, 1.0)
    return scene


def membranes(shape: tuple[int, int], pixel_size: float, rng: np.random.Generator) -> Plane:
    """A sheet of cells 6 to 25 um wide: bright outlines 0.2 to 1.2 um thick, and dimmer, uneven
    insides."""
    diameter = rng.uniform(6, 25) / pixel_size
    thickness = rng.uniform(0.2, 1.2) / pixel_size
    margin = diameter
    extent = np.array(shape) + 2 * margin
    count = max(int(np.prod(extent) / diameter**2), 3)
    centres = rng.uniform(0, 1, (count, 2)) * extent - margin
    bent = [
        coordinates + 0.08 * diameter * _smooth_noise(shape, diameter / 3, rng)
        for coordinates in np.indices(shape)
    ]
    distances, nearest = cKDTree(centres).query(np.stack(bent, axis=-1), k=2)
    # Half the difference of the two distances is about the distance to the cells' border.
    to_border = (distances[..., 1] - distances[..., 0]) / 2
    outline = np.exp(-((to_border / thickness) ** 2) * 2)
    inside = rng.lognormal(-1.5, 0.6, count)[nearest[..., 0]] * rng.uniform(0, 1.5)
    uneven_outline = outline * _texture(shape, 3 / pixel_size, rng, rng.uniform(0, 0.5))
    uneven_inside = inside * _texture(shape, 1.5 / pixel_size, rng, rng.uniform(0, 0.4))
    return np.asarray(uneven_outline + uneven_inside, np.float64)


def diffuse(shape: tuple[int, int], pixel_size: float, rng: np.random.Generator) -> Plane:
    """Clouds: smooth fields from 2 um to the whole image, as of out-of-focus light."""
    scales = rng.uniform(2, 60, 3) / pixel_size
    field = sum(_smooth_noise(shape, scale, rng) for scale in scales)
    return np.asarray(np.exp(rng.uniform(0.1, 0.6) * field))


SCENES: Mapping[str, Scene] = {
    "nuclei": nuclei,
    "tubules": tubules,
    "granules": granules,
    "membranes": membranes,
    "diffuse": diffuse,
}


def _count(
    shape: tuple[int, int], diameter: float, coverage: float, rng: np.random.Generator
) -> int:
    """How many discs of `diameter` (pixels) cover about `coverage` of the image; at least 1."""
    expected = coverage * shape[0] * shape[1] / (np.pi / 4 * diameter**2)
    return 1 + int(rng.poisson(expected))


def _draw_blob(
    scene: Plane,
    semi_axes: NDArray[np.float64],
    brightness: float,
    roundness: float,
    rng: np.random.Generator,
) -> None:
    """Draw an ellipse with a wavy border at a random place, brighter one on top.

    semi_axes: in pixels. roundness: exponent of the profile, 0 for flat, 0.5 for the projection
    of an ellipsoid.
    """
    height, width = scene.shape
    centre = rng.uniform(-0.05, 1.05, 2) * (height, width)
    reach = int(1.5 * semi_axes.max()) + 2
    top, left = (np.floor(centre).astype(int) - reach).clip(0)
    bottom, right = (np.floor(centre).astype(int) + reach).clip(0)
    window = scene[top:bottom, left:right]
    y, x = np.indices(window.shape, np.float64)
    y, x = y + top - centre[0], x + left - centre[1]
    angle = rng.uniform(0, np.pi)
    along = (np.cos(angle) * y + np.sin(angle) * x) / semi_axes[0]
    across = (np.cos(angle) * x - np.sin(angle) * y) / semi_axes[1]
    direction = np.arctan2(across, along)
    border = 1 + sum(
        rng.normal(0, 0.06) * np.cos(order * direction + rng.uniform(0, 2 * np.pi))
        for order in (2, 3, 4)
    )
    depth = 1 - (along**2 + across**2) / border**2
    # Within a pixel of the border the blob fades: depth is about 2 * distance / semi-axis there.
    faded = np.clip(depth * semi_axes.min() / 2, 0, 1)
    np.maximum(window, brightness * faded * np.maximum(depth, 0) ** roundness, out=window)


def _nucleoli(shape: tuple[int, int], pixel_size: float, rng: np.random.Generator) -> Plane:
    """A factor below 1 in round spots of about 1 um, 1 elsewhere."""
    count = int(shape[0] * shape[1] * pixel_size**2 * rng.uniform(0.01, 0.06))
    spots = _splat(shape, rng.uniform(0, 1, (count, 2)) * shape, np.ones(count))
    radius = rng.uniform(0.4, 0.9) / pixel_size
    dips = gaussian_filter(spots, radius) * 2 * np.pi * radius**2
    return np.asarray(1 - rng.uniform(0.2, 0.6) * np.minimum(dips, 1), np.float64)


def _trajectory(
    shape: tuple[int, int], length: float, persistence: float, rng: np.random.Generator
) -> NDArray[np.float64]:
    """Points half a pixel apart on a worm-like chain: (n, 2), Y and X in pixels."""
    step = 0.5
    turns = rng.normal(0, np.sqrt(step / persistence), max(int(length / step), 2))
    direction = rng.uniform(0, 2 * np.pi) + np.cumsum(turns)
    moves = step * np.stack([np.sin(direction), np.cos(direction)], axis=1)
    middle = rng.uniform(0, 1, 2) * np.array(shape)
    return np.asarray(middle + np.cumsum(moves, axis=0) - moves.sum(axis=0) / 2, np.float64)


def _splat(
    shape: tuple[int, int], places: NDArray[np.float64], weights: NDArray[np.float64]
) -> Plane:
    """Points at `places` (n, 2; Y and X in pixels) as an image of their weights, each spread
    linearly over its four pixels; points outside are dropped."""
    corner = np.floor(places).astype(int)
    fraction = places - corner
    image = np.zeros(shape)
    for down in (0, 1):
        for right in (0, 1):
            y, x = corner[:, 0] + down, corner[:, 1] + right
            share = np.abs(1 - down - fraction[:, 0]) * np.abs(1 - right - fraction[:, 1])
            within = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
            np.add.at(image, (y[within], x[within]), (weights * share)[within])
    return image


def _smooth_noise(shape: tuple[int, int], scale: float, rng: np.random.Generator) -> Plane:
    """Gaussian random field with features of about `scale` pixels; mean 0, deviation 1."""
    # Drawn coarsely and interpolated: a field of 300 px features needs no 1000 px kernel.
    coarse = max(scale / 4, 1.0)
    small = [int(np.ceil(size / coarse)) + 8 for size in shape]
    field = gaussian_filter(rng.normal(size=small), scale / coarse / 2, mode="wrap")
    field = (field - field.mean()) / max(float(field.std()), 1e-12)
    rows, columns = (4 + np.arange(size) / coarse for size in shape)
    return np.asarray(map_coordinates(field, np.meshgrid(rows, columns, indexing="ij"), order=3))


def _texture(
    shape: tuple[int, int], scale: float, rng: np.random.Generator, contrast: float
) -> Plane:
    """A positive factor around 1 with features of `scale` pixels and of a third of it."""
    field = _smooth_noise(shape, scale, rng) + 0.6 * _smooth_noise(shape, scale / 3, rng)
    return np.asarray(np.exp(contrast * field))


def _unit_peaks(scene: Plane) -> Plane:
    """Scaled so that its brightest parts are about 1."""
    return np.asarray(scene / max(float(np.percentile(scene, 99)), 1e-12), np.float64)
