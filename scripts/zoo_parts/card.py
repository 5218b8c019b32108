"""The figures in a model card, at the head of its section Validation."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from care_bridge.package.consumers.metadata import VALIDATION
from care_bridge.simulation.lowlight import SCMOS
from zoo_parts.recipe import ZooRecipe

_HEADING = f"{VALIDATION}\n"
_METRIC = """
PSNR in dB and SSIM in the metric of the CARE paper: the truth scaled by its percentiles 0.1 and
99.9, each image fitted to it by the best affine map. Every other method has the setting that suits
each image's truth best, which nobody knows in practice. The figures are those of `care-bridge
evaluate`; `scripts/zoo --compare` measures them again.
"""


def with_figures(card: str, recipe: ZooRecipe, figures: Mapping[str, Any]) -> str:
    """The card of an exported package with the figures of its recipe."""
    head, heading, rest = card.partition(_HEADING)
    return head + heading + _text(recipe, figures) + rest


def as_table(first: str, rows: Mapping[str, Mapping[str, Any]]) -> str:
    """A Markdown table with a line for each group of images, "PSNR / SSIM" of each method in the
    cells. first: heading of the column that holds the names of the groups."""
    methods = [method for method in next(iter(rows.values())) if method != "images"]
    methods.sort(key=lambda method: (method == "restored") - (method == "input"))
    lines = [[first, *methods], ["---"] * (len(methods) + 1)]
    for name, figures in rows.items():
        cells = [f"{figures[method][0]:.2f} / {figures[method][1]:.3f}" for method in methods]
        lines.append([name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _text(recipe: ZooRecipe, figures: Mapping[str, Any]) -> str:
    held_out = {f"{name} ({group['images']})": group for name, group in figures["held_out"].items()}
    text = f"""{_METRIC}
On simulated images that training has not seen, from the recipe's ranges, by the structure in them:

{as_table("structure", held_out)}"""
    if "calibration_error" in figures:
        text += f"""
Intervals on these images: the expected calibration error is {figures["calibration_error"]:.3f}
(0: of each interval as much of the truth lies inside as it promises).
"""
    if recipe.real and "real" in figures:
        text += f"""
On a real image that training has not seen (`{recipe.real.file}`: {recipe.real.what}; region
{recipe.real.region}), taken again by a simulated camera ({SCMOS.gain:g} grey levels a photon,
{SCMOS.read_noise:g} electrons of read noise) with so many photons in its average pixel:

{as_table("photons", figures["real"])}
{recipe.real.remark}"""
    return text + "\n"
