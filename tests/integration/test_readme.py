"""The README's code runs, and its commands are commands."""

import re
import shlex
import tomllib
from pathlib import Path

import pytest
import tifffile

from care_bridge.cli.main import VERBS, main
from care_bridge.cli.main import _parse as parse

README = (Path(__file__).parents[2] / "README.md").read_text("utf-8")
COMMANDS = [
    line.partition("#")[0].strip()
    for line in README.splitlines()
    if line.startswith("care-bridge ")
]


def test_the_python_code_gives_what_the_demo_gives(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["demo"]) == 0
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    variables = {}
    exec(code, variables)
    assert (variables["restored"] == tifffile.imread("demo/nuclei_restored.tif")).all()


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_is_understood(command):
    assert parse(shlex.split(command)[1:]).verb in VERBS


def test_there_are_commands_to_check():
    assert len(COMMANDS) >= 5


def test_every_picture_and_page_is_there():
    for target in re.findall(r"\]\(([^)]+)\)", README):
        assert (Path(__file__).parents[2] / target).is_file(), target


def test_every_extra_and_page_of_docs_is_named():
    root = Path(__file__).parents[2]
    extras = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["project"]
    table = " ".join(line.split("|")[1] for line in README.splitlines() if line.startswith("| `"))
    assert set(re.findall(r"`(\w+)`", table)) == set(extras["optional-dependencies"])
    assert {f"docs/{page.name}" for page in (root / "docs").glob("*.md")} <= set(
        re.findall(r"\]\((.*?)\)", README)
    )
