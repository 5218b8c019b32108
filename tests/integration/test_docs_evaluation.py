"""The commands of docs/evaluation.md run one after the other, and make what it shows."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from care_bridge.cli.main import main

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "evaluation.md").read_text("utf-8")
COMMANDS = [
    shlex.split(command)
    for command in re.findall(r"^    care-bridge (.*)$", PAGE, re.MULTILINE)
    if "members" not in command
]
DOSES = next(command for command in COMMANDS if "--doses" in command)
SHOWN = {
    "evaluate_patches.png": "prepared/patches.png",
    "evaluate_panels.png": "pictures/0000.png",
    "evaluate_profile.svg": "pictures/0000_profile_along_the_line.svg",
    "evaluate_dose.svg": "doses/error_against_dose.svg",
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the commands ran; of the baselines, only the fastest."""
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in COMMANDS:
            fast = ["--baselines", "gaussian"] if command == DOSES else []
            assert main([*command, *fast]) == 0, command
    return folder


@pytest.mark.parametrize("name", SHOWN)
def test_the_commands_make_the_pictures(name: str, made: Path) -> None:
    shown = DOCS / "images" / name
    assert name in PAGE
    assert shown.stat().st_size < 300_000
    assert (made / SHOWN[name]).is_file()
    if shown.suffix == ".png":
        pixels = [np.asarray(Picture.open(path), float) for path in (made / SHOWN[name], shown)]
        assert pixels[0].shape == pixels[1].shape
        # The zoo's model may be trained anew; it is one panel of nine.
        assert np.corrcoef(pixels[0].ravel(), pixels[1].ravel())[0, 1] > 0.9


def test_the_table_holds_what_the_command_prints(
    made: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(made)
    options = ["--baselines", "gaussian", "--json", "--overwrite"]
    assert main([*DOSES, *options]) == 0
    means = json.loads(capsys.readouterr().out)["means"]
    rows = {
        row[0]: row[1:]
        for row in (
            [cell.strip() for cell in line.strip("|").split("|")]
            for line in PAGE.splitlines()
            if line.startswith("| ")
        )
    }
    heads = rows["method"]
    for mean in means:
        column = heads.index(f"{mean['photons']:g} photons")
        psnr, ssim = map(float, rows[mean["method"]][column].split(" / "))
        assert psnr == pytest.approx(mean["psnr"], abs=0.03)
        assert ssim == pytest.approx(mean["ssim"], abs=0.003)
