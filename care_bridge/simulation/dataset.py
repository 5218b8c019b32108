"""Simulated data sets: the pairs of a recipe, in the folders that training reads."""

from __future__ import annotations

import json
import os
import shutil
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from math import prod
from pathlib import Path

from care_bridge.atomic import partial_beside
from care_bridge.errors import ConfigError, ImageError
from care_bridge.images import write_image
from care_bridge.images.picture import write_panels
from care_bridge.simulation.preview import preview_panels
from care_bridge.simulation.recipe import Recipe
from care_bridge.simulation.recipe_file import dump_recipe
from care_bridge.simulation.simulated_pair import SimulatedPair, shared_psf, simulate_pair

_PSF_NAME = "psf.tif"
# A pair in the making holds some ten single-precision arrays of its size: 2.5 GB together.
_PIXELS_AT_ONCE = 1 << 26


def write_dataset(recipe: Recipe, folder: Path, on_pair: Callable[[], object]) -> None:
    """Write all pairs of a recipe as folder/source/NUMBER.tif and folder/GT/NUMBER.tif.

    Beside them lie recipe.yaml, from which they can be made again, the sources' point spread
    function where they share one, pairs.json with what was drawn for each pair, and preview.png.
    The folder appears when it is complete. `on_pair` is called after each pair.

    Raises ConfigError where the folder holds something already.
    """
    with _whole_folder(folder) as partial:
        psf = shared_psf(recipe)
        if psf is not None:
            write_image(psf, partial / _PSF_NAME)
        drawn = []
        for index, pair in enumerate(_simulated(recipe)):
            name = f"{index:04d}.tif"
            for kind, image in zip(_source_names(recipe), pair.sources, strict=True):
                write_image(image, partial / kind / name)
            write_image(pair.target, partial / "GT" / name)
            if index == 0:
                write_panels(partial / "preview.png", preview_panels(pair))
            drawn.append({"file": name, **pair.drawn})
            on_pair()
        if recipe.optics.psf:
            recipe = replace(recipe, optics=replace(recipe.optics, psf=_PSF_NAME))
        (partial / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
        (partial / "pairs.json").write_text(json.dumps(drawn, indent=1) + "\n", encoding="utf-8")


def _simulated(recipe: Recipe) -> Iterator[SimulatedPair]:
    """All pairs in order, several at once where cores and memory allow it."""
    pixels = recipe.movie.frames * prod(recipe.size)
    at_once = max(min(os.cpu_count() or 1, _PIXELS_AT_ONCE // pixels, recipe.count), 1)
    with ThreadPoolExecutor(at_once) as pool:
        coming = deque(pool.submit(simulate_pair, recipe, index) for index in range(at_once))
        for index in range(at_once, recipe.count + at_once):
            yield coming.popleft().result()
            if index < recipe.count:
                coming.append(pool.submit(simulate_pair, recipe, index))


@contextmanager
def _whole_folder(folder: Path) -> Iterator[Path]:
    """Give a hidden folder beside `folder` to write to, which is renamed to it at the end and
    removed after any error."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already and not empty: give a new folder")
    partial = partial_beside(folder.absolute())
    try:
        partial.mkdir(parents=True)
        try:
            yield partial
            if folder.exists():
                folder.rmdir()
            partial.rename(folder)
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    except OSError as error:
        raise ImageError(f"{folder} cannot be written: {error.strerror}") from error


def _source_names(recipe: Recipe) -> list[str]:
    doses = recipe.exposure.doses
    if len(doses) == 1 or recipe.exposure.arrange == "channels":
        return ["source"]
    return [f"source_{number}" for number in range(1, len(doses) + 1)]
