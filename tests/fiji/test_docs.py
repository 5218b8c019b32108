"""What is written for macro users names every option, command, function and macro there is."""

import re
from pathlib import Path

import pytest

from care_bridge.bundled import bundled_folder
from care_bridge.fiji.macros import parameter_names
from care_bridge.runtime.options import RestoreOptions

DOCS = (Path(__file__).parents[2] / "docs" / "fiji.md").read_text("utf-8")
OPTIONS = [option.name for option in RestoreOptions.all()]
MACROS = [path.stem for path in bundled_folder("fiji_macros").glob("*.ijm")]


@pytest.mark.parametrize("name", [*OPTIONS, *MACROS])
def test_every_option_and_macro_has_a_row_in_the_docs(name):
    assert f"| `{name}` |" in DOCS


@pytest.mark.parametrize("name", MACROS)
def test_every_macro_tells_its_parameters_and_an_example(name):
    code = (bundled_folder("fiji_macros") / f"{name}.ijm").read_text("utf-8")
    assert "// Parameters" in code
    assert "// Example, from" in code


@pytest.mark.parametrize("name", MACROS)
def test_the_header_names_what_the_code_reads(name):
    macro = bundled_folder("fiji_macros") / f"{name}.ijm"
    code = macro.read_text("utf-8")
    read = re.findall(r'getValue", arguments, "(\w+)"', code)
    assert set(parameter_names(macro)) >= {"model", "tile", *read}
    handed_on = re.findall(r"macro_keys=\[([\w ]+)\]", code)
    assert handed_on == [" ".join(read)] * bool(read)
