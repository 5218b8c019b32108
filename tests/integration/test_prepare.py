"""`care-bridge prepare` as a user runs it, in a process that has no torch."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture

from tests.training_pairs import write_image, write_pairs

WITHOUT_TORCH = """
import sys
sys.modules["torch"] = sys.modules["lightning"] = None
from care_bridge.cli.main import main
sys.exit(main())
"""


def ramp(width: int) -> np.ndarray:
    return (np.arange(64 * width).reshape(64, width) % 999).astype(np.uint16)


def prepare(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, "prepare", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("prepare") / "data", 4, (64, 80))


def test_it_tells_the_split_and_writes_the_pictures(data: Path, tmp_path: Path) -> None:
    arguments = [data, "--set", "patches.size=[32, 32]", "--out", tmp_path / "look"]
    done = prepare(*arguments)
    assert done.returncode == 0, done.stderr
    assert "training: 3 images, 3 frames" in done.stdout
    assert "validation: 1 images, 1 frames" in done.stdout
    with Picture.open(tmp_path / "look" / "patches.png") as montage:
        # 12 pairs, three in a row
        assert montage.width > 6 * 32
        assert montage.height > 4 * 32
        assert np.asarray(montage).std() > 20
    text = (tmp_path / "look" / "prepare.html").read_text("utf-8")
    assert text.count("data:image/png;base64,") == 24
    pairs = re.findall(r'<div class="pair">(.*?)</div>', text)
    told = [re.findall(r"<figcaption>(.*?)</figcaption>", pair) for pair in pairs]
    assert told == [[f"source {number}", f"target {number}"] for number in range(1, 13)]
    assert text.count("<svg") == 2
    assert not re.search(r"https?://", text.replace('xmlns="http://www.w3.org/2000/svg"', ""))
    again = prepare(*arguments)
    assert again.returncode == 1
    assert "exists already" in again.stderr
    assert prepare(*arguments, "--overwrite").returncode == 0


def test_pairs_that_training_refuses_are_told_and_left_out(data: Path, tmp_path: Path) -> None:
    """The first file cannot be read, the second one is blank, the third one does not say its axes,
    the last one and its partner differ in size."""
    root = write_pairs(tmp_path / "data", 3, (64, 80))
    for side, width in (("source", 80), ("GT", 90)):
        write_image(root / side / "a_flat.tif", np.full((64, 80), 7, np.uint16))
        write_image(root / side / "wide.tif", ramp(width))
    for side in ("source", "GT"):
        (root / side / "a_damaged.tif").write_bytes(b"II*\0 and no more")
        tifffile.imwrite(root / side / "a_plain.tif", np.stack([ramp(80)] * 5))
    done = prepare(root, "--set", "patches.size=[32, 32]")
    assert done.returncode == 0, done.stderr
    refused = [line for line in done.stdout.splitlines() if "not trained on" in line]
    assert len(refused) == 4
    assert "a_damaged.tif" in refused[0]
    assert re.search(r"a_flat\.tif has no contrast", refused[1])
    assert re.search(r"a_plain\.tif .*axes", refused[2])
    assert re.search(r"wide\.tif .*both must show the same pixels", refused[3])
    assert re.search(r"training: 2 images.*: im\d.tif, im\d.tif", done.stdout)
    assert re.search(r"validation: 1 images", done.stdout)


def test_the_histogram_of_whole_numbers_has_no_comb(tmp_path: Path) -> None:
    """Grey levels from 0 to 129, each as often, have bins that are all as high."""
    rng = np.random.default_rng(0)
    for side in ("source", "GT"):
        for name in ("a.tif", "b.tif"):
            pixels = rng.permutation(np.arange(130 * 130) % 130).reshape(130, 130)
            write_image(tmp_path / side / name, pixels.astype(np.uint8))
    done = prepare(tmp_path, "--set", "patches.size=[32, 32]", "--json")
    assert done.returncode == 0, done.stderr
    before = json.loads(done.stdout)["histograms"]["before"]
    widths = np.diff(before["edges"])
    assert np.all(widths == round(widths[0]))
    np.testing.assert_allclose(before["source"][1:-2], widths[0] / 130, rtol=1e-6)


def test_the_split_is_that_of_training(data: Path) -> None:
    from care_bridge.training.data_config import DataConfig
    from care_bridge.training.layouts.fields import split_fields
    from care_bridge.training.layouts.found import find_fields

    done = prepare(
        data, "--set", "patches.size=[32, 32]", "seed=3", "data.validation=0.5", "--json"
    )
    said = json.loads(done.stdout)
    _, validation = split_fields(find_fields(data, DataConfig()).fields, 0.5, 3)
    told = [file["name"] for file in said["files"] if file["part"] == "validation"]
    assert told == [field.sources[0].name for field in validation]
    assert said["patch"] == [32, 32]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        pytest.param(lambda root: None, "does not exist", id="no-data"),
        pytest.param(
            lambda root: write_image(root / "source" / "lonely.tif", np.ones((64, 80), np.uint16)),
            "lonely.tif has no partner",
            id="partner",
        ),
        pytest.param(
            lambda root: [
                write_image(root / side / f"im{index}.tif", np.full((64, 80), 7, np.uint16))
                for side in ("source", "GT")
                for index in range(2)
            ],
            "no contrast",
            id="all-constant",
        ),
    ],
)
def test_bad_data_is_one_line(tmp_path: Path, make: object, message: str) -> None:
    if message != "does not exist":
        write_pairs(tmp_path / "data", 2, (64, 80))
    make(tmp_path / "data")
    done = prepare(tmp_path / "data", "--set", "patches.size=[32, 32]")
    assert done.returncode == 1
    assert message in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""
