"""What an ensemble gains over its members, whether its intervals hold, and what its D tells.

    python benchmarks/quality_ensemble.py --out RESULTS [--scenes denoise deblur]
        [--seeds 0 1 2 3] [--steps 2000]

Simulated filaments train five probabilistic networks: with little light, or blurred and with more
of it. They restore filaments that none has seen, and nuclei and membranes in the same light and
through the same optics, which are foreign to them. The truth keeps the uneven background: were that
a constant, the background of an image would be right or wrong as a whole, and calibration would
tell of one number. Figures: PSNR in the CARE paper's metric; the calibration error, in the grey
levels that source and target have in common; the disagreement D on familiar and on foreign images,
and how much larger it is on the tenth of the familiar pixels that are most wrong. What is done is
kept in RESULTS (a JSON each), so the script may be interrupted and called again.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from bench.paired import difference, print_figures, print_verdict
from bench.scenes import BLURRED, PAIRS, SETTINGS
from bench.seeds import add_arguments, of_all_seeds
from bench.training import trained_package, write_pairs
from numpy.typing import NDArray

from care_bridge.evaluation.metrics import care_psnr
from care_bridge.evaluation.reliability import Laplaces, calibration, laplaces_of_image
from care_bridge.images import open_image
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer
from care_bridge.simulation.recipe_file import load_recipe

FAMILIAR, FOREIGN = "tubules", ("nuclei", "membranes")
# The filaments' optics for all: only the structure is foreign.
_OPTICS = ("optics.numerical_aperture=1.4", "optics.refractive_index=1.515")
SCENES = {
    "denoise": ("optics.pixel_size=0.1", "exposure.photons=10"),
    "deblur": BLURRED,
}
TRAINING = (
    *SETTINGS,
    "probabilistic=true",
    "members=5",
    "network.n_first=16",
    "training.precision=bf16",
)
CALIBRATED = 0.05
"""The largest calibration error that is aimed at."""
HIGHEST = 90
"""Percentile above which an error, or a D, counts as large."""


def predicted(restorer: Restorer, data: Path) -> tuple[NDArray[np.float64], Laplaces]:
    """The truth of the test images (N, Y, X) and what the members say of them (M, N, Y, X), with
    the spread of the package."""
    truths, means, scales = [], [], []
    for file in sorted((data / "test").iterdir()):
        _, told = restorer.restore_with_uncertainty(open_image(file))
        members = laplaces_of_image(told.pixels, 1)
        truths.append(open_image(data / "truth" / file.name).pixels)
        means.append(members.means[:, 0])
        scales.append(members.scales[:, 0])
    return np.stack(truths).astype(np.float64), Laplaces(np.stack(means, 1), np.stack(scales, 1))


def psnr(images: NDArray[np.float64], truths: NDArray[np.float64]) -> float:
    """The mean over images."""
    return mean(care_psnr(image, truth) for image, truth in zip(images, truths, strict=True))


def ratio(values: NDArray[np.float64], by: NDArray[np.float64]) -> float:
    """How many times larger `values` are where `by` is in its highest tenth than elsewhere."""
    high = by > np.percentile(by, HIGHEST)
    return float(values[high].mean() / values[~high].mean())


def recipe_of(scene: str) -> tuple[str, ...]:
    """What is simulated of each structure."""
    return ("size=[256,256]", *_OPTICS, *SCENES[scene])


def measured(scene: str, steps: int, seed: int, folder: Path) -> dict[str, Any]:
    """The figures, by name."""
    data = {kind: folder / "data" / kind for kind in (FAMILIAR, *FOREIGN)}
    for kind, place in data.items():
        recipe = load_recipe(None, kind, [*recipe_of(scene), f"seed={seed}"])
        write_pairs(place, recipe, PAIRS[0] if kind == FAMILIAR else 0, PAIRS[1])
    settings = (*TRAINING, f"seed={seed}", f"training.steps={steps}")
    package = trained_package(data[FAMILIAR], folder, settings)
    options = RestoreOptions(device="cpu", dtype="float32", uncertainty="members")
    restorer = Restorer(package, options)
    truth, familiar = predicted(restorer, data[FAMILIAR])
    disagreement = familiar.disagreement()
    error = np.abs(familiar.mean() - truth)
    own = familiar.spread(1 / package.spec.spread)
    singles = [Laplaces(own.means[[number]], own.scales[[number]]) for number in range(own.members)]
    reliability = calibration(truth, familiar)
    return {
        "ensemble": psnr(familiar.mean(), truth),
        "members": [psnr(single.mean(), truth) for single in singles],
        "calibration_error": reliability.error,
        "spread": package.spec.spread,
        "accuracies": reliability.accuracies,
        "members_calibration_error": [calibration(truth, single).error for single in singles],
        "d": {
            FAMILIAR: float(disagreement.mean()),
            **{
                kind: float(predicted(restorer, data[kind])[1].disagreement().mean())
                for kind in FOREIGN
            },
        },
        "d_where_wrong": ratio(disagreement, error),
        "error_where_d": ratio(error, disagreement),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_arguments(parser, steps=2000)
    parser.add_argument("--scenes", nargs="+", choices=SCENES, default=list(SCENES))
    given = parser.parse_args()
    for scene in given.scenes:
        measure = partial(measured, scene, given.steps)
        told = [recipe_of(scene), FAMILIAR, FOREIGN, PAIRS, TRAINING, HIGHEST]
        results = of_all_seeds(given, f"ensemble-{scene}", told, measure)
        print_results(f"{scene}, {given.steps} steps a member", given.seeds, results)


def print_results(title: str, seeds: Sequence[int], results: Sequence[dict[str, Any]]) -> None:
    """The tables of a scene."""
    ensemble = [result["ensemble"] for result in results]
    members = [mean(result["members"]) for result in results]
    best = [max(result["members"]) for result in results]
    print_figures(
        f"{title}: PSNR in dB",
        seeds,
        {"ensemble": ensemble, "members, mean": members, "members, the best": best},
    )
    print_verdict("ensemble - members", difference(ensemble, members), 0)
    print_verdict("ensemble - best member", difference(ensemble, best), 0)
    rows = {
        "calibration error": [result["calibration_error"] for result in results],
        "of a member": [mean(result["members_calibration_error"]) for result in results],
        **{f"D, {kind}": [result["d"][kind] for result in results] for kind in results[0]["d"]},
        "D where the error is in its highest tenth / elsewhere": [
            result["d_where_wrong"] for result in results
        ],
        "error where D is in its highest tenth / elsewhere": [
            result["error_where_d"] for result in results
        ],
    }
    print_figures(f"{title}: reliability", seeds, rows, digits=3)
    allowed = [CALIBRATED] * len(results)
    gain = difference(allowed, rows["calibration error"])
    print_verdict(f"{CALIBRATED} - calibration error", gain, 0)
    for kind in FOREIGN:
        gain = difference(rows[f"D, {kind}"], rows[f"D, {FAMILIAR}"])
        print_verdict(f"D, {kind} - {FAMILIAR}", gain, 0)
    wrong = [result["d_where_wrong"] for result in results]
    print_verdict("D where wrong / elsewhere - 1", difference(wrong, [1] * len(wrong)), 0)


if __name__ == "__main__":
    main()
