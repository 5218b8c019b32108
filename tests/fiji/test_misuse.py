"""Each way to use the commands wrongly ends in one message that says what to do, without a window
and in one, and ImageJ goes on working."""

import json

import pytest

from tests.fiji.conftest import run_child
from tests.fiji.misuse_cases import GREY, MISUSE, filled, materials, restore

pytestmark = pytest.mark.fiji
FINE = "and-a-restoration"


def macros(package, folder):
    """The macros of all cases, with a line more that must not be reached; and one that is fine."""
    made = {
        name: filled(code + '\nprint("went on");', package, folder)
        for name, (code, _) in MISUSE.items()
    }
    return made | {FINE: filled(GREY + restore("") + "\nreturn getTitle();", package, folder)}


@pytest.fixture(scope="module")
def headless(installation, package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("misuse")
    told = macros(package, materials(folder / "materials"))
    (folder / "macros.json").write_text(json.dumps(told))
    child = run_child("run_macros.py", installation, "headless", folder)
    assert child.returncode == 0, child.stderr
    return child, json.loads((folder / "ended.json").read_text())


@pytest.fixture(scope="module")
def in_window(installation, package, display, tmp_path_factory):
    folder = tmp_path_factory.mktemp("misuse in a window")
    told = macros(package, materials(folder / "materials"))
    (folder / "macros.json").write_text(json.dumps(told))
    child = run_child("misuse_in_window.py", installation, folder, DISPLAY=display)
    assert child.returncode == 0, child.stderr
    return json.loads((folder / "ended.json").read_text())


@pytest.mark.parametrize("name", MISUSE)
def test_headless_it_is_one_message(headless, name):
    code, words = MISUSE[name]
    child, ended = headless
    assert ended[name]["error"] == "MacroError"
    assert words in ended[name]["message"]
    assert "\n" not in ended[name]["message"]
    assert ended[name]["line"] == code.count("\n") + 1
    assert "went on" not in child.stdout


def test_headless_the_next_macro_works(headless):
    _, ended = headless
    assert ended[FINE] == {"error": None, "message": "", "line": None, "returned": "grey_restored"}


@pytest.mark.parametrize("name", MISUSE)
def test_in_the_window_it_is_one_dialog(in_window, name):
    code, words = MISUSE[name]
    (shown,) = in_window[name]["shown"]
    assert words in shown
    assert f"in line {code.count(chr(10)) + 1}" in shown
    reasons = [line for line in in_window[name]["log"].splitlines() if "broken.tif" in line]
    assert len(reasons) == (name == "broken-image")


def test_in_the_window_the_next_macro_works(in_window):
    end = in_window[FINE]
    assert (end["shown"], end["active"]) == ([], "grey_restored")


def test_the_log_says_once_what_is_computed_on(in_window):
    logs = "\n".join(end["log"] for end in in_window.values())
    assert logs.count("device: cpu") == 1
