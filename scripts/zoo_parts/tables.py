"""What is said of all models together: the tables of two READMEs and the index."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from zoo_parts.figures import FILE, overall, read_figures
from zoo_parts.measuring import best_plain, mean_of
from zoo_parts.recipe import read_recipe

_BEGIN, _END = "<!-- models: written by scripts/zoo -->\n", "<!-- end of models -->"
_COLUMNS = (
    "model",
    "what for",
    "MB",
    "simulated: input",
    "simulated: best plain method",
    "simulated: model",
    "real: input",
    "real: best plain method",
    "real: model",
    "s / Mpx",
)
_NOTE = """
PSNR in dB in the CARE paper's metric, of images that training has not seen: simulated ones, and a
real one in the light of a few photons a pixel (mean over their numbers). The best plain method is
that of `care-bridge evaluate`'s filters, each at the setting that suits the truth best. Time: of
one core, for a million pixels or voxels.
"""


def write_tables(zoo: Path) -> None:
    """Write the table into model_zoo/README.md and the project's README.md, between their marks,
    and model_zoo/index.yaml."""
    models = sorted(path.parent for path in zoo.glob(f"*/{FILE}"))
    for readme, to_models in ((zoo / "README.md", ""), (zoo.parent / "README.md", "model_zoo/")):
        text = readme.read_text(encoding="utf-8")
        head, begin, rest = text.partition(_BEGIN)
        _, end, tail = rest.partition(_END)
        if not begin or not end:
            raise ValueError(f"{readme} has no place for the table: {_BEGIN.strip()} … {_END}")
        lines = [_COLUMNS, ("---",) * len(_COLUMNS)]
        lines += [_row(model, to_models) for model in models]
        table = "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"
        readme.write_text(f"{head}{begin}{table}{_NOTE}{end}{tail}", encoding="utf-8")
    index = {model.name: read_recipe(model).summary for model in models}
    said = yaml.safe_dump(index, sort_keys=False, width=200)
    (zoo / "index.yaml").write_text(f"# The models here; written by scripts/zoo.\n{said}", "utf-8")


def _row(model: Path, to_models: str) -> tuple[str, ...]:
    figures = read_figures(model)
    link = f"[{model.name}]({to_models}{model.name}/README.md)"
    size = sum(file.stat().st_size for file in model.iterdir()) / 1e6
    real = _cells(mean_of(figures["real"].values())) if "real" in figures else ("", "", "")
    seconds = f"{figures['cpu_seconds_per_megapixel']:g}"
    simulated = _cells(overall(figures["held_out"]))
    return link, read_recipe(model).summary, f"{size:.1f}", *simulated, *real, seconds


def _cells(figures: Mapping[str, Any]) -> tuple[str, str, str]:
    """PSNR of the input, the best plain method and the model; bold where the model is best. Where
    the truth has other pixels than the input, it stands as it was brought to them."""
    best = best_plain(figures)
    won = figures["restored"][0] > figures[best][0]
    mark = "**" if won else ""
    brought = next(method for method in figures if method not in ("images", "restored"))
    said = "" if brought == "input" else f" ({brought})"
    return (
        f"{figures[brought][0]:.2f}{said}",
        f"{figures[best][0]:.2f} ({best})",
        f"{mark}{figures['restored'][0]:.2f}{mark}",
    )
