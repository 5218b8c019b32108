"""Simulated images to train and to measure on, from a recipe's section `data`.

    data:
      seed: 1
      common: {size: [24, 128, 128], exposure: {photons: [2, 100]}}
      kinds:
        nuclei: {count: 30, optics: {pixel_size: [0.2, 0.4]}}
        tubules: {count: 30}

`common` and each of `kinds` hold what a recipe of `care-bridge simulate` holds. Instead of both,
`scenes` may hold a care_bridge.simulation.pairs.PairRecipe, in which structures are mixed, and
`count` how many pairs are drawn from it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from care_bridge.simulation.dataset import write_dataset
from care_bridge.simulation.pairs import PairRecipe, write_pairs
from care_bridge.simulation.recipe import Recipe
from care_bridge.simulation.recipe_file import load_recipe
from zoo_parts.recipe import with_tuples

PARTS = ("source", "GT")


def simulate(data: Mapping[str, Any], folder: Path) -> None:
    """Write all pairs as folder/source/KIND-NUMBER.tif and folder/GT/KIND-NUMBER.tif. What is there
    already is not made again."""
    if "scenes" in data:
        _simulate_scenes(data, folder)
        return
    for kind in data["kinds"]:
        if not any((folder / "GT").glob(f"{kind}-*.tif")):
            made = folder / f"of_{kind}"
            write_dataset(kind_recipe(data, kind, folder), made, lambda: None)
            files = sorted(file.name for file in (made / "GT").iterdir())
            _gather(made, {name: f"{kind}-{name}" for name in files}, folder)


def kind_recipe(data: Mapping[str, Any], kind: str, folder: Path) -> Recipe:
    """The simulator's recipe of one of the kinds, which is kept as folder/KIND.yaml."""
    values = laid_over({**data["common"], "seed": data["seed"]}, data["kinds"][kind])
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{kind}.yaml"
    path.write_text(yaml.safe_dump(values, sort_keys=False), encoding="utf-8")
    return load_recipe(path, kind)


def held_out(data: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """The data that a model is measured on: the same but for `changes`. Their `count` is that of
    every kind, but of all scenes together."""
    top = {key: changes[key] for key in ("seed", "count")}
    rest = {key: value for key, value in changes.items() if key not in top}
    if "scenes" in data:
        return {**top, "scenes": laid_over(data["scenes"], rest)}
    kinds = {kind: {**values, "count": top["count"]} for kind, values in data["kinds"].items()}
    return {"seed": top["seed"], "common": laid_over(data["common"], rest), "kinds": kinds}


def pixel_sizes(data: Mapping[str, Any], folder: Path) -> dict[str, tuple[float, float]]:
    """The lowest and the highest pixel size of the sources in micrometres, by axis. folder: see
    `kind_recipe`."""
    if "scenes" in data:
        low, high = data["scenes"]["pixel_size"]
        return {"Y": (low, high), "X": (low, high)}
    recipes = [kind_recipe(data, kind, folder) for kind in data["kinds"]]
    ranges = {axis: [recipe.optics.pixel_size for recipe in recipes] for axis in "YX"}
    if len(recipes[0].size) == 3:
        steps = [(recipe.optics.z_step, recipe.sampling.z_factor) for recipe in recipes]
        ranges = {"Z": [(low * far, high * far) for (low, high), far in steps], **ranges}
    return {
        axis: (min(low for low, _ in several), max(high for _, high in several))
        for axis, several in ranges.items()
    }


def laid_over(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """`above` over `below`, section by section."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            value = laid_over(under, value)
        merged[key] = value
    return merged


def _simulate_scenes(data: Mapping[str, Any], folder: Path) -> None:
    if any((folder / "GT").glob("*.tif")):
        return
    made = folder / "of_scenes"
    ranges = PairRecipe(**with_tuples(data["scenes"]))
    write_pairs(ranges, made, count=data["count"], seed=data["seed"])
    drawn = json.loads((made / "pairs.json").read_text(encoding="utf-8"))["pairs"]
    _gather(made, {one["file"]: f"{one['scene']}-{one['file']}" for one in drawn}, folder)


def _gather(made: Path, names: Mapping[str, str], folder: Path) -> None:
    """Move all pairs out of the folder `made`, the truth last: where it is, all is."""
    for part in PARTS:
        (folder / part).mkdir(exist_ok=True)
        for old, new in names.items():
            (made / part / old).replace(folder / part / new)
    shutil.rmtree(made)
