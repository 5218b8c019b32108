"""YAML as plain data: what is read, and that all else is one error."""

from datetime import date

import pytest

from care_bridge.errors import ConfigError, UnsafeYamlError
from care_bridge.plain_yaml import read_plain_yaml

# Nine lines that stand for 10^8 texts.
ALIAS_BOMB = "a0: &a0 [x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)


def test_plain_values_are_read_from_text_and_bytes():
    text = "name: café\nsizes: [1, 2.5]\nday: 2026-01-02\nnothing:\n"
    expected = {"name": "café", "sizes": [1, 2.5], "day": date(2026, 1, 2), "nothing": None}
    assert read_plain_yaml(text, "it") == expected
    assert read_plain_yaml(text.encode(), "it") == expected


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("a: [1", id="cut-short"),
        pytest.param(b"a: \xff\xfe", id="no-text"),
        pytest.param("timestamp: 2024-13-45", id="no-date"),
        pytest.param("a: !!bool maybe", id="no-bool"),
        pytest.param("a: !!int ''", id="no-number"),
        pytest.param("a: !!timestamp noon", id="no-time"),
        pytest.param("a: !!python/object/apply:os.getcwd []", id="python-code"),
        pytest.param("a: 1\nb: 2\na: 3", id="a-key-twice"),
        pytest.param("a: 1\n'a': 3", id="a-key-twice-in-quotes"),
        pytest.param("a: !!map [b]", id="list-that-says-map"),
        pytest.param("a: !own b", id="own-tag"),
        pytest.param("a: !" + "b" * 10_000 + " c", id="long-tag"),
        pytest.param('a: "\\ud800"', id="half-a-letter"),
        pytest.param("a: \0", id="zero"),
    ],
)
def test_what_is_no_yaml_is_one_line(text):
    with pytest.raises(ConfigError, match="^the file f is not valid YAML: .+") as caught:
        read_plain_yaml(text, "the file f")
    assert not isinstance(caught.value, UnsafeYamlError)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("[" * 3000, id="deep"),
        pytest.param("a: &a 1\nb: *a", id="alias"),
        pytest.param("a: &a [*a]", id="alias-of-itself"),
        pytest.param(ALIAS_BOMB, id="alias-bomb"),
        pytest.param("<<: {a: 1}\nb: 2", id="merged"),
        pytest.param("2024-01-01: a", id="date-as-key"),
        pytest.param("? [a]\n: b", id="list-as-key"),
        pytest.param("a: !!binary aGVsbG8=", id="bytes"),
        pytest.param("a: !!set {b, c}", id="set"),
        pytest.param("a: 0x" + "f" * 10_000, id="number-too-long"),
        pytest.param("[" + "a," * 30_000 + "]", id="too-many-values"),
    ],
)
def test_what_others_may_read_is_refused_in_one_line(text):
    with pytest.raises(UnsafeYamlError, match="^the file f is refused: .+") as caught:
        read_plain_yaml(text, "the file f")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize("written", ["1:20", "-1:20:30", "1:20.5", "1" + ":00" * 100_000])
def test_numbers_with_colons_are_texts_as_in_yaml_1_2(written):
    assert read_plain_yaml(f"a: {written}", "the file f") == {"a": written}


def test_bytes_are_utf_8():
    assert read_plain_yaml("a: µ".encode(), "the file f") == {"a": "µ"}
    with pytest.raises(ConfigError, match="^the file f is not valid YAML: .*utf-8"):
        read_plain_yaml("a: µ".encode("utf-16"), "the file f")
