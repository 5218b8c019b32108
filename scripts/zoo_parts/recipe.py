"""What a model of the zoo is made from: model_zoo/NAME/recipe.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml


@dataclass(frozen=True)
class RealImage:
    """A real image that stands for the truth, and the light in which it is taken again.

    file: in model_zoo/samples, or in the folder that scripts/zoo is told. what: for people.
    region: the part that is taken, as of `care-bridge evaluate --roi`. photons: in its average
    pixel, one exposure for each. black: its grey level without light.
    """

    file: str
    what: str
    region: str
    photons: tuple[float, ...]
    black: float = 0.0
    remark: str = ""


@dataclass(frozen=True)
class ShownImage:
    """Where a package's test image is cut from. size: pixels along [Z,] Y, X of its middle. image:
    the file name of one of the images validated on; "" for the run's own example."""

    size: tuple[int, ...]
    image: str = ""


@dataclass(frozen=True)
class ZooRecipe:
    """A recipe. summary: what the model is for, a few words. about: what the package says of itself
    (export.about.About). data: what is simulated (data.py). training: what `care-bridge train`
    takes. held_out: changes of the data that the model is measured on: seed, count, size. real: an
    image of a real specimen. test_image: of the package; None: the whole example of the run."""

    name: str
    summary: str
    about: Mapping[str, Any]
    data: Mapping[str, Any]
    training: Mapping[str, Any]
    held_out: Mapping[str, Any]
    real: RealImage | None = None
    test_image: ShownImage | None = None


def read_recipe(folder: Path) -> ZooRecipe:
    """The recipe in a model's folder."""
    said = yaml.safe_load((folder / "recipe.yaml").read_text(encoding="utf-8"))
    for key, kind in (("real", RealImage), ("test_image", ShownImage)):
        if key in said:
            said[key] = kind(**with_tuples(said[key]))
    return ZooRecipe(name=folder.name, **with_tuples(said))


def with_tuples(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values, lists as tuples: frozen dataclasses hold no lists."""
    return {
        key: tuple(value) if isinstance(value, list) else value for key, value in values.items()
    }
