"""Stacks projected to planes: train, interrupt, resume, export, check, restore."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tifffile
import torch

from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.errors import AxesError, ConfigError, TrainingError
from care_bridge.images import open_image
from care_bridge.images.image import Image
from care_bridge.package.package import Package, load_package
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer
from care_bridge.training.checkpoint import build_network, load_checkpoint
from care_bridge.training.config import load_config
from care_bridge.training.run import train
from tests.integration.test_tasks import SMALL
from tests.interrupted_training import assert_an_interrupted_run_ends_as_a_whole_one
from tests.training_pairs import blobs

SETTINGS = (
    "task=projection",
    *SMALL,
    "patches.size=[32,32]",
    "projection.n_first=2",
    "network.depth=1",
)


def write_pairs(folder: Path, count: int = 3, channels: int = 1, slices: int = 7) -> Path:
    rng = np.random.default_rng(4)
    for side in ("source", "GT"):
        (folder / side).mkdir(parents=True)
    for index in range(count):
        shape = (slices, channels, 48, 56) if channels > 1 else (slices, 48, 56)
        truth = blobs(shape, rng)
        axes = "ZCYX" if channels > 1 else "ZYX"
        told = {"axes": axes, "spacing": 1.5, "unit": "micron"}
        source = rng.poisson(truth / 8).astype(np.uint16)
        name = f"im{index}.tif"
        tifffile.imwrite(
            folder / "source" / name, source, imagej=True, resolution=(2, 2), metadata=told
        )
        plane = truth.max(axis=0)
        told = {"axes": axes[1:]}
        tifffile.imwrite(folder / "GT" / name, plane, imagej=True, metadata=told)
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Package:
    folder = tmp_path_factory.mktemp("projection")
    train(write_pairs(folder / "data"), folder / "run", load_config(None, SETTINGS))
    assert main(["export", str(folder / "run"), "--out", str(folder / "model.zip")]) == 0
    return load_package(folder / "model.zip")


@pytest.mark.parametrize("more", [{}, {"channels": 2}, {"probabilistic": True}], ids=str)
def test_from_pairs_to_planes(more: dict[str, int], tmp_path: Path) -> None:
    channels = more.get("channels", 1)
    data = write_pairs(tmp_path / "data", channels=channels)
    run, package, restored = (tmp_path / part for part in ("run", "model.zip", "restored"))
    words = ["train", data, "--out", run, "--set", *SETTINGS]
    words += ["probabilistic=true"] if "probabilistic" in more else []
    assert main([str(word) for word in words]) == 0
    assert {"psnr", "psnr_input"} <= set(load_checkpoint(run).validation)
    assert main(["export", str(run), "--out", str(package)]) == 0
    assert main(["check", str(package)]) == 0
    spec = load_package(package).spec
    assert (spec.projects, spec.spatial_axes, spec.channels_in) == (True, "YX", channels)
    words = ["restore", data / "source", "--model", package, "--out", restored]
    assert main([str(word) for word in words]) == 0
    result = open_image(restored / "im0.tif")
    assert result.sizes == {**({"C": 2} if channels > 1 else {}), "Y": 48, "X": 56}
    assert result.calibration.voxel_size == pytest.approx({"Y": 0.5, "X": 0.5})


def stack(slices: int, height: int = 70, width: int = 61) -> np.ndarray:
    rng = np.random.default_rng(slices)
    return rng.poisson(blobs((slices, height, width), rng) / 4).astype(np.uint16)


@pytest.mark.parametrize("slices", [1, 5, 12])
def test_any_number_of_slices_equals_the_network_by_hand(package: Package, slices: int) -> None:
    """Z is neither cut nor padded: another number of slices weighs them differently."""
    pixels = stack(slices)
    low, high = np.percentile(pixels, (2, 99.8))
    scaled = ((pixels - low) / (high - low + 1e-6)).astype(np.float32)
    padded = np.pad(scaled, [(0, 0), (0, -70 % 16), (0, -61 % 16)], mode="reflect")
    session = onnxruntime.InferenceSession(package.weights(), providers=["CPUExecutionProvider"])
    (output,) = session.run(None, {"input": padded[None, None]})
    assert output.shape == (1, 1, 80, 64)
    expected = output[0, 0, :70, :61] * (high - low + 1e-6) + low
    options = RestoreOptions(device="cpu", dtype="float32")
    restored = Restorer(package, options).restore_image(Image(pixels, Axes("ZYX")))
    assert restored.axes == "YX"
    assert np.abs(restored.pixels - expected).max() < 1e-4 * np.ptp(expected)


def test_tiled_equals_whole(package: Package) -> None:
    smallest = package.spec.tiling["Y"].smallest_tile
    image = Image(stack(4, smallest + 40, smallest + 55), Axes("ZYX"))
    options = RestoreOptions(device="cpu", dtype="float32")
    whole = Restorer(package, options).restore_image(image).pixels
    tile = {"Y": smallest, "X": smallest}
    tiled = Restorer(package, dataclasses.replace(options, tile=tile)).restore_image(image).pixels
    assert np.abs(tiled - whole).max() < 1e-5 * np.ptp(whole)


def test_raw_channels_and_blank_stacks_are_maximum_projections(package: Package) -> None:
    pixels = stack(6)
    options = RestoreOptions(device="cpu", dtype="input", with_raw=True)
    both = Restorer(package, options).restore_image(Image(pixels, Axes("ZYX")))
    assert both.axes == "CYX"
    np.testing.assert_array_equal(both.pixels[0], pixels.max(axis=0))
    blank = Image(np.full((3, 40, 40), 7, np.uint16), Axes("ZYX"))
    restored = Restorer(package, RestoreOptions(device="cpu")).restore_image(blank)
    np.testing.assert_array_equal(restored.pixels, np.full((40, 40), 7))


def test_windows_cut_planes_and_no_stacks(package: Package) -> None:
    image = Image(stack(5, 90, 90), Axes("ZYX"))
    restorer = Restorer(package, RestoreOptions(device="cpu", dtype="float32"))
    whole = restorer.restore_image(image).pixels
    part = restorer.restore_image(image, window={"Y": slice(20, 50), "X": slice(3, 9)}).pixels
    assert np.abs(part - whole[20:50, 3:9]).max() < 1e-5 * np.ptp(whole)
    with pytest.raises(AxesError, match="projects whole stacks"):
        restorer.restore_image(image, window={"Z": slice(0, 2)})
    with pytest.raises(AxesError, match="expects Z, Y and X"):
        restorer.restore_image(Image(stack(2)[0], Axes("YX")))


def test_the_plane_is_the_mean_along_z_weighted_by_softmax() -> None:
    config = load_config(None, SETTINGS).resolved("ZYX")
    network = build_network(config, 1, 1).eval()
    x = torch.rand(2, 1, 5, 32, 32)
    with torch.no_grad():
        logits = network.projector(x).numpy().astype(np.float64)
        weights = np.exp(logits) / np.exp(logits).sum(axis=2, keepdims=True)
        plane = (weights * x.numpy()).sum(axis=2).astype(np.float32)
        expected = network.unet(torch.from_numpy(plane)).numpy()
        np.testing.assert_allclose(network(x).numpy(), expected, atol=1e-5)


def test_an_interrupted_run_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = write_pairs(tmp_path / "data")
    config = load_config(None, SETTINGS)
    assert_an_interrupted_run_ends_as_a_whole_one(data, config, tmp_path, monkeypatch)


def test_prepare_compares_planes_with_maximum_projections(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = write_pairs(tmp_path / "data")
    words = ["prepare", data, "--out", tmp_path / "look", "--set", *SETTINGS]
    assert main([str(word) for word in words]) == 0
    assert "shifted" not in capsys.readouterr().out
    moved = data / "GT" / "im1.tif"
    told = {"axes": "YX"}
    tifffile.imwrite(moved, np.roll(tifffile.imread(moved), 3, axis=0), imagej=True, metadata=told)
    words[words.index("--out") + 1] = tmp_path / "again"
    assert main([str(word) for word in words]) == 0
    assert "im1.tif: source and target are shifted by Y +" in capsys.readouterr().out


def test_stacks_of_different_depth_do_not_train(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data")
    write_pairs(tmp_path / "other", 1, slices=9)
    for side in ("source", "GT"):
        (tmp_path / "other" / side / "im0.tif").rename(data / side / "im9.tif")
    with pytest.raises(TrainingError, match="as many slices"):
        train(data, tmp_path / "run", load_config(None, SETTINGS))


def test_targets_must_be_planes(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data")
    shutil.copytree(data / "source", data / "stacks")
    config = load_config(None, [*SETTINGS, "data.target=stacks"])
    with pytest.raises(TrainingError, match="Z=7"):
        train(data, tmp_path / "run", config)


def test_the_network_sees_stacks() -> None:
    with pytest.raises(ConfigError, match="makes planes of stacks"):
        load_config(None, ["task=projection", "network.axes=YX"]).resolved("YX")


def test_patches_are_planes() -> None:
    with pytest.raises(ConfigError, match="give 2 multiples of 16"):
        load_config(None, ["task=projection", "patches.size=[16,32,32]"]).resolved("ZYX")
