"""Uncertainty as a file beside the restored one: names, formats, batches, interruptions."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from care_bridge import Restorer
from care_bridge.cli.main import main
from care_bridge.images import open_image
from care_bridge.runtime import tiles
from care_bridge.runtime.options import RestoreOptions
from tests.packages import tiny_package
from tests.training_pairs import write_image


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_package(tmp_path_factory.mktemp("package") / "ensemble", members=2)


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(3)
    for name in ("one", "two"):
        pixels = rng.poisson(rng.uniform(50, 900, (2, 44, 50))).astype(np.uint16)
        write_image(tmp_path / "in" / f"{name}.tif", pixels, "TYX")
    return tmp_path / "in"


def run(*words: object) -> int:
    return main([*map(str, words), "--device", "cpu"])


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if not path.name.endswith(".jsonl"))


@pytest.mark.parametrize(
    ("storage", "expected"),
    [
        ("auto", "one_interval.tif"),
        ("ome", "one_interval.ome.tif"),
        ("zarr", "one_interval.ome.zarr"),
    ],
)
def test_the_file_holds_what_python_gives(package, images, tmp_path, storage, expected):
    words = ("--uncertainty", "interval", "--confidence", "0.5", "--format", storage)
    assert run("restore", images / "one.tif", "--model", package, "--out", tmp_path, *words) == 0
    options = RestoreOptions(uncertainty="interval", confidence=0.5, device="cpu")
    image = open_image(images / "one.tif")
    restored, told = Restorer(package, options).restore_with_uncertainty(image)
    found = open_image(tmp_path / expected)
    assert found.pixels.dtype == np.float32
    np.testing.assert_array_equal(found.axes.to(found.pixels, told.axes), told.pixels)
    assert found.display.channel_names == ("lower 50 %", "upper 50 %")
    beside = open_image(tmp_path / expected.replace("_interval", ""))
    np.testing.assert_array_equal(beside.pixels, restored.pixels)


def test_one_file_has_its_uncertainty_beside_it(package, images, tmp_path, capsys):
    out = tmp_path / "out" / "mine.ome.tif"
    words = ("--uncertainty", "samples", "--samples", "3", "--json")
    assert run("restore", images / "one.tif", "--model", package, "--out", out, *words) == 0
    assert names(out.parent) == ["mine.ome.tif", "mine_samples.ome.tif"]
    (told,) = json.loads(capsys.readouterr().out)["restored"]
    assert told["uncertainty"] == str(out.parent / "mine_samples.ome.tif")
    assert open_image(out.parent / "mine_samples.ome.tif").sizes["C"] == 3


def test_a_batch_beside_its_images_goes_on_and_restores_no_result(package, images, capsys):
    words = ("restore", images, "--model", package, "--out", images, "--uncertainty", "scale")
    assert run(*words) == 0
    expected = [
        f"{name}{end}.tif"
        for name in ("one", "two")
        for end in ("", "_restored", "_restored_scale")
    ]
    assert names(images) == expected
    assert "one_restored.tif and " in capsys.readouterr().out
    before = {path: path.stat().st_mtime_ns for path in images.glob("*.tif")}
    assert run(*words) == 0
    assert {path: path.stat().st_mtime_ns for path in images.glob("*.tif")} == before
    assert run(*words[:-1], "disagreement") == 1
    assert "was restored with other options (uncertainty=scale)" in capsys.readouterr().err


def test_what_an_interrupted_run_left_is_replaced(package, images, tmp_path, monkeypatch, capsys):
    """The uncertainty gets its name first: killed then, its file is there without the result."""
    words = ("restore", images, "--model", package, "--out", tmp_path / "out")
    told = (*words, "--uncertainty", "scale")
    original = tiles.TileRunner.store

    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(tiles.TileRunner, "store", interrupted)
        assert run(*told) == 130
    assert tiles.TileRunner.store is original
    assert names(tmp_path / "out") == []
    (tmp_path / "out" / "one_scale.tif").write_bytes(b"left")
    assert run(*told) == 0
    assert open_image(tmp_path / "out" / "one_scale.tif").pixels.dtype == np.float32
    # What nobody accounts for is kept.
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "one_scale.tif").write_bytes(b"mine")
    assert run(*words[:-1], tmp_path / "other", "--uncertainty", "scale") == 1
    assert "one_scale.tif" in capsys.readouterr().err
    assert (tmp_path / "other" / "one_scale.tif").read_bytes() == b"mine"


def test_a_source_is_not_replaced_by_an_uncertainty(package, images, tmp_path, capsys):
    (images / "two.tif").rename(images / "one_scale.tif")
    words = ("restore", images, "--model", package, "--out", tmp_path / "out")
    assert run(*words, "--uncertainty", "scale") == 1
    assert "would both be written to" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["scale", "interval", "samples", "disagreement", "members"])
def test_it_follows_grey_levels_that_are_fitted(package, images, tmp_path, kind):
    plain, fitted = tmp_path / "plain", tmp_path / "fitted"
    words = ("restore", images / "one.tif", "--model", package, "--uncertainty", kind)
    assert run(*words, "--out", plain, "--dtype", "float32") == 0
    restored = open_image(plain / "one.tif")
    truth = (2.5 * restored.pixels - 300).astype(np.float32)
    write_image(tmp_path / "truth.tif", truth, "TYX")
    rescaled = ("--rescale-to", tmp_path / "truth.tif")
    assert run(*words, "--out", fitted, *rescaled) == 0
    before = open_image(plain / f"one_{kind}.tif").pixels
    after = open_image(fitted / f"one_{kind}.tif").pixels
    gain, offset = {"scale": (2.5, 0), "disagreement": (1, 0)}.get(kind, (2.5, -300))
    if kind == "members":  # along the axes TCYX: means and scales in turn
        offset = np.array([-300, 0, -300, 0]).reshape(1, 4, 1, 1)
    np.testing.assert_allclose(after, gain * before + offset, rtol=1e-4, atol=0.05)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (("--uncertainty", "doubt"), 'uncertainty "doubt" is unknown: use one of none, scale'),
        (("--confidence", "90"), "confidence 90 is no probability"),
        (("--confidence", "high"), 'confidence "high" is no number'),
        (("--samples", "0"), "samples 0: use a number from 1"),
        (("--samples", "many"), 'samples "many" is no number'),
    ],
)
def test_what_cannot_be_asked_for_is_one_line(package, images, tmp_path, capsys, words, expected):
    given = ("restore", images / "one.tif", "--model", package, "--out", tmp_path / "out")
    assert run(*given, *words) == 1
    assert expected in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
