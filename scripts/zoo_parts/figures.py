"""The figures of a model: measured, kept in figures.yaml beside its package, and compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from care_bridge.cli.evaluated_model import EvaluatedModel
from zoo_parts.data import held_out, simulate
from zoo_parts.measuring import Figures, PlainMethods, mean_of, on_held_out, on_real
from zoo_parts.recipe import RealImage, ZooRecipe
from zoo_parts.timing import cpu_seconds

FILE = "figures.yaml"
_HEAD = """\
# Written by scripts/zoo, which measures again with --compare. By images and method: PSNR (dB) and
# SSIM in the metric of the CARE paper.
"""


def measure(
    recipe: ZooRecipe, package: Path, work: Path, plain: PlainMethods, real: Path | None
) -> dict[str, Any]:
    """All figures of a package: of the kinds of held-out images and of all of them, of the real
    image `real`, and the time that restoring takes."""
    model = EvaluatedModel(package)
    simulate(held_out(recipe.data, recipe.held_out), work / "held_out")
    found = on_held_out(model, work / "held_out", plain)
    every = [figures for group in found.figures.values() for figures in group]
    groups = {"all": every, **dict(sorted(found.figures.items()))}
    if len(found.figures) == 1:
        del groups["all"]
    told: dict[str, Any] = {
        "held_out": {name: _group(figures) for name, figures in groups.items()},
        "cpu_seconds_per_megapixel": float(f"{cpu_seconds(package):.2g}"),
    }
    if found.calibration:
        error = sum(found.calibration) / len(found.calibration)
        told["calibration_error"] = round(error, 4)
    if recipe.real and real:
        on_photons = on_real(model, recipe.real, real, plain)
        told["real"] = {f"{photons:g}": _rounded(one) for photons, one in on_photons.items()}
    return told


def real_file(real: RealImage | None, folders: list[Path]) -> Path | None:
    """Where a recipe's real image lies; None where it has none, or it is in none of the folders."""
    places = [folder / real.file for folder in folders] if real else []
    return next((place for place in places if place.is_file()), None)


def write_figures(found: Mapping[str, Any], folder: Path) -> None:
    text = yaml.safe_dump(dict(found), sort_keys=False, default_flow_style=None, width=200)
    (folder / FILE).write_text(_HEAD + text, encoding="utf-8")


def read_figures(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((folder / FILE).read_text(encoding="utf-8"))
    return found


def overall(group: Mapping[str, Any]) -> dict[str, Any]:
    """Of the held-out images by kind: those of all images."""
    return dict(group.get("all") or next(iter(group.values())))


def differences(kept: Mapping[str, Any], found: Mapping[str, Any], within: float) -> Iterator[str]:
    """A line for each PSNR that was found further than `within` dB from what is kept."""
    for part in ("held_out", "real"):
        for name, figures in found.get(part, {}).items():
            for method, values in figures.items():
                before = kept[part][name].get(method)
                if method != "images" and (before is None or abs(before[0] - values[0]) > within):
                    yield f"{part} {name}, {method}: found {values[0]}, kept {before}"


def _group(figures: list[Figures]) -> dict[str, Any]:
    return {"images": len(figures), **_rounded(mean_of(figures))}


def _rounded(figures: Figures) -> Figures:
    return {method: [round(psnr, 2), round(ssim, 3)] for method, (psnr, ssim) in figures.items()}
