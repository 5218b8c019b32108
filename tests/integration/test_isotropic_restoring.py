"""Volumes restored plane by plane from two sides, against zooming and planes by hand."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from scipy.ndimage import map_coordinates, zoom

from care_bridge.axes import Axes
from care_bridge.errors import AxesError
from care_bridge.images.image import Calibration, Image
from care_bridge.images.source import ImageInMemory
from care_bridge.package.package import Package, load_package
from care_bridge.package.procedure import Procedure, procedure_of
from care_bridge.package.processing import RefusedError
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.planner import MIB
from care_bridge.runtime.restorer import Restorer
from tests.packages import STEP, test_image, tiny_network, tiny_package


def isotropic_package(folder: Path, factor: float, combination: str, channels: int = 1) -> Package:
    package = load_package(tiny_package(folder, channels=channels))
    procedure = Procedure({"Z": factor}, combination)
    return dataclasses.replace(package, spec=dataclasses.replace(package.spec, procedure=procedure))


def volume(shape: tuple[int, ...] = (9, 30, 45), channels: int = 1) -> Image:
    """Voxels 0.9 x 0.3 x 0.3 micrometres; CZYX where there are several channels."""
    rng = np.random.default_rng(3)
    blobs = [
        100 + 400 * zoom(rng.random((3, 5, 5)), np.array(shape) / (3, 5, 5))
        for _ in range(channels)
    ]
    pixels = rng.poisson(np.clip(blobs, 1, None)).astype(np.uint16)
    axes = Axes("CZYX" if channels > 1 else "ZYX")
    calibration = Calibration({"Z": 0.9, "Y": 0.3, "X": 0.3}, "micron")
    return Image(pixels if channels > 1 else pixels[0], axes, calibration)


def by_hand(pixels: np.ndarray, factor: float, combination: str) -> np.ndarray:
    """`pixels` (C, Z, Y, X) zoomed by scipy, its planes run one by one in a bare ONNX Runtime."""
    channels, slices, *_ = pixels.shape
    low, high = (np.percentile(pixels, p, axis=(1, 2, 3), keepdims=True) for p in (2, 99.8))
    scaled = ((pixels - low) / (high - low + 1e-6)).astype(np.float64)
    count = int(np.floor((slices - 1) * factor + 1e-9)) + 1
    z, y, x = np.meshgrid(
        np.arange(count) / factor, *map(np.arange, pixels.shape[2:]), indexing="ij"
    )
    finer = np.stack([map_coordinates(channel, [z, y, x], order=1) for channel in scaled])
    session = onnxruntime.InferenceSession(
        tiny_network(2, channels), providers=["CPUExecutionProvider"]
    )

    def run(plane: np.ndarray) -> np.ndarray:
        missing = [(0, -size % STEP) for size in plane.shape[1:]]
        padded = np.pad(plane, [(0, 0), *missing], mode="reflect").astype(np.float32)
        (output,) = session.run(None, {"input": padded[None]})
        return output[0, :, : plane.shape[1], : plane.shape[2]]

    one, other = np.empty_like(finer), np.empty_like(finer)
    for row in range(finer.shape[2]):
        one[:, :, row] = run(finer[:, :, row])
    for column in range(finer.shape[3]):
        other[:, :, :, column] = run(finer[:, :, :, column])
    if combination == "geometric":
        mean = np.sqrt(np.clip(one, 0, None) * np.clip(other, 0, None))
    else:
        mean = (one + other) / 2
    return mean * (high - low + 1e-6) + low


@pytest.mark.parametrize("combination", ["arithmetic", "geometric"])
@pytest.mark.parametrize(("factor", "channels"), [(3.0, 1), (2.5, 1), (3.4, 2)])
def test_planes_are_those_restored_by_hand(
    tmp_path: Path, factor: float, channels: int, combination: str
) -> None:
    package = isotropic_package(tmp_path / "package", factor, combination, channels)
    image = volume(channels=channels)
    restored = Restorer(package, RestoreOptions(device="cpu", dtype="float32")).restore_image(image)
    pixels = image.pixels if channels > 1 else image.pixels[None]
    expected = by_hand(pixels, factor, combination)
    found = restored.pixels if channels > 1 else restored.pixels[None]
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() < 1e-4 * np.ptp(expected)


def test_an_integer_factor_zooms_as_scipy_does_from_end_to_end(tmp_path: Path) -> None:
    image = volume()
    package = isotropic_package(tmp_path / "package", 4.0, "arithmetic")
    both = RestoreOptions(device="cpu", dtype="float32", with_raw=True)
    raw = Restorer(package, both).restore_image(image).pixels[0]
    slices = image.pixels.shape[0]
    expected = zoom(image.pixels.astype(float), ((4 * (slices - 1) + 1) / slices, 1, 1), order=1)
    np.testing.assert_allclose(raw, expected, rtol=1e-5)


@pytest.mark.parametrize("tile", [{"Z": 36}, {"Y": 40}, {"X": 36}, {"Z": 40, "Y": 36, "X": 40}])
def test_tiled_equals_whole(tmp_path: Path, tile: dict[str, int]) -> None:
    package = isotropic_package(tmp_path / "package", 5.5, "arithmetic")
    image = volume((14, 62, 71))
    options = RestoreOptions(device="cpu", dtype="float32")
    whole = Restorer(package, options).restore_image(image).pixels
    tiled = Restorer(package, dataclasses.replace(options, tile=tile)).restore_image(image).pixels
    assert np.abs(tiled - whole).max() < 1e-5 * np.ptp(whole)


def test_memory_is_kept_to_by_smaller_tiles(tmp_path: Path) -> None:
    package = isotropic_package(tmp_path / "package", 4.0, "arithmetic")
    image = volume((30, 200, 200))
    restorer = Restorer(package, RestoreOptions(device="cpu"))
    base = restorer.plan(ImageInMemory(image)).memory
    most = base - 100 * MIB
    plan = restorer.with_options(RestoreOptions(device="cpu", memory=most)).plan(
        ImageInMemory(image)
    )
    assert plan.memory <= most
    assert len(plan.grid) > 1


def test_the_voxel_is_written_as_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    package = isotropic_package(tmp_path / "package", 3.0, "arithmetic")
    restored = Restorer(package, RestoreOptions(device="cpu")).restore_image(volume())
    assert restored.pixels.shape == (25, 30, 45)
    assert restored.pixels.dtype == np.uint16
    assert restored.calibration.voxel_size == pytest.approx({"Z": 0.3, "Y": 0.3, "X": 0.3})
    assert "isotropic" not in caplog.text


def test_other_spacing_than_trained_for_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    package = isotropic_package(tmp_path / "package", 4.0, "arithmetic")
    restored = Restorer(package, RestoreOptions(device="cpu")).restore_image(volume())
    assert "3 pixels apart" in caplog.text
    assert restored.calibration.voxel_size["Z"] == pytest.approx(0.225)


def test_a_window_is_one_of_the_image_and_has_the_pixels_of_the_whole(tmp_path: Path) -> None:
    package = isotropic_package(tmp_path / "package", 4.0, "arithmetic")
    restorer = Restorer(package, RestoreOptions(device="cpu", dtype="float32"))
    image = volume((9, 60, 70))
    whole = restorer.restore_image(image).pixels
    window = {"Z": slice(2, 5), "Y": slice(20, 40), "X": slice(33, 70)}
    part = restorer.restore_image(image, window=window).pixels
    kept = whole[8:17, 20:40, 33:70]
    assert part.shape == kept.shape
    assert np.abs(part - kept).max() < 1e-5 * np.ptp(whole)


def test_a_picture_without_slices_is_refused(tmp_path: Path) -> None:
    package = isotropic_package(tmp_path / "package", 4.0, "arithmetic")
    plane = Image(test_image(2, 1)[0, 0], Axes("YX"))
    with pytest.raises(AxesError, match="expects Z, Y and X"):
        Restorer(package, RestoreOptions(device="cpu")).restore_image(plane)


@pytest.mark.parametrize(
    "procedure",
    [
        {"zoom": {"z": 4.0}, "planes": ["zx"], "combination": "arithmetic"},
        {"planes": ["zx", "zy"], "combination": "median"},
        {"zoom": {"z": 4.0}, "interpolation": "linear"},
        {"zoom": {"y": 0.5}, "interpolation": "linear"},
        {"zoom": {"y": 2.0}, "interpolation": "cubic"},
        {"zoom": {"y": True}, "interpolation": "linear"},
        {"rotate": 3},
        "zoom",
    ],
    ids=str,
)
def test_a_procedure_that_cannot_be_run_is_refused(procedure: object) -> None:
    with pytest.raises(RefusedError):
        procedure_of({"procedure": procedure}, "YX")
