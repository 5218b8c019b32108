"""Simulate pairs to train and test on: what a microscope and its camera see, and the truth.

OUT/source and OUT/GT hold files of the same names, as `care-bridge train OUT` reads them;
OUT/recipe.yaml holds every parameter, in micrometres, seconds and photons, and makes the same
pairs again: `care-bridge simulate --recipe OUT/recipe.yaml --out AGAIN`. OUT/preview.png shows the
first pair.
"""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from care_bridge.errors import ConfigError, MissingExtraError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "kind",
        nargs="?",
        metavar="KIND",
        help="tubules, granules, nuclei, membranes or spheres (a recipe names its own)",
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="FOLDER", help="new folder for the pairs"
    )
    parser.add_argument("--count", type=int, metavar="N", help="how many pairs (count)")
    parser.add_argument("--size", metavar="[Z,]Y,X", help="pixels, e.g. 512,512 or 32,256,256")
    parser.add_argument("--seed", type=int, metavar="S", help="the same seed, the same pairs")
    parser.add_argument(
        "--recipe", type=Path, metavar="FILE", help="recipe, YAML; the other options change it"
    )
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change keys of the recipe, e.g. exposure.photons=5 or optics.wavelength=[0.5,0.6]",
    )


def run(arguments: argparse.Namespace) -> int:
    """Simulate, and print the folder."""
    if not find_spec("scipy"):
        raise MissingExtraError("simulating", "evaluate")
    from tqdm import tqdm

    from care_bridge.simulation.dataset import write_dataset
    from care_bridge.simulation.recipe_file import load_recipe

    recipe = load_recipe(arguments.recipe, arguments.kind, [*arguments.set, *_settings(arguments)])
    with tqdm(total=recipe.count, unit="pair", disable=None) as progress:
        write_dataset(recipe, arguments.out, progress.update)
    print(arguments.out)
    return 0


def _settings(arguments: argparse.Namespace) -> list[str]:
    settings = [
        f"{key}={value}"
        for key in ("count", "seed")
        if (value := getattr(arguments, key)) is not None
    ]
    if arguments.size is not None:
        pixels = arguments.size.split(",")
        if not all(number.strip().isdecimal() for number in pixels):
            raise ConfigError(
                f'--size "{arguments.size}" is no size: give pixels as Y,X or Z,Y,X, e.g. 512,512'
            )
        settings.append(f"size=[{arguments.size}]")
    return settings
