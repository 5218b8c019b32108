"""Channel attention networks: train, interrupt, resume, export, check, restore in blended tiles."""

from __future__ import annotations

import dataclasses
import itertools
import zipfile
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tifffile
import torch
import yaml

from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.errors import ConfigError, OutOfMemoryError
from care_bridge.images.image import Image
from care_bridge.package.package import Package, load_package
from care_bridge.package.procedure import procedure_of
from care_bridge.package.processing import RefusedError
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer
from care_bridge.training.checkpoint import build_network
from care_bridge.training.config import load_config
from care_bridge.training.networks.rcan import Attention
from tests.integration.test_tasks import EVERY, PATCHES, Case
from tests.interrupted_training import assert_an_interrupted_run_ends_as_a_whole_one
from tests.training_pairs import blobs

TINY = (*EVERY, "rcan.channels=6", "rcan.groups=2", "rcan.blocks=1", "rcan.reduction=2")
TILES = {"YX": "rcan.tile=[24,32]", "ZYX": "rcan.tile=[8,16,24]"}
FLOAT = RestoreOptions(device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Package]:
    """A 2D and a 3D one, through the whole command line."""
    found = {}
    for axes in TILES:
        folder = tmp_path_factory.mktemp(axes)
        data = Case("rcan", axes, 1, ("source", "GT")).write(folder / "data")
        words = ["train", data, "--task", "rcan", "--out", folder / "run", "--set", *TINY]
        assert main([*map(str, words), PATCHES[axes], TILES[axes]]) == 0
        assert main(["export", str(folder / "run"), "--out", str(folder / "model.zip")]) == 0
        assert main(["check", str(folder / "model.zip")]) == 0
        image = folder / "data" / "source" / "im0.tif"
        words = ["restore", image, "--model", folder / "model.zip", "--out", folder / "restored"]
        assert main([str(word) for word in words]) == 0
        restored = tifffile.imread(folder / "restored" / "im0.tif")
        assert restored.shape == tifffile.imread(image).shape
        found[axes] = load_package(folder / "model.zip")
    return found


def picture(axes: str) -> Image:
    shape = {"YX": (61, 83), "ZYX": (19, 33, 50)}[axes]
    rng = np.random.default_rng(5)
    return Image(rng.poisson(blobs(shape, rng) / 4).astype(np.uint16), Axes(axes))


def by_hand(package: Package, pixels: np.ndarray) -> np.ndarray:
    """Every tile by a bare ONNX Runtime, weighted pixel by pixel, divided by the weights' sum."""
    axes, procedure = package.spec.spatial_axes, package.spec.procedure
    low, high = np.percentile(pixels, (2, 99.9))
    scaled = ((pixels - low) / (high - low + 1e-6)).astype(np.float32)
    session = onnxruntime.InferenceSession(package.weights(), providers=["CPUExecutionProvider"])
    places, profiles = [], []
    for axis, size in zip(axes, pixels.shape, strict=True):
        tile, blend = procedure.tile[axis], procedure.blend[axis]
        count = int(np.ceil((size - blend) / (tile - blend)))
        places.append([round(n * (size - tile) / (count - 1)) for n in range(count)])
        profiles.append([(tile, blend, n, count) for n in range(count)])
    total, weights = np.zeros(pixels.shape), np.zeros(pixels.shape)
    for starts, shapes in zip(
        itertools.product(*places), itertools.product(*profiles), strict=True
    ):
        where = tuple(slice(s, s + p[0]) for s, p in zip(starts, shapes, strict=True))
        (output,) = session.run(None, {"input": scaled[where][None, None]})
        weight = np.ones([p[0] for p in shapes])
        for dimension, (tile, blend, number, count) in enumerate(shapes):
            for pixel in range(tile):
                share = 1.0
                if number > 0:
                    share = min(share, (pixel + 1) / (blend + 1))
                if number < count - 1:
                    share = min(share, (tile - pixel) / (blend + 1))
                np.moveaxis(weight, dimension, 0)[pixel] *= share
        total[where] += weight * output[0, 0]
        weights[where] += weight
    return total / weights * (high - low + 1e-6) + low


@pytest.mark.parametrize("axes", TILES)
def test_tiles_are_blended_as_by_hand(packages: dict[str, Package], axes: str) -> None:
    image = picture(axes)
    restored = Restorer(packages[axes], FLOAT).restore_image(image).pixels
    expected = by_hand(packages[axes], image.pixels.astype(np.float64))
    assert np.abs(restored - expected).max() < 1e-4 * np.ptp(expected)


@pytest.mark.parametrize(
    "window", [{"Y": slice(5, 12), "X": slice(50, 83)}, {"Y": slice(30, 61)}, {"X": slice(0, 9)}]
)
@pytest.mark.parametrize("axes", TILES)
def test_a_window_has_the_pixels_of_the_whole(
    packages: dict[str, Package], axes: str, window: dict[str, slice]
) -> None:
    image = picture(axes)
    ends = {axis: slice(w.start, min(w.stop, image.sizes[axis])) for axis, w in window.items()}
    ends = {axis: w for axis, w in ends.items() if w.start < w.stop}
    restorer = Restorer(packages[axes], FLOAT)
    whole = restorer.restore_image(image).pixels
    part = restorer.restore_image(image, window=ends).pixels
    kept = whole[tuple(ends.get(axis, slice(None)) for axis in image.axes)]
    assert part.shape == kept.shape
    assert np.abs(part - kept).max() < 1e-5 * np.ptp(whole)


def test_frames_and_channels_are_not_mixed(packages: dict[str, Package]) -> None:
    image = picture("YX")
    frames = np.stack([image.pixels, image.pixels[::-1] // 2])
    options = dataclasses.replace(FLOAT, normalize="per-frame")
    restorer = Restorer(packages["YX"], options)
    both = restorer.restore_image(Image(frames, Axes("TYX"))).pixels
    for frame, restored in zip(frames, both, strict=True):
        alone = restorer.restore_image(Image(frame, Axes("YX"))).pixels
        np.testing.assert_array_equal(restored, alone)


def test_the_package_stays_free_for_others_and_says_what_to_do(
    packages: dict[str, Package],
) -> None:
    spec = packages["YX"].spec
    assert (dict(spec.procedure.tile), dict(spec.procedure.blend)) == (
        {"Y": 24, "X": 32},
        {"Y": 3, "X": 4},
    )
    with zipfile.ZipFile(packages["YX"].source) as opened:
        rdf = yaml.safe_load(opened.read("rdf.yaml"))
        card = opened.read("README.md").decode()
    space = [axis for axis in rdf["inputs"][0]["axes"] if axis["type"] == "space"]
    assert [axis["size"] for axis in space] == [{"min": 1, "step": 1}] * 2
    assert rdf["cite"][0]["text"].startswith("Chen")
    assert "tiles of 24 x 32 pixels" in card
    assert "unet" not in rdf["tags"]


def test_too_little_memory_is_an_error_and_no_smaller_tile(packages: dict[str, Package]) -> None:
    options = dataclasses.replace(FLOAT, memory=64 << 20)
    with pytest.raises(OutOfMemoryError, match="other results in smaller ones"):
        Restorer(packages["YX"], options).restore_image(picture("YX"))


def test_attention_weighs_channels_by_their_means() -> None:
    torch.manual_seed(0)
    attention = Attention(2, 8, 4)
    x = torch.rand(2, 8, 5, 7)
    squeeze = attention.squeeze.weight[:, :, 0, 0].detach().numpy()
    excite = attention.excite.weight[:, :, 0, 0].detach().numpy()
    means = x.numpy().mean(axis=(2, 3))
    hidden = np.maximum(means @ squeeze.T + attention.squeeze.bias.detach().numpy(), 0)
    weights = 1 / (1 + np.exp(-(hidden @ excite.T + attention.excite.bias.detach().numpy())))
    expected = x.numpy() * weights[:, :, None, None]
    np.testing.assert_allclose(attention(x).detach().numpy(), expected, atol=1e-5)


def test_the_default_network_has_the_layers_of_the_paper() -> None:
    network = build_network(load_config(None, ["task=rcan"]).resolved("ZYX"), 1, 1)
    kernels = [
        tuple(module.weight.shape)
        for module in network.modules()
        if isinstance(module, torch.nn.Conv3d)
    ]
    assert kernels.count((32, 32, 3, 3, 3)) == 5 * (2 * 3 + 1) + 1
    assert kernels.count((4, 32, 1, 1, 1)) == kernels.count((32, 4, 1, 1, 1)) == 5 * 3
    assert len(kernels) == 36 + 30 + 2


def test_an_interrupted_run_ends_as_if_it_had_not_been(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = Case("rcan", "YX", 1, ("source", "GT")).write(tmp_path / "data")
    config = load_config(None, ["task=rcan", *TINY, PATCHES["YX"]])
    assert_an_interrupted_run_ends_as_a_whole_one(data, config, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("tile", "blend"),
    [({"y": 8}, {"y": 1}), ({"y": 8, "x": 8}, {"y": 5, "x": 1}), ({"y": 8, "x": 8}, {}), (3, 3)],
    ids=str,
)
def test_tiles_that_cannot_be_blended_are_refused(tile: object, blend: object) -> None:
    with pytest.raises(RefusedError, match="blended"):
        procedure_of({"procedure": {"tile": tile, "blend": blend}}, "YX")


def test_a_tile_of_other_axes_is_refused() -> None:
    with pytest.raises(ConfigError, match="give 2 numbers"):
        load_config(None, ["task=rcan", "rcan.tile=[16,64,64]"]).resolved("YX")


@pytest.mark.parametrize(
    ("patch", "tile"), [("[64,32]", "[32,64]"), ("[16,32,32]", "[8,64,64]")], ids=["YX", "ZYX"]
)
def test_a_tile_is_not_smaller_than_the_patches(patch: str, tile: str) -> None:
    axes = "ZYX"[-len(tile.split(",")) :]
    settings = ["task=rcan", f"patches.size={patch}"]
    with pytest.raises(ConfigError, match="rcan.tile .* smaller than the training patches"):
        load_config(None, [*settings, f"rcan.tile={tile}"]).resolved(axes)
    equal = load_config(None, [*settings, f"rcan.tile={patch}"]).resolved(axes)
    assert str(list(equal.rcan.tile or ())).replace(" ", "") == patch


def test_the_usual_tile_holds_a_patch_that_is_larger() -> None:
    config = load_config(None, ["task=rcan", "patches.size=[32,512,64]"]).resolved("ZYX")
    assert config.rcan.tile == (32, 512, 256)
