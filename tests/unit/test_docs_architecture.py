"""docs/architecture.md shows the layers that the import contracts hold."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_layers_are_those_of_the_contracts():
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"]
    (layers,) = [each["layers"] for each in contracts["contracts"] if each["type"] == "layers"]
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    section = page.split("## Layers")[1]
    shown = re.findall(r"^    (\w+(?: \| \w+)*)(?:  .*)?$", section, re.MULTILINE)
    expected = [layer.replace("care_bridge.", "") for layer in layers]
    assert [sorted(each.split(" | ")) for each in shown[: len(expected)]] == [
        sorted(each.split(" | ")) for each in expected
    ]


def test_every_module_that_is_named_is_there():
    page = (ROOT / "docs" / "architecture.md").read_text("utf-8")
    named = re.findall(r"`(\w+/\w+\.py)`", page)
    assert len(named) > 10
    assert [name for name in named if not (ROOT / "care_bridge" / name).is_file()] == []
