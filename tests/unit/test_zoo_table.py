"""The tables of the models, read as a reader does, and held against the figures they are of."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from zoo_parts.card import as_table
from zoo_parts.figures import differences
from zoo_parts.measuring import best_plain, mean_of
from zoo_parts.tables import write_tables

from care_bridge.bundled import bundled_folder

ZOO = bundled_folder("model_zoo")
MODELS = sorted(path.parent.name for path in ZOO.glob("*/recipe.yaml"))
FOUND = {"input": [20.0, 0.3], "gaussian": [28.5, 0.6], "median": [29.0, 0.5]}


def rows_of(text: str, first: str) -> dict[str, dict[str, str]]:
    """The cells of the Markdown table whose first column is called `first`, by line and column."""
    lines = text[text.index(f"| {first} |") :].split("\n\n")[0].splitlines()
    cells = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    return {row[0]: dict(zip(cells[0], row, strict=True)) for row in cells[2:]}


def figures_of(model: str) -> dict[str, dict[str, dict[str, list[float]]]]:
    return yaml.safe_load((ZOO / model / "figures.yaml").read_text(encoding="utf-8"))


def test_a_table_shows_the_input_first_and_the_model_last() -> None:
    table = as_table("level", {"both": {"images": 2, "restored": [31.004, 0.9], **FOUND}})
    row = rows_of(table, "level")["both"]
    assert list(row) == ["level", "input", "gaussian", "median", "restored"]
    assert row["restored"] == "31.00 / 0.900"


def test_the_best_plain_method_is_neither_input_nor_model() -> None:
    assert best_plain({**FOUND, "input": [40.0, 1.0], "restored": [50.0, 1.0]}) == "median"


def test_means_are_by_method() -> None:
    assert mean_of([{"input": [10.0, 0.2]}, {"input": [30.0, 0.4]}])["input"] == pytest.approx(
        [20.0, 0.3]
    )


def test_other_figures_are_told_and_rounding_is_not() -> None:
    kept = {"held_out": {"all": {"images": 3, "input": [20.0, 0.3], "restored": [30.0, 0.9]}}}
    found = {"held_out": {"all": {"images": 3, "input": [20.01, 0.3], "restored": [29.8, 0.9]}}}
    (line,) = differences(kept, found, 0.05)
    assert "restored" in line
    assert "29.8" in line


@pytest.mark.parametrize("model", MODELS)
def test_a_model_card_shows_the_figures(model: str) -> None:
    card = (ZOO / model / "README.md").read_text(encoding="utf-8")
    figures = figures_of(model)
    shown = rows_of(card, "structure")
    assert len(shown) == len(figures["held_out"])
    for name, group in figures["held_out"].items():
        row = shown[f"{name} ({group['images']})"]
        psnr, ssim = map(float, row["restored"].split(" / "))
        assert [psnr, ssim] == pytest.approx(group["restored"], abs=1e-3)
    for photons, group in figures.get("real", {}).items():
        row = rows_of(card, "photons")[photons]
        assert float(row["restored"].split(" / ")[0]) == pytest.approx(group["restored"][0])


@pytest.mark.parametrize("readme", ["model_zoo/README.md", "README.md"])
def test_the_readme_has_a_line_for_every_model(readme: str) -> None:
    rows = rows_of((ZOO.parent / readme).read_text(encoding="utf-8"), "model")
    assert [name.strip("[").split("]")[0] for name in rows] == MODELS
    for name, row in zip(MODELS, rows.values(), strict=True):
        held_out = figures_of(name)["held_out"]
        every = held_out.get("all", next(iter(held_out.values())))
        assert float(row["simulated: model"].strip("*")) == every["restored"][0]


def test_the_readmes_and_the_index_are_as_the_script_writes_them(tmp_path: Path) -> None:
    """In a copy that has lost its tables."""
    places = [Path("README.md"), Path("model_zoo/README.md"), Path("model_zoo/index.yaml")]
    (tmp_path / "model_zoo").mkdir()
    for model in MODELS:
        (tmp_path / "model_zoo" / model).symlink_to(ZOO / model)
    for place in places[:2]:
        text = (ZOO.parent / place).read_text(encoding="utf-8")
        head, begin, rest = text.partition("<!-- models: written by scripts/zoo -->\n")
        end = rest.index("<!-- end of models -->")
        (tmp_path / place).write_text(head + begin + "old\n" + rest[end:], encoding="utf-8")
    write_tables(tmp_path / "model_zoo")
    for place in places:
        assert (tmp_path / place).read_text("utf-8") == (ZOO.parent / place).read_text("utf-8")
