"""From volumes to isotropic volumes: train, interrupt, resume, export, check, restore."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from care_bridge.cli.main import main
from care_bridge.errors import TrainingError
from care_bridge.images import open_image
from care_bridge.package.package import load_package
from care_bridge.training import isotropic
from care_bridge.training.checkpoint import LAST
from care_bridge.training.config import load_config
from care_bridge.training.run import train
from tests.integration.test_tasks import SMALL
from tests.interrupted_training import assert_an_interrupted_run_ends_as_a_whole_one
from tests.training_pairs import blobs

SETTINGS = ("task=isotropic", *SMALL, "patches.size=[16,16]")


def write_volumes(
    folder: Path, count: int = 2, channels: int = 1, step: float = 0.75, pixel: float = 0.3
) -> Path:
    """Volumes of 7 x 40 x 44 voxels of `step` x `pixel` x `pixel` micrometres, uint16."""
    rng = np.random.default_rng(1)
    folder.mkdir(parents=True)
    for index in range(count):
        shape = (7, channels, 40, 44) if channels > 1 else (7, 40, 44)
        volume = rng.poisson(blobs(shape, rng) / 4).astype(np.uint16)
        tifffile.imwrite(
            folder / f"im{index}.tif",
            volume,
            imagej=True,
            resolution=(1 / pixel, 1 / pixel),
            metadata={"axes": "ZCYX" if channels > 1 else "ZYX", "spacing": step, "unit": "micron"},
        )
    return folder


@pytest.mark.parametrize("channels", [1, 2])
def test_from_volumes_to_isotropic_volumes(channels: int, tmp_path: Path) -> None:
    data = write_volumes(tmp_path / "data", channels=channels)
    run, package, restored = (tmp_path / part for part in ("run", "model.zip", "restored"))
    optics = ("isotropic.numerical_aperture=0.8", "isotropic.wavelength=0.5")
    words = ["train", data, "--out", run, "--set", *SETTINGS, *optics]
    assert main([str(word) for word in words]) == 0
    assert main(["export", str(run), "--out", str(package)]) == 0
    spec = load_package(package).spec
    assert dict(spec.procedure.zoom) == {"Z": pytest.approx(2.5)}
    assert (spec.procedure.combination, spec.channels_in) == ("arithmetic", channels)
    with zipfile.ZipFile(package) as opened:
        card = opened.read("README.md").decode()
        told = yaml.safe_load(opened.read("rdf.yaml"))["config"]["care_bridge"]["procedure"]
    assert told["planes"] == ["zx", "zy"]
    assert "Z by 2.5" in card
    assert "planes Z x X" in card
    assert main(["check", str(package)]) == 0
    words = ["restore", data, "--model", package, "--out", restored]
    assert main([str(word) for word in words]) == 0
    result = open_image(restored / "im0.tif")
    assert result.sizes == {"Z": 16, **({"C": 2} if channels > 1 else {}), "Y": 40, "X": 44}
    assert result.calibration.voxel_size == pytest.approx({"Z": 0.3, "Y": 0.3, "X": 0.3})
    assert result.pixels.dtype == np.uint16


def test_an_interrupted_run_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_volumes(tmp_path / "data")
    config = load_config(None, [*SETTINGS, "isotropic.noise=3"])
    assert_an_interrupted_run_ends_as_a_whole_one(data, config, tmp_path, monkeypatch)


def test_a_single_volume_is_split(tmp_path: Path) -> None:
    data = write_volumes(tmp_path / "data", count=1)
    train(data, tmp_path / "run", load_config(None, SETTINGS))
    assert (tmp_path / "run" / LAST).is_file()


def test_volumes_of_different_sampling_are_refused(tmp_path: Path) -> None:
    data = write_volumes(tmp_path / "data")
    write_volumes(tmp_path / "other", step=0.9)
    (tmp_path / "other" / "im0.tif").rename(data / "other.tif")
    with pytest.raises(TrainingError, match="train on volumes of one sampling"):
        train(data, tmp_path / "run", load_config(None, SETTINGS))


def test_pixels_of_different_sizes_have_no_one_blur(tmp_path: Path) -> None:
    """Of one z step in pixels, so without a blur they train together."""
    data = write_volumes(tmp_path / "data")
    write_volumes(tmp_path / "other", step=0.25, pixel=0.1)
    (tmp_path / "other" / "im0.tif").rename(data / "other.tif")
    optics = ("isotropic.numerical_aperture=0.8", "isotropic.wavelength=0.5")
    expected = "pixels of other.tif are 0.1 micrometres large, those of im0.tif 0.3"
    with pytest.raises(TrainingError, match=expected):
        isotropic.prepare(data, load_config(None, [*SETTINGS, *optics]), tmp_path / "scratch")
    isotropic.prepare(data, load_config(None, SETTINGS), tmp_path / "scratch")


@pytest.mark.parametrize(
    ("factor", "refused"), [(4, False), (4.5, True), (90, True)], ids=lambda value: f"{value}"
)
def test_a_patch_needs_slices(factor: float, refused: bool, tmp_path: Path) -> None:
    data = write_volumes(tmp_path / "data")
    config = load_config(None, [*SETTINGS, f"isotropic.factor={factor}"])
    if refused:
        expected = (
            rf"slices {factor:g} pixels apart leave {16 / factor:.2g} of them in a patch of 16"
        )
        with pytest.raises(TrainingError, match=expected):
            isotropic.prepare(data, config, tmp_path / "scratch")
        return
    sources, _ = isotropic.prepare(data, config, tmp_path / "scratch").batch(0)
    # Between 4 slices lie 3 straight lines, and one before the first or after the last.
    bends = np.abs(np.diff(sources[0, 0], 2, axis=0)).max(axis=1) > 1e-4
    assert bends.sum() <= 4


def test_pictures_are_refused(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    (tmp_path / "data").mkdir()
    tifffile.imwrite(tmp_path / "data" / "a.tif", blobs((64, 64), rng), imagej=True)
    with pytest.raises(TrainingError, match="learns from volumes"):
        train(tmp_path / "data", tmp_path / "run", load_config(None, SETTINGS))
