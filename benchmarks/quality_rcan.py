"""What RCAN gains over care's U-Net on a deconvolution, both trained for the same time.

    python benchmarks/quality_rcan.py --out RESULTS [--seeds 0 1 2 3] [--steps 2000]

Simulated filaments, blurred and with some noise, against the filaments themselves. What a step of
each network takes of the processor is measured first, in turns (the least counts); then care's
U-Net trains for --steps and RCAN for as many as take the same time, so that a busy machine changes
nothing.
Figures: PSNR in the CARE paper's metric of images that training did not see. What is done is kept
in RESULTS (a JSON each), so the script may be interrupted and called again.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from pathlib import Path
from typing import Any

import torch
from bench.paired import difference, print_figures, print_verdict
from bench.scenes import BLURRED, PAIRS, SETTINGS
from bench.seeds import add_arguments, of_all_seeds, of_seed
from bench.training import psnr_of_input, psnr_of_package, trained_package, write_pairs
from torch.nn.functional import l1_loss

from care_bridge.simulation.recipe_file import load_recipe
from care_bridge.training.checkpoint import build_network
from care_bridge.training.config import load_config

RECIPE = ("size=[256,256]", *BLURRED, "target.background=false")
COMMON = (*SETTINGS, "normalization.high=99.8", "patches.background=0.25")
NETWORKS = {
    "care": ("task=care", "network.n_first=16"),
    "rcan": ("task=rcan", "rcan.channels=16", "rcan.groups=3", "rcan.blocks=2"),
}
_ROUNDS = 15


def seconds_of_steps() -> dict[str, float]:
    """Of the processor for one step of each network."""
    networks, optimizers = {}, {}
    for name, settings in NETWORKS.items():
        config = load_config(None, (*COMMON, *settings)).resolved("YX")
        network = build_network(config, 1, 1).to(memory_format=torch.channels_last)
        networks[name], optimizers[name] = network, torch.optim.Adam(network.parameters())
    size = (config.training.batch_size, 1, *(config.patches.size or ()))
    images = torch.rand(size).contiguous(memory_format=torch.channels_last)
    fastest = dict.fromkeys(NETWORKS, float("inf"))
    for _ in range(_ROUNDS):
        for name, network in networks.items():
            began = time.process_time()
            loss = l1_loss(network(images), images)
            optimizers[name].zero_grad()
            loss.backward()
            optimizers[name].step()
            fastest[name] = min(fastest[name], time.process_time() - began)
    return fastest


def timed(_seed: int, folder: Path) -> dict[str, Any]:
    """Seconds of a step; there are no files."""
    (folder / "data").mkdir(parents=True)
    return seconds_of_steps()


def measured(name: str, steps: int, seed: int, folder: Path) -> dict[str, Any]:
    """PSNR in dB after so many steps, and of the input."""
    recipe = load_recipe(None, "tubules", [*RECIPE, f"seed={seed}"])
    write_pairs(folder / "data", recipe, *PAIRS)
    settings = (*COMMON, *NETWORKS[name], f"seed={seed}", f"training.steps={steps}")
    package = trained_package(folder / "data", folder, settings)
    return {
        "psnr": psnr_of_package(package, folder / "data"),
        "input": psnr_of_input(folder / "data"),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    add_arguments(parser, steps=2000)
    given = parser.parse_args()
    seconds = of_seed(given, "rcan-times", 1, 0, [COMMON, NETWORKS, _ROUNDS], timed)
    steps = {name: round(given.steps * seconds["care"] / each) for name, each in seconds.items()}
    results = {
        name: of_all_seeds(
            given,
            f"equal-time-{name}",
            [RECIPE, PAIRS, COMMON, NETWORKS[name], steps[name]],
            partial(measured, name, steps[name]),
        )
        for name in NETWORKS
    }
    figures = {name: [each["psnr"] for each in found] for name, found in results.items()}
    inputs = [each["input"] for each in results["care"]]
    told = ", ".join(f"{name} {count} steps" for name, count in steps.items())
    print_figures(f"{told}: PSNR in dB", given.seeds, {"blurred": inputs, **figures})
    print_verdict("rcan - care", difference(figures["rcan"], figures["care"]), 0)


if __name__ == "__main__":
    main()
