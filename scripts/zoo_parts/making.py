"""From a recipe to a package in model_zoo/."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.export.about import About
from care_bridge.export.builder import export_checkpoint
from care_bridge.images import open_image
from care_bridge.training.checkpoint import Checkpoint, Example, load_checkpoint
from care_bridge.training.config import parse_config
from care_bridge.training.run import resume, train
from zoo_parts.card import with_figures
from zoo_parts.data import PARTS, pixel_sizes, simulate
from zoo_parts.figures import measure, write_figures
from zoo_parts.measuring import PlainMethods
from zoo_parts.recipe import ZooRecipe, with_tuples


def learn(recipe: ZooRecipe, work: Path) -> None:
    """Simulate the data into work/data and train in work/run, or go on there."""
    simulate(recipe.data, work / "data")
    config = parse_config(recipe.training)
    data = work / "data" if config.data.target else work / "data" / "source"
    run = work / "run"
    if run.exists():
        resume(data, run)
    else:
        train(data, run, config)


def export(recipe: ZooRecipe, work: Path) -> Path:
    """Make work/package, which is returned, of the best network in work/run."""
    package = work / "package"
    sizes = pixel_sizes(recipe.data, work / "data")
    about = About(**with_tuples(recipe.about), pixel_size=sizes)
    checkpoint = load_checkpoint(work / "run")
    shown = recipe.test_image
    if shown:
        example = checkpoint.example
        if shown.image:
            example = validated_on(checkpoint, shown.image, work / "data")
        checkpoint = dataclasses.replace(checkpoint, example=cut(example, shown.size))
    export_checkpoint(checkpoint, package, about, overwrite=True)
    return package


def validated_on(checkpoint: Checkpoint, name: str, data: Path) -> Example:
    """One of the simulated images of one channel in `data` that the network was validated on."""
    if name not in checkpoint.images["validation"]:
        images = ", ".join(checkpoint.images["validation"])
        raise ValueError(f"{name} was not validated on: name one of {images}")
    source, target = (open_image(data / part / name).pixels[np.newaxis] for part in PARTS)
    return Example(source, target)


def cut(example: Example, size: Sequence[int]) -> Example:
    """The middle of an example, `size` pixels along its last axes."""

    def middle(pixels: NDArray[np.generic]) -> NDArray[np.generic]:
        # A projected target has no Z.
        wanted = size[-(pixels.ndim - 1) :]
        starts = [
            (has - pixels_wanted) // 2
            for has, pixels_wanted in zip(pixels.shape[1:], wanted, strict=True)
        ]
        part = tuple(slice(start, start + n) for start, n in zip(starts, wanted, strict=True))
        return pixels[(slice(None), *part)]

    return Example(middle(example.source), middle(example.target))


def publish(
    recipe: ZooRecipe, package: Path, work: Path, plain: PlainMethods, real: Path | None, to: Path
) -> None:
    """Measure a package and put it into the folder `to`, with its figures beside it and in the
    model card."""
    found = measure(recipe, package, work, plain, real)
    card = package / "README.md"
    card.write_text(with_figures(card.read_text("utf-8"), recipe, found), "utf-8")
    shutil.copytree(package, to, dirs_exist_ok=True)
    write_figures(found, to)
