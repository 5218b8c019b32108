"""Training pairs: what a camera sees in little light, and the truth behind it.

Pair number i of a seed is a pure function of recipe, seed and i, so a data set can be made again
or made larger.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from care_bridge.axes import Axes
from care_bridge.images import write_image
from care_bridge.images.image import Calibration, Image
from care_bridge.simulation.camera import Camera
from care_bridge.simulation.optics import Microscope
from care_bridge.simulation.ranges import Range
from care_bridge.simulation.scenes import SCENES, diffuse


@dataclass(frozen=True)
class PairRecipe:
    """What pairs are drawn from; a range is (lowest, highest).

    size: Y and X in pixels. scenes: how often each of SCENES is drawn, as weights. mixed: share
    of images in which a second structure lies beside the first. pixel_size, wavelength:
    micrometres. numerical_aperture: no unit. photons: expected photons in a pixel of the
    brightest structures (percentile 99.9). background: its share of these photons. defocus: sigma
    of a Gaussian blur of the structures, micrometres. haze: share of the structures' light that
    comes from far out of focus. gain: grey levels a photon. offset: grey
    levels. read_noise: electrons. Pixel size, photons and gain are drawn evenly on a logarithmic
    scale, the others evenly.
    """

    size: tuple[int, int]
    scenes: Mapping[str, float]
    mixed: float
    pixel_size: Range
    numerical_aperture: Range
    wavelength: Range
    photons: Range
    background: Range
    defocus: Range
    haze: Range
    gain: Range
    offset: Range
    read_noise: Range


@dataclass(frozen=True)
class Pair:
    """One noisy image and its truth.

    source: uint16, YX, one exposure. truth: float32, YX, the expected grey levels of that
    exposure. scene, microscope, camera, photons: what was drawn for it.
    """

    source: NDArray[np.uint16]
    truth: NDArray[np.float32]
    scene: str
    microscope: Microscope
    camera: Camera
    photons: float


def draw_pair(recipe: PairRecipe, seed: int, index: int) -> Pair:
    """Pair number `index` of `seed`."""
    rng = np.random.default_rng([seed, index])
    microscope = Microscope(
        numerical_aperture=rng.uniform(*recipe.numerical_aperture),
        wavelength=rng.uniform(*recipe.wavelength),
        pixel_size=_log_uniform(rng, recipe.pixel_size),
    )
    camera = Camera(
        gain=_log_uniform(rng, recipe.gain),
        offset=rng.uniform(*recipe.offset),
        read_noise=rng.uniform(*recipe.read_noise),
    )
    photons = _log_uniform(rng, recipe.photons)
    names = list(recipe.scenes)
    weights = np.array([recipe.scenes[name] for name in names])
    first, second = rng.choice(names, 2, p=weights / weights.sum())
    structure = SCENES[first](recipe.size, microscope.pixel_size, rng)
    if rng.random() < recipe.mixed:
        beside = SCENES[second](recipe.size, microscope.pixel_size, rng)
        structure = structure + rng.uniform(0.2, 1) * beside
    light = photons * _with_background(structure, recipe, microscope, rng)
    return Pair(
        source=camera.expose(light, rng),
        truth=camera.mean(light),
        scene=str(first),
        microscope=microscope,
        camera=camera,
        photons=photons,
    )


def write_pairs(recipe: PairRecipe, folder: Path, *, count: int, seed: int) -> None:
    """Write `count` pairs as folder/source/NUMBER.tif and folder/GT/NUMBER.tif.

    What they were drawn from lies beside them in folder/pairs.json. Files that are there already
    are replaced.
    """
    drawn = []
    for index in range(count):
        pair = draw_pair(recipe, seed, index)
        name = f"{index:04d}.tif"
        size = pair.microscope.pixel_size
        calibration = Calibration(voxel_size={"Y": size, "X": size}, unit="micron")
        for kind, pixels in (("source", pair.source), ("GT", pair.truth)):
            image = Image(pixels, Axes("YX"), calibration)
            write_image(image, folder / kind / name, overwrite=True)
        drawn.append(
            {
                "file": name,
                "scene": pair.scene,
                "photons": pair.photons,
                "microscope": dataclasses.asdict(pair.microscope),
                "camera": dataclasses.asdict(pair.camera),
            }
        )
    said = {"seed": seed, "count": count, "recipe": dataclasses.asdict(recipe), "pairs": drawn}
    (folder / "pairs.json").write_text(json.dumps(said, indent=1) + "\n", encoding="utf-8")


def _with_background(
    structure: NDArray[np.float64],
    recipe: PairRecipe,
    microscope: Microscope,
    rng: np.random.Generator,
) -> NDArray[np.float64]:
    """The blurred scene with out-of-focus light and background; its bright parts are 1."""
    haze = rng.uniform(*recipe.haze)
    near = gaussian_filter(structure, rng.uniform(*recipe.defocus) / microscope.pixel_size)
    far = gaussian_filter(structure, rng.uniform(1, 5) / microscope.pixel_size)
    image = microscope.blur((1 - haze) * near + haze * far)
    image /= max(float(np.percentile(image, 99.9)), 1e-12)
    share = rng.uniform(*recipe.background)
    clouds = diffuse(recipe.size, microscope.pixel_size, rng)
    evenness = rng.uniform(0, 1)
    background = evenness + (1 - evenness) * clouds / clouds.mean()
    return np.asarray((1 - share) * image + share * background)


def _log_uniform(rng: np.random.Generator, limits: Range) -> float:
    return float(np.exp(rng.uniform(*np.log(limits))))
