"""The worked examples of docs/training.md.

Each simulates and trains, two images and two steps; the other lines are parsed. In full, as they
stand, where the environment variable CARE_BRIDGE_WHOLE_EXAMPLES is set, which takes half an hour.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
from importlib import import_module
from pathlib import Path

import pytest

from care_bridge.cli.main import main

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "training.md").read_text("utf-8")
COMMAND = re.compile(r"^    care-bridge (.*)$", re.MULTILINE)
STEP = re.compile(
    r"^    care-bridge (?P<command>[^\n]*)$|^```python\n(?P<code>.*?)```", re.M | re.S
)
WHOLE = "CARE_BRIDGE_WHOLE_EXAMPLES" in os.environ
LESS = {"--steps": "2", "--count": "2", "--members": "2"}


def examples() -> dict[str, list[re.Match[str]]]:
    """The commands and the code of each section, from the first that simulates on."""
    found = {}
    for section in re.split(r"^(?=##+ )", PAGE, flags=re.MULTILINE):
        steps = list(STEP.finditer(section))
        simulates = [(step["command"] or "").startswith("simulate") for step in steps]
        if any(simulates):
            found[section.splitlines()[0].strip("# ")] = steps[simulates.index(True) :]
    return found


def shortened(words: list[str]) -> list[str]:
    before = ["", *words[:-1]]
    return [LESS.get(last, word) for last, word in zip(before, words, strict=True)]


@pytest.mark.timeout(3600 if WHOLE else 600)
@pytest.mark.parametrize("name", examples())
def test_the_example_runs_from_a_clean_folder(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    for step in examples()[name]:
        if step["code"]:
            exec(step["code"], {})
            continue
        words = shlex.split(step["command"])
        if WHOLE or words[0] in ("simulate", "train"):
            code = main(words if WHOLE else shortened(words))
            assert code == 0, f"{step['command']}: {capsys.readouterr().err}"
    assert list(tmp_path.glob("run*/report.html"))
    assert len(list(tmp_path.glob("*.zip"))) == WHOLE


def test_each_task_has_an_example() -> None:
    steps = [step for each in examples().values() for step in each]
    shown = [shlex.split(step["command"]) for step in steps if step["command"]]
    trained = [words for words in shown if words[0] == "train"]
    tasks = {words[words.index("--task") + 1] for words in trained if "--task" in words}
    assert tasks == {"n2n", "n2v2", "structn2v", "isotropic", "upsampling", "projection", "rcan"}
    assert any("--members" in words for words in trained)
    assert any("--from" in words for words in trained)


@pytest.mark.parametrize("command", COMMAND.findall(PAGE))
def test_every_command_line_can_be_parsed(command: str) -> None:
    verb, *words = shlex.split(command)
    parser = argparse.ArgumentParser()
    import_module(f"care_bridge.cli.{verb.replace('-', '_')}").add_arguments(parser)
    assert parser.parse_args(words)


def test_the_page_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help", "--debug"}
    assert len(flags) > 8
    assert {flag for flag in flags if not re.search(rf"{flag}\b(?!-)", PAGE)} == set()
