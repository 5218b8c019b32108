"""What upsampling and projection by networks gain over interpolation and maximum projection.

    python benchmarks/quality_sampling.py --out RESULTS [--tasks upsampling projection]
        [--seeds 0 1 2 3] [--steps 1000]

Simulated pairs with little light: stacks with every fourth slice against stacks with all of them,
and noisy stacks against the maximum projection of the truth. Two pairs that training did not see
are restored. Figures: PSNR in the CARE paper's metric; "denoised" is filtered (a Gaussian and
non-local means), each at the setting that suits the truth best. What is done is kept in RESULTS (a
JSON each), so the script may be interrupted and called again.
"""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from statistics import mean

import numpy as np
from bench.paired import difference, print_figures, print_verdict
from bench.scenes import interpolated
from bench.seeds import add_arguments, of_all_seeds
from bench.training import trained_package
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from skimage.restoration import denoise_nl_means

from care_bridge.evaluation.metrics import care_psnr
from care_bridge.images import write_image
from care_bridge.images.image import Image
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer
from care_bridge.simulation.recipe_file import load_recipe
from care_bridge.simulation.simulated_pair import simulate_pair

TRAINED, TESTED = 16, 2
FACTOR = 4

RECIPES = {
    "upsampling": (
        "tubules",
        (
            "size=[33,96,96]",
            "optics.z_step=0.15",
            "optics.confocal=true",
            "exposure.photons=40",
            f"sampling.z_factor={FACTOR}",
            "sampling.upsample=false",
        ),
    ),
    "projection": (
        "membranes",
        ("size=[16,128,128]", "exposure.photons=8", "target.projection=max"),
    ),
}
EVERY = (
    "normalization.target=source",
    "network.n_first=16",
    "training.steps_per_epoch=200",
    "training.schedule=cosine",
    "training.precision=bf16",
)
SETTINGS = {
    "upsampling": ("patches.size=[16,32,32]", "training.batch_size=4"),
    "projection": (
        "patches.size=[64,64]",
        "training.batch_size=4",
        "training.learning_rate=1e-3",
    ),
}


def pairs(folder: Path, task: str, seed: int) -> list[tuple[Image, NDArray[np.generic]]]:
    """Pairs to train on in folder/source and folder/GT; returns those to test on."""
    kind, settings = RECIPES[task]
    recipe = load_recipe(None, kind, [*settings, f"seed={seed}"])
    for side in ("source", "GT"):
        (folder / side).mkdir(parents=True)
    kept = []
    for index in range(TRAINED + TESTED):
        pair = simulate_pair(recipe, index)
        if index < TRAINED:
            write_image(pair.sources[0], folder / "source" / f"{index}.tif")
            write_image(pair.target, folder / "GT" / f"{index}.tif")
        else:
            kept.append((pair.sources[0], pair.target.pixels))
    return kept


def without_network(task: str, image: Image) -> dict[str, list[NDArray[np.floating]]]:
    """What can be had without a network; for each method its candidates."""
    pixels = image.pixels.astype(np.float64)
    if task == "upsampling":
        count = (len(pixels) - 1) * FACTOR + 1
        linear, cubic = (interpolated(pixels, count, FACTOR, order) for order in (1, 3))
        smooth = [gaussian_filter(cubic, sigma) for sigma in (0.5, 0.8, 1.2, 1.6)]
        return {"linear": [linear], "cubic": [cubic], "cubic, denoised": smooth}
    highest = pixels.max(axis=0)
    rough = np.abs(highest - gaussian_filter(highest, 1))
    noise = 1.4826 * float(np.median(rough))  # of Gaussian noise, the standard deviation
    denoised = [gaussian_filter(highest, sigma) for sigma in (0.5, 0.8, 1.2, 1.6, 2.0)]
    denoised += [
        denoise_nl_means(highest, sigma=noise, h=strength * noise, patch_size=5, patch_distance=7)
        for strength in (0.6, 0.8, 1.0, 1.4)
    ]
    first = [gaussian_filter(pixels, sigma).max(axis=0) for sigma in (0.5, 0.8, 1.2, 1.6, 2.0)]
    return {
        "maximum": [highest],
        "maximum, denoised": denoised,
        "denoised, maximum": first,
    }


def measured(task: str, steps: int, seed: int, folder: Path) -> dict[str, float]:
    """PSNR in dB of each method, the mean over the images."""
    held_out = pairs(folder / "data", task, seed)
    settings = (
        f"task={task}",
        f"seed={seed}",
        *EVERY,
        *SETTINGS[task],
        f"training.steps={steps}",
    )
    package = trained_package(folder / "data", folder, settings)
    restorer = Restorer(package, RestoreOptions(device="cpu", dtype="float32"))
    found: dict[str, list[float]] = {}
    for image, truth in held_out:
        candidates = {"network": [restorer.restore_image(image).pixels]}
        for name, images in (candidates | without_network(task, image)).items():
            best = max(care_psnr(each, truth[: len(each)]) for each in images)
            found.setdefault(name, []).append(best)
    return {name: mean(figures) for name, figures in found.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_arguments(parser, steps=1000)
    parser.add_argument("--tasks", nargs="+", choices=RECIPES, default=list(RECIPES))
    given = parser.parse_args()
    for task in given.tasks:
        told = [RECIPES[task], TRAINED, TESTED, EVERY, SETTINGS[task]]
        results = of_all_seeds(given, task, told, partial(measured, task, given.steps))
        figures = {name: [result[name] for result in results] for name in results[0]}
        print_figures(f"{task}, {given.steps} steps: PSNR in dB", given.seeds, figures)
        for name, without in figures.items():
            if name != "network":
                gain = difference(figures["network"], without)
                print_verdict(f"network - {name}", gain, 0)


if __name__ == "__main__":
    main()
