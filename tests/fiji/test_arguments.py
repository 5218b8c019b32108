"""The option strings of macros."""

import pytest

from care_bridge.errors import ConfigError
from care_bridge.fiji.arguments import format_arguments, parse_arguments
from care_bridge.fiji.described import preview_variants

READ = {
    "plain": ("model=tiny tile=256,256", {"model": "tiny", "tile": "256,256"}),
    "blanks-in-brackets": ("input=[/a b/c] model=x", {"input": "/a b/c", "model": "x"}),
    "brackets-in-brackets": ("input=[/a [1]/b] model=x", {"input": "/a [1]/b", "model": "x"}),
    "flags": (
        "overwrite model=x include_subfolders",
        {"overwrite": "", "model": "x", "include_subfolders": ""},
    ),
    "empty-value": ("axes=[] model=x", {"axes": "", "model": "x"}),
    "key-inside-a-value": ("input=[model=y] model=x", {"input": "model=y", "model": "x"}),
    "windows-path": (r"input=[C:\My Data\raw] model=x", {"input": r"C:\My Data\raw", "model": "x"}),
    "nothing": ("  ", {}),
}
REFUSED = {
    "value-with-a-blank": ("model=my model", '"model" is given twice'),
    "path-with-a-blank": ("input=/a b/c", '"b/c" .* is no key=value'),
    "open-bracket": ("model=[tiny tile=auto", "bracket after model= is not closed"),
    "bracket-too-many": ("model=[tiny]] tile=auto", "is no key=value"),
    "twice": ("tile=auto tile=256,256", '"tile" is given twice'),
}


@pytest.mark.parametrize(("text", "values"), READ.values(), ids=READ)
def test_reading(text, values):
    assert parse_arguments(text) == values


@pytest.mark.parametrize(("text", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_read_is_refused(text, message):
    with pytest.raises(ConfigError, match=message):
        parse_arguments(text)


@pytest.mark.parametrize("values", [values for _, values in READ.values()], ids=READ)
def test_what_is_written_is_read_back(values):
    assert parse_arguments(format_arguments(values)) == values


@pytest.mark.parametrize("value", ["a]b", "[a", "]["])
def test_a_value_that_no_macro_could_read_is_refused(value):
    with pytest.raises(ConfigError, match="brackets that do not match"):
        format_arguments({"input": value})


LABELS = {
    "one": ({"model": "/a/cells"}, ["cells"]),
    "same-name": ({"model": "/a/cells; /b/cells"}, ["/a/cells", "/b/cells"]),
    "percentiles": ({"model": "a", "percentiles": "2,99; 5,98"}, ["a 2,99", "a 5,98"]),
}


@pytest.mark.parametrize(("given", "labels"), LABELS.values(), ids=LABELS)
def test_each_panel_of_a_preview_has_a_label_of_its_own(given, labels):
    assert list(preview_variants(given)) == labels
