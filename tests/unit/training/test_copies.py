"""Targets that are copies of their sources are told, whatever file they are in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.errors import TrainingError
from care_bridge.training import care
from care_bridge.training.config import load_config
from care_bridge.training.dataset import open_dataset
from care_bridge.training.survey import survey
from tests.training_pairs import blobs, write_image, write_pairs

SMALL = "patches.size=[32, 32]"


def warnings_of(data: Path, *settings: str) -> tuple[str, ...]:
    config = load_config(None, [SMALL, *settings])
    return survey(open_dataset(data, config, data.parent / "scratch")).warnings


def copied(data: Path) -> None:
    shutil.copy(data / "source" / "im1.tif", data / "GT" / "im1.tif")


def compressed(data: Path) -> None:
    pixels = tifffile.imread(data / "source" / "im1.tif")
    tifffile.imwrite(data / "GT" / "im1.tif", pixels.astype(np.float32), compression="zlib")


@pytest.mark.parametrize("copy", [copied, compressed])
@pytest.mark.parametrize("task", ["care", "n2n", "rcan"])
def test_a_copy_is_refused(task: str, copy: Callable[[Path], None], tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", 3, (64, 80))
    copy(data)
    settings = (f"task={task}", "data.target=GT")
    told = "1 of 3 targets, first that of im1.tif, have the same pixels as their sources"
    with pytest.raises(TrainingError, match=told):
        care.prepare(data, load_config(None, [SMALL, *settings]), tmp_path / "scratch")
    assert [warning.startswith(told) for warning in warnings_of(data, *settings)] == [True]


def test_one_of_several_sources_may_be_the_copy(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", 3, (64, 80))
    shutil.copytree(data / "source", data / "source_1")
    (data / "source").rename(data / "source_2")
    shutil.copy(data / "GT" / "im2.tif", data / "source_1" / "im2.tif")
    (told,) = [warning for warning in warnings_of(data) if "same pixels" in warning]
    assert told.startswith("1 of 6 targets, first that of source_1/im2.tif")


def test_images_alone_have_no_copies(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", 2, (64, 80)) / "source"
    assert warnings_of(data, "task=n2v") == ()


def test_frames_that_are_blank_on_both_sides_are_no_copies(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", 2, (64, 80))
    rng = np.random.default_rng(0)
    target = blobs((3, 64, 80), rng)
    source = 100 + 5 * rng.poisson(target / 60)
    source[0] = target[0] = 100
    for side, pixels in (("source", source), ("GT", target)):
        write_image(data / side / "movie.tif", pixels.astype(np.uint16), axes="TYX")
    warnings = warnings_of(data)
    assert len(warnings) == 2
    assert all("movie.tif: blank" in warning for warning in warnings), warnings
