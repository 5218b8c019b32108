"""Pairs of a coarser and a finer image: train, interrupt, resume, export, check, restore."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tifffile
from scipy.ndimage import zoom

from care_bridge.cli.main import main
from care_bridge.errors import ConfigError, TrainingError
from care_bridge.images import open_image
from care_bridge.package.package import load_package
from care_bridge.training.config import load_config
from care_bridge.training.layouts.found import find_fields
from care_bridge.training.run import train
from care_bridge.training.sampling import with_zoom
from tests.integration.test_tasks import PATCHES, SMALL
from tests.interrupted_training import assert_an_interrupted_run_ends_as_a_whole_one
from tests.training_pairs import blobs

FINE = {"ZYX": (17, 40, 48), "YX": (48, 60)}
FACTORS = {"slices": {"Z": 4}, "pixels": {"Y": 2, "X": 2}, "plane": {"Y": 2, "X": 3}}


def write_image(path: Path, pixels: np.ndarray, voxel: dict[str, float]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"axes": "ZYX"[-pixels.ndim :], "unit": "micron"}
    if "Z" in voxel:
        told["spacing"] = voxel["Z"]
    tifffile.imwrite(
        path, pixels, imagej=True, resolution=(1 / voxel["X"], 1 / voxel["Y"]), metadata=told
    )


def write_pairs(folder: Path, kind: str, count: int = 3) -> Path:
    """Targets of voxels 0.2 micrometres wide; every fourth slice, or bins of pixels, of them."""
    rng = np.random.default_rng(2)
    axes = "YX" if kind == "plane" else "ZYX"
    for index in range(count):
        truth = blobs(FINE[axes], rng)
        coarse = truth
        if kind == "slices":
            coarse = truth[::4]
        else:
            by = FACTORS[kind]
            *rest, height, width = truth.shape
            bins = (*rest, height // by["Y"], by["Y"], width // by["X"], by["X"])
            coarse = truth.reshape(bins).mean(axis=(-3, -1))
        noisy = rng.poisson(coarse / 4).astype(np.uint16)
        voxel = {axis: 0.2 * FACTORS[kind].get(axis, 1) for axis in axes}
        write_image(folder / "source" / f"im{index}.tif", noisy, voxel)
        write_image(folder / "GT" / f"im{index}.tif", truth, dict.fromkeys(axes, 0.2))
    return folder


@pytest.mark.parametrize("kind", FACTORS)
def test_from_pairs_to_finer_images(kind: str, tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", kind)
    axes = "YX" if kind == "plane" else "ZYX"
    run, package, restored = (tmp_path / part for part in ("run", "model.zip", "restored"))
    words = ["train", data, "--out", run, "--task", "upsampling", "--set", *SMALL, PATCHES[axes]]
    assert main([str(word) for word in words]) == 0
    assert main(["export", str(run), "--out", str(package)]) == 0
    assert main(["check", str(package)]) == 0
    opened = load_package(package)
    assert dict(opened.spec.procedure.zoom) == pytest.approx(FACTORS[kind])
    words = ["restore", data / "source" / "im0.tif", "--model", package, "--out", restored]
    assert main([*(str(word) for word in words), "--dtype", "float32"]) == 0
    result = open_image(restored / "im0.tif")
    truth = open_image(data / "GT" / "im0.tif")
    assert result.sizes == truth.sizes
    assert result.calibration.voxel_size == pytest.approx(dict.fromkeys(axes, 0.2), rel=1e-4)
    expected = by_hand(opened.weights(), tifffile.imread(data / "source" / "im0.tif"), kind)
    assert np.abs(result.pixels - expected).max() < 1e-4 * np.ptp(expected)


def by_hand(weights: bytes, coarse: np.ndarray, kind: str) -> np.ndarray:
    """Zoomed by scipy, padded, run whole in a bare ONNX Runtime."""
    low, high = np.percentile(coarse, (2, 99.8))
    scaled = (coarse - low) / (high - low + 1e-6)
    factors = [FACTORS[kind].get(axis, 1) for axis in "ZYX"[-coarse.ndim :]]
    if kind == "slices":
        factors[0] = (4 * (len(coarse) - 1) + 1) / len(coarse)
        finer = zoom(scaled, factors, order=1)
    else:
        finer = zoom(scaled, factors, order=1, grid_mode=True, mode="nearest")
    padded = np.pad(finer, [(0, -size % 4) for size in finer.shape], mode="reflect")
    session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"input": padded[None, None].astype(np.float32)})
    kept = output[0, 0][tuple(slice(size) for size in finer.shape)]
    return kept * (high - low + 1e-6) + low


def test_an_interrupted_run_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_pairs(tmp_path / "data", "plane")
    config = load_config(None, ["task=upsampling", *SMALL, PATCHES["YX"]])
    assert_an_interrupted_run_ends_as_a_whole_one(data, config, tmp_path, monkeypatch)


def test_factors_that_are_given_win_over_the_files(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", "plane", 1)
    config = load_config(None, ["task=upsampling", "upsampling.x=1.5"])
    (field,) = find_fields(data, config.data).fields
    assert with_zoom(config.resolved("YX"), field, "YX").upsampling.zoom == {"X": 1.5}


def test_pairs_of_one_sampling_are_refused(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", "plane", 2)
    shutil.copytree(data / "GT", data / "fine")
    config = load_config(None, ["task=upsampling", "data.source=fine", *SMALL])
    with pytest.raises(TrainingError, match="not sampled more finely"):
        train(data, tmp_path / "run", config)


def test_finer_slices_need_a_network_of_volumes(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", "slices", 2)
    config = load_config(None, ["task=upsampling", "network.axes=YX", *SMALL])
    with pytest.raises(ConfigError, match="finer along Z"):
        train(data, tmp_path / "run", config)


def test_a_wrong_factor_is_told_by_the_sizes(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", "plane", 2)
    config = load_config(None, ["task=upsampling", "upsampling.y=3", "upsampling.x=3", *SMALL])
    expected = "when enlarged by upsampling.y=3, upsampling.x=3, its .* must show the same pixels"
    with pytest.raises(TrainingError, match=expected):
        train(data, tmp_path / "run", config)
