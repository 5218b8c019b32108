"""The commands of docs/simulation.md run, and make the pictures that it shows."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from care_bridge.cli.main import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "simulation.md").read_text("utf-8")
COMMANDS = re.findall(r"^    care-bridge (simulate .*)$", PAGE, re.MULTILINE)


def name_of(command: str) -> str:
    return Path(shlex.split(command)[shlex.split(command).index("--out") + 1]).name


@pytest.mark.parametrize("command", COMMANDS, ids=name_of)
def test_the_command_makes_the_picture(command: str, tmp_path: Path) -> None:
    arguments = shlex.split(command)
    arguments[arguments.index("--out") + 1] = str(tmp_path / "out")
    assert main([*arguments, "--count", "1"]) == 0
    shown = DOCS / "images" / f"simulate_{name_of(command)}.png"
    if shown.name in PAGE:
        assert shown.stat().st_size < 300_000
        made, expected = (
            np.asarray(Picture.open(path), float) for path in (tmp_path / "out/preview.png", shown)
        )
        assert made.shape == expected.shape
        assert np.corrcoef(made.ravel(), expected.ravel())[0, 1] > 0.95
