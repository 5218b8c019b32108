"""The commands of docs/evaluation.md run one after the other, and make what it shows."""

from __future__ import annotations

import csv
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
    """A folder in which the commands ran, and doses.csv with the figures of the table."""
    folder = tmp_path_factory.mktemp("evaluation")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for command in COMMANDS:
            table = ["--csv", "doses.csv"] if command == DOSES else []
            assert main([*command, *table]) == 0, command
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


def test_the_table_holds_what_the_command_prints(made: Path) -> None:
    """Every method at every dose: the mean over the images."""
    found: dict[tuple[str, str], list[tuple[float, float]]] = {}
    for row in csv.DictReader((made / "doses.csv").open(encoding="utf-8")):
        figures = float(row["psnr"]), float(row["ssim"])
        found.setdefault((row["method"], row["photons"]), []).append(figures)
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.splitlines()
        if line.startswith("| ")
    ]
    head = next(line for line in lines if line[0] == "method")
    told = {
        (line[0], f"{float(dose.removesuffix(' photons'))}"): tuple(map(float, cell.split(" / ")))
        for line in lines[lines.index(head) + 1 :]
        for dose, cell in zip(head[1:], line[1:], strict=True)
    }
    assert told.keys() == found.keys()
    for key, (psnr, ssim) in told.items():
        expected = np.mean(found[key], axis=0)
        assert psnr == pytest.approx(expected[0], abs=0.03), key
        assert ssim == pytest.approx(expected[1], abs=0.003), key
