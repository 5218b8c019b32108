"""Layouts of training data as a user meets them: prepare tells them, training goes on with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.errors import TrainingError
from care_bridge.images import Image, open_image, write_image
from care_bridge.training.config import load_config
from care_bridge.training.run import resume, train
from tests.integration.test_tasks import PATCHES, SMALL
from tests.interrupted_training import assert_an_interrupted_run_ends_as_a_whole_one
from tests.training_pairs import write_pairs


def listed(folder: Path) -> Path:
    """Pairs as OME-Zarr in a list, one for validation."""
    write_pairs(folder / "tiff", 4, (48, 56))
    lines = ["source,target,split"]
    for index in range(4):
        places = []
        for side in ("source", "GT"):
            image = open_image(folder / "tiff" / side / f"im{index}.tif")
            places.append(f"{side}{index}.ome.zarr")
            write_image(Image(image.pixels, Axes("YX")), folder / places[-1])
        lines.append(f"{','.join(places)},{'val' if index == 1 else 'train'}")
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder / "pairs.csv"


def test_prepare_tells_the_layout(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["prepare", str(listed(tmp_path)), "--set", PATCHES["YX"]]
    assert main(words) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[0] == "4 pairs: pairs.csv, 1 for validation"
    assert "validation: 1 images, 1 frames: source1.ome.zarr" in said


def test_prepare_refuses_a_wrong_folder_in_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_pairs(tmp_path / "data" / "images", 2, (48, 56))
    assert main(["prepare", str(tmp_path / "data")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "holds images/: expected a folder with the folders source and GT or raw and gt" in line


def test_a_listed_run_that_is_interrupted_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = load_config(None, [*SMALL, PATCHES["YX"]])
    data = listed(tmp_path)
    assert_an_interrupted_run_ends_as_a_whole_one(data, config, tmp_path, monkeypatch)


def test_a_run_is_not_resumed_with_other_pairs(tmp_path: Path) -> None:
    """The files are the same, and who is paired with whom is not."""
    data = listed(tmp_path)
    train(data, tmp_path / "run", load_config(None, [*SMALL, PATCHES["YX"]]))
    text = data.read_text()
    data.write_text(text.replace("GT2", "GT").replace("GT3", "GT2").replace("GT.", "GT3."))
    assert data.read_text() != text
    with pytest.raises(TrainingError, match="list of pairs is another"):
        resume(data, tmp_path / "run")
