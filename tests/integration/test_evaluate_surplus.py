"""`evaluate` where a truth goes on beyond what upsampling makes of the input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.cli.main import main
from tests.evaluated_pairs import as_json, by_hand, evaluate
from tests.training_pairs import blobs, write_image

SMALL = (
    "task=upsampling",
    "upsampling.z=2",
    "patches.size=[8,16,16]",
    "patches.validation_batches=1",
    "network.n_first=4",
    "network.kernel=3",
    "training.batch_size=2",
    "training.steps_per_epoch=2",
    "training.device=cpu",
)


def flat(pixels: np.ndarray) -> np.ndarray:
    return pixels.reshape(-1, pixels.shape[-1])


def write(path: Path, pixels: np.ndarray, voxels: tuple[float, float, float] | None = None) -> Path:
    """A stack; its voxels along Z, Y and X, in micrometres."""
    if voxels is None:
        return write_image(path, pixels)
    depth, height, width = voxels
    said = {"axes": "ZYX", "spacing": depth, "unit": "um"}
    resolution = (1 / width, 1 / height)
    tifffile.imwrite(path, pixels, imagej=True, metadata=said, resolution=resolution)
    return path


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    """8 slices, 15 made of them, and the 16 of which they are every second one."""
    rng = np.random.default_rng(12)
    truth = blobs((16, 32, 36), rng)
    made = truth[:15] + rng.normal(0, 50, (15, 32, 36)).astype(np.float32)
    pixels = {"truth": truth, "restored": made, "input": truth[::2]}
    return {role: write(tmp_path / f"{role}.tif", each) for role, each in pixels.items()}


def words(files: dict[str, Path], *roles: str) -> list[object]:
    return [word for role in roles for word in (f"--{role}", files[role])]


def expected(files: dict[str, Path]) -> float:
    restored, truth = (tifffile.imread(files[role]) for role in ("restored", "truth"))
    return by_hand(flat(restored), flat(truth[: len(restored)]))[0]


def test_slices_of_the_truth_beyond_the_last_of_the_input_are_left_out(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    told = as_json(capsys, *words(files, "truth", "restored", "input"))
    means = {mean["method"]: mean for mean in told["means"]}
    assert list(means) == ["restored", "cubic"]
    assert means["restored"]["psnr"] == pytest.approx(expected(files), abs=1e-6)
    (image,) = told["images"]
    assert any("the truth's last 1 of 16 along Z" in note for note in image["notes"])
    (setting,) = {row["setting"] for row in image["rows"] if row["method"] == "cubic"}
    assert setting == "zoom 2 x 1 x 1, same first pixels"


def test_the_region_is_cut_before_sizes_are_compared(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(files, "truth", "restored")
    assert evaluate(*given) == 1
    said = capsys.readouterr().err
    assert "Z=15" in said
    assert "--roi Z=0:15" in said
    assert evaluate(*given, "--roi", "Z=3:") == 1
    assert "--roi Z=0:15" in capsys.readouterr().err
    told = as_json(capsys, *given, "--roi", "Z=0:15")
    assert told["means"][0]["psnr"] == pytest.approx(expected(files), abs=1e-6)


def test_a_region_along_what_was_enlarged_is_no_region_of_the_input(
    files: dict[str, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    given = words(files, "truth", "restored", "input")
    assert evaluate(*given, "--roi", "Z=0:15") == 1
    assert "leave Z out of the region, or --input out" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("truth", "taken"),
    [
        pytest.param((9, 40, 42), True, id="none"),
        pytest.param((9, 42, 43), True, id="two-pixels-of-two-and-a-half"),
        pytest.param((10, 42, 43), False, id="a-slice-where-nothing-was-enlarged"),
        pytest.param((9, 42, 44), False, id="a-whole-factor"),
        pytest.param((9, 43, 42), False, id="more-than-a-factor"),
        pytest.param((9, 39, 42), False, id="too-few"),
    ],
)
def test_no_more_than_a_factor_is_left_out(
    truth: tuple[int, int, int],
    taken: bool,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Planes made 2.5 times as large along Y, and twice along X, as the voxels say."""
    pixels = blobs((10, 43, 45), np.random.default_rng(4))
    rows = (np.arange(16) * 2.5).astype(int)
    shown = pixels[: truth[0], : truth[1], : truth[2]]
    files = {
        "truth": write(tmp_path / "t.tif", shown, (0.5, 0.1, 0.125)),
        "restored": write(tmp_path / "r.tif", pixels[:9, :40, :42], (0.5, 0.1, 0.125)),
        "input": write(tmp_path / "i.tif", pixels[:9, rows][:, :, :42:2], (0.5, 0.25, 0.25)),
    }
    given = words(files, "truth", "restored", "input")
    if taken:
        told = as_json(capsys, *given)
        psnr = {mean["method"]: mean["plain_psnr"] for mean in told["means"]}
        assert psnr["restored"] is None  # they are equal
    else:
        assert evaluate(*given) == 1
        assert "both must show the same pixels" in capsys.readouterr().err


def test_a_model_that_was_trained_on_such_pairs_is_judged_on_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(5)
    for number in (1, 2):
        truth = blobs((16, 32, 36), rng)
        write(tmp_path / "GT" / f"b{number}.tif", truth)
        write(tmp_path / "source" / f"b{number}.tif", truth[::2])
    files = {"truth": tmp_path / "GT" / "b1.tif", "input": tmp_path / "source" / "b1.tif"}
    files["restored"] = tmp_path / "r.tif"
    package = tmp_path / "model.zip"
    for line in (
        ["train", tmp_path, "--out", tmp_path / "run", "--steps", 2, "--set", *SMALL],
        ["export", tmp_path / "run", "--out", package],
        ["restore", files["input"], "--model", package, "--out", files["restored"]],
    ):
        assert main([*map(str, line)]) == 0
    assert len(tifffile.imread(files["restored"])) == 15
    capsys.readouterr()
    by_model = as_json(capsys, *words(files, "truth", "input"), "--model", package)
    assert by_model == as_json(capsys, *words(files, "truth", "input", "restored"))
    psnr = {mean["method"]: mean["psnr"] for mean in by_model["means"]}
    assert psnr["restored"] == pytest.approx(expected(files), abs=1e-6)
