"""Restoring by macros in the real ImageJ gives what `care-bridge restore` writes."""

import time

import numpy as np
import pytest
import tifffile

from care_bridge.images import open_image
from tests.fiji.conftest import CHILDREN, run_cli

pytestmark = pytest.mark.fiji
MACROS = CHILDREN.parent / "macros"
LUT = np.random.default_rng(0).integers(0, 256, (3, 256)).astype(np.uint8)


def blobs(shape, dtype, level):
    """Noisy blobs; above 64 grey levels where level is above 60."""
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    clean = level * (1.1 + np.sin(y / 7) * np.cos(x / 9))
    return np.random.default_rng(1).poisson(np.broadcast_to(clean, shape)).astype(dtype)


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    """A folder with a blank in its name, with images of all types."""
    folder = tmp_path_factory.mktemp("data") / "raw images"
    folder.mkdir()
    scale = {"resolution": (4, 4), "metadata": {"unit": "um"}}
    for name, image in {
        "bits8": blobs((61, 70), np.uint8, 90),
        "bits16": blobs((45, 33), np.uint16, 900),
        "bits32": blobs((64, 64), np.float32, 50),
        "dim16": blobs((64, 64), np.uint16, 8),
    }.items():
        tifffile.imwrite(folder / f"{name}.tif", image, imagej=True, **scale)
    tifffile.imwrite(
        folder / "hyperstack.tif",
        blobs((2, 3, 2, 31, 45), np.uint16, 500),
        imagej=True,
        resolution=(4, 4),
        metadata={
            "axes": "TZCYX",
            "unit": "um",
            "spacing": 2.0,
            "mode": "color",
            "LUTs": [LUT] * 2,
        },
    )
    tifffile.imwrite(
        folder / "table.tif",
        blobs((40, 40), np.uint8, 90),
        photometric="palette",
        colormap=LUT.astype(np.uint16) * 257,
        description="ImageJ=1.54p\nmin=0\nmax=255\n",
        metadata=None,
    )
    return folder


@pytest.fixture(scope="module")
def expected(images, package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("expected")
    done = run_cli("restore", images, "--model", package, "--out", folder)
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture(scope="module")
def batch(images, package, installation, tmp_path_factory):
    out = tmp_path_factory.mktemp("batch") / "not there yet"
    done = run_cli(
        "fiji",
        "run",
        "Batch_Restore",
        f"input={images}",
        f"output={out}",
        f"model={package}",
        CARE_BRIDGE_FIJI=installation,
    )
    assert done.returncode == 0, done.stderr
    return done, out


@pytest.fixture(scope="module")
def each(images, package, installation, tmp_path_factory):
    out = tmp_path_factory.mktemp("each")
    macro = MACROS / "Restore_Each.ijm"
    words = (f"input={images}", f"output={out}", f"model={package}")
    done = run_cli("fiji", "run", macro, *words, CARE_BRIDGE_FIJI=installation)
    ended = time.time()
    assert done.returncode == 0, done.stderr
    return done, out, ended


def names_in(folder):
    return sorted(path.name for path in folder.glob("*.tif"))


def test_the_batch_macro_writes_the_same_files(batch, expected):
    done, out = batch
    assert names_in(out) == names_in(expected)
    for name in names_in(expected):
        assert (out / name).read_bytes() == (expected / name).read_bytes(), name
        assert str(out / name) in done.stdout


def test_a_macro_that_opens_restores_and_saves_gives_the_same_images(each, expected):
    _, out, _ = each
    assert names_in(out) == names_in(expected)
    for name in names_in(expected):
        ours, theirs = open_image(out / name), open_image(expected / name)
        assert ours.axes == theirs.axes, name
        assert ours.pixels.dtype == theirs.pixels.dtype, name
        np.testing.assert_array_equal(ours.pixels, theirs.pixels, err_msg=name)
        assert ours.calibration.unit == theirs.calibration.unit
        assert ours.calibration.voxel_size == pytest.approx(theirs.calibration.voxel_size)


def test_the_results_were_really_restored(images, expected):
    for name in names_in(expected):
        source, restored = open_image(images / name).pixels, open_image(expected / name).pixels
        assert np.abs(restored.astype(float) - source).max() > 1, name


def test_types_follow_the_rule_of_the_command_line(each):
    _, out, _ = each
    types = {name: tifffile.imread(out / name).dtype.name for name in names_in(out)}
    assert types == {
        "bits8.tif": "uint8",
        "bits16.tif": "uint16",
        "bits32.tif": "float32",
        "dim16.tif": "float32",
        "hyperstack.tif": "uint16",
        "table.tif": "uint8",
    }


def test_calibration_and_tables_stay(each):
    _, out, _ = each
    image = open_image(out / "hyperstack.tif")
    assert image.calibration.unit == "µm"
    assert image.calibration.voxel_size == pytest.approx({"Z": 2.0, "Y": 0.25, "X": 0.25})
    np.testing.assert_array_equal(image.display.luts, [LUT.T] * 2)
    np.testing.assert_array_equal(open_image(out / "table.tif").display.luts, [LUT.T])


def test_the_result_is_a_second_image_named_after_the_first_and_active(each):
    done, _, _ = each
    assert "restored bits8_restored.tif of 2\n" in done.stdout


def test_the_model_is_loaded_once_for_many_images(each):
    done, _, _ = each
    assert done.stderr.count("device: cpu") == 1


def test_the_process_ends_when_the_macro_has_ended(each):
    """Within 2 s on a machine that has nothing else to do; ImageJ's own threads would take 60."""
    _, out, ended = each
    assert ended - float((out / "ended").read_text()) / 1000 < 5
