"""What isotropic restoration gains over interpolation, on simulated volumes.

    python benchmarks/quality_isotropic.py --out RESULTS [--factors 4 2.5] [--seeds 0 1 2 3]

For each factor and seed: volumes of filaments in all directions, seen by a confocal microscope with
slices `factor` pixels apart, train a network; another one is restored, with the arithmetic and the
geometric mean of both orientations, and interpolated linearly and by cubic splines. The truth is
the same scene as a microscope would show it that resolves along Z as it does across. Figures: PSNR
in the CARE paper's metric, and the spectral isotropy (the truth's is about 1). What is done is kept
in RESULTS (a JSON each), so the script may be interrupted and called again.
"""

from __future__ import annotations

import argparse
import dataclasses
from functools import partial
from pathlib import Path

import numpy as np
from bench.paired import difference, print_figures, print_verdict
from bench.scenes import interpolated
from bench.seeds import add_arguments, of_all_seeds
from bench.training import trained_package
from scipy.ndimage import gaussian_filter

from care_bridge.axes import Axes
from care_bridge.evaluation.metrics import care_psnr
from care_bridge.evaluation.spectra import spectral_isotropy
from care_bridge.images import open_image, write_image
from care_bridge.images.image import Image
from care_bridge.package.package import Package
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer
from care_bridge.simulation.recipe_file import load_recipe
from care_bridge.simulation.simulated_pair import simulate_pair

APERTURE, WAVELENGTH, INDEX, PIXEL = 1.3, 0.52, 1.515, 0.1
# Full width at half maximum of a confocal image across Z, over 2.355: a Gaussian's sigma.
LATERAL = 0.51 * WAVELENGTH / APERTURE / np.sqrt(2) / 2.355 / PIXEL
VOLUMES, SIZE = 3, (65, 160, 160)
# Grey levels: about the shot noise of 40 photons, where filaments fade into the background.
NOISE = 12.0
TRAINING = (
    "task=isotropic",
    "isotropic.confocal=true",
    f"isotropic.numerical_aperture={APERTURE}",
    f"isotropic.wavelength={WAVELENGTH}",
    f"isotropic.refractive_index={INDEX}",
    f"isotropic.noise={NOISE}",
    "patches.size=[64,64]",
    "network.n_first=16",
    "training.steps_per_epoch=200",
    "training.schedule=cosine",
    "training.precision=bf16",
)
INTERPOLATIONS = {"linear": 1, "cubic": 3}
"""Orders of the splines."""
LEAST_GAIN = 2.0
"""dB over each of them."""


def recipe_of(factor: float) -> list[str]:
    """What is simulated: a recipe's settings."""
    settings = [
        f"optics.{key}={value}"
        for key, value in (
            ("numerical_aperture", APERTURE),
            ("wavelength", WAVELENGTH),
            ("refractive_index", INDEX),
            ("pixel_size", PIXEL),
            ("z_step", PIXEL),
            ("confocal", True),
        )
    ]
    settings += [
        f"size={list(SIZE)}",
        f"sampling.z_factor={factor}",
        "sampling.upsample=false",
        "exposure.photons=300",
        "background.level=0.05",
        "target.image=structure",
        "target.background=false",
    ]
    return settings


def volumes(folder: Path, factor: float, seed: int) -> Path:
    """Anisotropic volumes in folder/train, one more as test.tif, and its truth as truth.tif."""
    recipe = load_recipe(None, "tubules", [*recipe_of(factor), f"seed={seed}"])
    (folder / "train").mkdir(parents=True)
    for index in range(VOLUMES + 1):
        pair = simulate_pair(recipe, index)
        if index < VOLUMES:
            write_image(pair.sources[0], folder / "train" / f"{index}.tif")
            continue
        write_image(pair.sources[0], folder / "test.tif")
        sharp = gaussian_filter(pair.target.pixels.astype(np.float32), LATERAL)
        write_image(Image(sharp, Axes("ZYX"), pair.target.calibration), folder / "truth.tif")
    return folder


def with_mean(package: Package, combination: str) -> Package:
    """The package with another mean of the two orientations."""
    procedure = dataclasses.replace(package.spec.procedure, combination=combination)
    return dataclasses.replace(package, spec=dataclasses.replace(package.spec, procedure=procedure))


def measured(factor: float, steps: int, seed: int, folder: Path) -> dict[str, list[float]]:
    """PSNR (dB) and isotropy of each method."""
    data = volumes(folder / "data", factor, seed)
    settings = (*TRAINING, f"seed={seed}", f"training.steps={steps}")
    package = trained_package(data / "train", folder, settings)
    image, truth = open_image(data / "test.tif"), open_image(data / "truth.tif").pixels
    options = RestoreOptions(device="cpu", dtype="float32")
    found = {
        combination: Restorer(with_mean(package, combination), options).restore_image(image).pixels
        for combination in ("arithmetic", "geometric")
    }
    slices = len(found["arithmetic"])
    found |= {
        name: interpolated(image.pixels, slices, factor, order)
        for name, order in INTERPOLATIONS.items()
    }
    truth = truth[:slices]
    found["truth"] = truth
    return {
        name: [care_psnr(volume, truth), spectral_isotropy(volume).ratio]
        for name, volume in found.items()
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_arguments(parser, steps=2000)
    parser.add_argument("--factors", type=float, nargs="+", default=[4, 2.5])
    given = parser.parse_args()
    for factor in given.factors:
        measure = partial(measured, factor, given.steps)
        told = [recipe_of(factor), VOLUMES, float(LATERAL), TRAINING, INTERPOLATIONS]
        results = of_all_seeds(given, f"factor{factor:g}", told, measure)
        psnr, isotropy = (
            {name: [result[name][figure] for result in results] for name in results[0]}
            for figure in range(2)
        )
        del psnr["truth"]
        title = f"factor {factor:g}, {given.steps} steps"
        print_figures(f"{title}: PSNR in dB", given.seeds, psnr)
        for name in INTERPOLATIONS:
            gain = difference(psnr["arithmetic"], psnr[name])
            print_verdict(f"arithmetic - {name}", gain, LEAST_GAIN)
        print_figures(f"{title}: spectral isotropy", given.seeds, isotropy, digits=3)
        for name in INTERPOLATIONS:
            gain = difference(isotropy["arithmetic"], isotropy[name])
            print_verdict(f"isotropy, arithmetic - {name}", gain, 0)


if __name__ == "__main__":
    main()
