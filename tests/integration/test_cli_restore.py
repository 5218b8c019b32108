"""`care-bridge restore` from the command line: what it writes, and what it says of bad input."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.images import Image, write_image
from care_bridge.runtime.manifest import MANIFEST
from tests.packages import tiny_package


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return tiny_package(tmp_path_factory.mktemp("package") / "model")


@pytest.fixture(scope="module")
def package_3d(tmp_path_factory):
    return tiny_package(tmp_path_factory.mktemp("package") / "model", dims=3)


def cells(shape=(64, 80), dtype=np.uint16, seed=0):
    return np.random.default_rng(seed).poisson(200, shape).clip(0, 255).astype(dtype)


def run(*arguments):
    return main(["restore", *map(str, arguments)])


def files_in(folder):
    """Names of all files but manifests."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != MANIFEST)
    return sorted(str(path.relative_to(folder)) for path in files)


def test_a_folder_keeps_its_names_types_and_calibration(tmp_path, package):
    images = tmp_path / "in"
    images.mkdir()
    for dtype in ("uint8", "uint16", "float32"):
        tifffile.imwrite(
            images / f"{dtype}.tif",
            cells(dtype=dtype),
            imagej=True,
            resolution=(10, 10),
            metadata={"unit": "um"},
        )
    assert run(images, "--model", package, "--out", tmp_path / "out") == 0
    assert files_in(tmp_path / "out") == ["float32.tif", "uint16.tif", "uint8.tif"]
    for dtype in ("uint8", "uint16", "float32"):
        with tifffile.TiffFile(tmp_path / "out" / f"{dtype}.tif") as written:
            assert written.asarray().dtype == dtype
            numerator, denominator = written.pages[0].tags["XResolution"].value
            assert numerator / denominator == pytest.approx(10)


def test_one_file_to_one_file_and_json(tmp_path, package, capsys):
    tifffile.imwrite(tmp_path / "a.tif", cells())
    target = tmp_path / "deep" / "b.tif"
    assert run(tmp_path / "a.tif", "--model", package, "--out", target, "--json") == 0
    (result,) = json.loads(capsys.readouterr().out)["restored"]
    assert result["target"] == str(target)
    assert result["shape"] == [64, 80]
    assert tifffile.imread(target).shape == (64, 80)


def test_beside_its_source_a_result_gets_a_suffix(tmp_path, package):
    tifffile.imwrite(tmp_path / "a.b.tif", cells())
    assert run(tmp_path / "a.b.tif", "--model", package, "--out", tmp_path) == 0
    assert files_in(tmp_path) == ["a.b.tif", "a.b_restored.tif"]
    before = (tmp_path / "a.b_restored.tif").read_bytes()
    assert run(tmp_path, "--model", package, "--out", tmp_path, "--overwrite") == 0
    assert files_in(tmp_path) == ["a.b.tif", "a.b_restored.tif"]
    assert (tmp_path / "a.b_restored.tif").read_bytes() == before


def test_subfolders_on_request(tmp_path, package):
    (tmp_path / "in" / "day1").mkdir(parents=True)
    tifffile.imwrite(tmp_path / "in" / "a.tif", cells())
    tifffile.imwrite(tmp_path / "in" / "day1" / "a.tif", cells())
    assert run(tmp_path / "in", "--model", package, "--out", tmp_path / "o1") == 0
    assert files_in(tmp_path / "o1") == ["a.tif"]
    run(tmp_path / "in", "--model", package, "--out", tmp_path / "o2", "--include-subfolders")
    assert files_in(tmp_path / "o2") == ["a.tif", "day1/a.tif"]


def test_a_pattern_that_the_shell_did_not_expand(tmp_path, package):
    for name in ("a1.tif", "a2.tif", "b.tif"):
        tifffile.imwrite(tmp_path / name, cells())
    assert run(tmp_path / "a*.tif", "--model", package, "--out", tmp_path / "out") == 0
    assert files_in(tmp_path / "out") == ["a1.tif", "a2.tif"]


def test_a_broken_file_does_not_stop_the_rest(tmp_path, package, capsys):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "a.tif", cells())
    (tmp_path / "in" / "b.tif").write_text("no picture")
    tifffile.imwrite(tmp_path / "in" / "c.tif", cells(seed=1))
    assert run(tmp_path / "in", "--model", package, "--out", tmp_path / "out") == 1
    assert files_in(tmp_path / "out") == ["a.tif", "c.tif"]
    assert "1 of 3 files could not be restored: b.tif" in capsys.readouterr().err
    assert run(tmp_path / "in", "--model", package, "--out", tmp_path / "o2", "--json") == 1
    told = json.loads(capsys.readouterr().out)
    assert [Path(entry["source"]).name for entry in told["restored"]] == ["a.tif", "c.tif"]
    assert [Path(entry["source"]).name for entry in told["failed"]] == ["b.tif"]
    assert "b.tif" in told["failed"][0]["error"]


@pytest.mark.parametrize("more", [[], ["--device", "cuda:99"]], ids=["image", "device"])
def test_json_tells_the_failure_of_a_single_file(tmp_path, package, capsys, more):
    image = tmp_path / "b.tif"
    image.write_text("no picture")
    assert run(image, "--model", package, "--out", tmp_path / "out", "--json", *more) == 1
    told = capsys.readouterr()
    (failure,) = json.loads(told.out)["failed"]
    assert failure["source"] == str(image)
    assert failure["error"] == told.err.strip().removeprefix("care-bridge restore: ")


def test_results_that_are_there_are_kept_unless_told(tmp_path, package, capsys):
    tifffile.imwrite(tmp_path / "a.tif", cells())
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "a.tif").write_bytes(b"mine")
    assert run(tmp_path / "a.tif", "--model", package, "--out", tmp_path / "out") == 1
    assert "there already" in capsys.readouterr().err
    assert (tmp_path / "out" / "a.tif").read_bytes() == b"mine"
    assert (
        run(tmp_path / "a.tif", "--model", package, "--out", tmp_path / "out", "--overwrite") == 0
    )
    assert tifffile.imread(tmp_path / "out" / "a.tif").shape == (64, 80)


def test_a_source_is_never_replaced(tmp_path, package, capsys):
    for place in ("in", "out"):
        (tmp_path / place).mkdir()
        tifffile.imwrite(tmp_path / place / "a.tif", cells())
    sources = (tmp_path / "in" / "a.tif", tmp_path / "out" / "a.tif")
    before = [source.read_bytes() for source in sources]
    for arguments in (sources, (sources[1],)):
        out = tmp_path / "out" if len(arguments) == 2 else sources[1]
        assert run(*arguments, "--model", package, "--out", out, "--overwrite") == 1
        assert "would be replaced" in capsys.readouterr().err
    assert [source.read_bytes() for source in sources] == before


def test_a_file_named_twice_is_restored_once(tmp_path, package, monkeypatch):
    tifffile.imwrite(tmp_path / "a.tif", cells())
    monkeypatch.chdir(tmp_path)
    assert run("a.tif", "./a.tif", "*.tif", "--model", package, "--out", "out") == 0
    assert files_in(tmp_path / "out") == ["a.tif"]


def test_a_link_to_an_image_beside_it_leaves_the_image_its_own_name(tmp_path, package, capsys):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "b.tif", cells())
    for link in ("a.tif", "c.tif"):
        (tmp_path / "in" / link).symlink_to("b.tif")
    assert run(tmp_path / "in", "--model", package, "--out", tmp_path / "out") == 0
    assert files_in(tmp_path / "out") == ["b.tif"]
    said = capsys.readouterr().err
    for link in ("a.tif", "c.tif"):
        assert f"{link} is the same image as {tmp_path / 'in' / 'b.tif'}" in said


@pytest.mark.parametrize("target", ["nothing.tif", "a.tif"], ids=["nothing", "itself"])
def test_a_link_to_nothing_is_a_failure(tmp_path, package, capsys, target):
    (tmp_path / "in").mkdir()
    tifffile.imwrite(tmp_path / "in" / "b.tif", cells())
    (tmp_path / "in" / "a.tif").symlink_to(target)
    assert run(tmp_path / "in", "--model", package, "--out", tmp_path / "out") == 1
    assert "1 of 2 files could not be restored: a.tif" in capsys.readouterr().err
    assert files_in(tmp_path / "out") == ["b.tif"]
    assert run(tmp_path / "in" / "a.tif", "--model", package, "--out", tmp_path / "out") == 1
    assert "link" in capsys.readouterr().err


def test_a_pattern_of_folders_restores_what_they_hold(tmp_path, package):
    for plate in ("plate1", "plate2"):
        (tmp_path / plate).mkdir()
        tifffile.imwrite(tmp_path / plate / f"{plate}.tif", cells())
    assert run(tmp_path / "plat*", "--model", package, "--out", tmp_path / "out") == 0
    assert files_in(tmp_path / "out") == ["plate1.tif", "plate2.tif"]


@pytest.mark.parametrize("empty", ["images", "--model", "--out"])
def test_an_empty_name_is_not_the_current_folder(tmp_path, package, monkeypatch, capsys, empty):
    monkeypatch.chdir(package if empty == "--model" else tmp_path)
    tifffile.imwrite(tmp_path / "a.tif", cells())
    names = {"images": str(tmp_path), "--model": str(package), "--out": "out"} | {empty: ""}
    assert run(names.pop("images"), *(word for pair in names.items() for word in pair)) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert "is empty" in said
    assert not Path("out").exists()


OUTSIDE = {
    "a picture": ("aa.png", "named like a file"),
    "a misspelt ending": ("aa.tfi", "named like a file"),
    "in a Zarr": ("x.ome.zarr/sub", "lies in the Zarr"),
    "a file in a Zarr": ("x.ome.zarr/sub.tif", "lies in the Zarr"),
}


@pytest.mark.parametrize("case", OUTSIDE)
def test_an_output_that_is_no_place_for_results(tmp_path, package, capsys, case):
    tifffile.imwrite(tmp_path / "a.tif", cells())
    write_image(Image(cells(), Axes("YX")), tmp_path / "x.ome.zarr")
    before = files_in(tmp_path)
    out, says = OUTSIDE[case]
    assert run(tmp_path / "a.tif", "--model", package, "--out", tmp_path / out) == 1
    (said,) = capsys.readouterr().err.splitlines()
    assert says in said
    assert files_in(tmp_path) == before


@pytest.mark.parametrize("folder", ["day.2", "day.results", "there.png", "there.new"])
def test_a_folder_may_have_a_dot_in_its_name(tmp_path, package, folder):
    tifffile.imwrite(tmp_path / "a.tif", cells())
    (tmp_path / "there.png").mkdir()
    (tmp_path / "there.new").mkdir()
    assert run(tmp_path / "a.tif", "--model", package, "--out", tmp_path / folder) == 0
    assert files_in(tmp_path / folder) == ["a.tif"]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--uncertainty", "scale"], "predicts no distributions"),
        (["--percentile-low", "99.9"], "percentiles 99.9 and 99.8"),
    ],
    ids=lambda words: words[0],
)
@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["restored", "foretold"])
def test_an_option_that_does_not_fit_the_model_is_one_line_for_all_files(
    tmp_path, package, capsys, words, says, more
):
    for name in "ab":
        tifffile.imwrite(tmp_path / f"{name}.tif", cells())
    images = (tmp_path / "a.tif", tmp_path / "b.tif")
    assert run(*images, "--model", package, "--out", tmp_path / "out", *words, *more) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line


@pytest.mark.parametrize("more", [[], ["--dry-run"]], ids=["restored", "foretold"])
def test_what_holds_for_all_files_is_told_once_and_what_does_not_of_each(
    tmp_path, package, capsys, more
):
    (tmp_path / "in").mkdir()
    for number, name in enumerate("abcd"):
        pixels = np.full((64, 64), 7) if name > "b" else np.indices((64, 64))[0] % (20 + number)
        tifffile.imwrite(tmp_path / "in" / f"{name}.tif", pixels.astype(np.uint8))
    words = (tmp_path / "in", "--model", package, "--out", tmp_path / "out", "--device", "cpu")
    assert run(*words, *more) == 0
    lines = capsys.readouterr().err.splitlines()
    assert [line[:5] for line in lines if "result is float32" in line] == ["a.tif"]
    assert [line[:5] for line in lines if "is blank" in line] == ["c.tif", "d.tif"]


def test_an_output_that_is_a_file(tmp_path, package, capsys):
    tifffile.imwrite(tmp_path / "a.tif", cells())
    (tmp_path / "notes.txt").write_text("mine")
    assert run(tmp_path / "a.tif", "--model", package, "--out", tmp_path / "notes.txt") == 1
    assert "notes.txt is a file" in capsys.readouterr().err


def test_the_same_command_writes_the_same_bytes(tmp_path, package):
    tifffile.imwrite(tmp_path / "a.tif", cells())
    for out in ("o1", "o2"):
        run(tmp_path / "a.tif", "--model", package, "--out", tmp_path / out)
    assert (tmp_path / "o1" / "a.tif").read_bytes() == (tmp_path / "o2" / "a.tif").read_bytes()


def write_bad_inputs(folder, package):
    """A file for each kind of bad input."""
    (folder / "text.tif").write_text("this is no picture\n")
    (folder / "empty.tif").touch()
    tifffile.imwrite(folder / "good.tif", cells())
    whole = (folder / "good.tif").read_bytes()
    (folder / "cut.tif").write_bytes(whole[: len(whole) * 2 // 3])
    tifffile.imwrite(folder / "rgb.tif", cells((64, 80, 3), np.uint8), photometric="rgb")
    tifffile.imwrite(folder / "stack.tif", cells((4, 64, 80)), photometric="minisblack")
    (folder / "day2").mkdir()
    tifffile.imwrite(folder / "day2" / "good.tif", cells(seed=2))
    (folder / "none").mkdir()
    (folder / "none" / "notes.txt").write_text("nothing here")
    (folder / "no-package.zip").write_bytes(whole)
    cut = tiny_package(folder / "cut-model", name="A network whose file is cut")
    weights = (cut / "weights.onnx").read_bytes()
    (cut / "weights.onnx").write_bytes(weights[: len(weights) // 2])


BAD = {
    "text": (["text.tif"], "model", "text.tif"),
    "empty": (["empty.tif"], "model", "empty.tif"),
    "truncated": (["cut.tif"], "model", "cut.tif"),
    "rgb": (["rgb.tif"], "model", "RGB"),
    "2D-for-3D": (["good.tif"], "model-3d", "expects Z, Y and X"),
    "axes-unknown": (["stack.tif"], "model", "give its axes"),
    "missing-image": (["nowhere.tif"], "model", "nowhere.tif"),
    "no-images": (["none"], "model", "none"),
    "missing-model": (["good.tif"], "denoise-3dd", "denoise-3dd"),
    "zip-no-package": (["good.tif"], "no-package.zip", "no-package.zip"),
    "onnx-cut": (["good.tif"], "cut-model", "weights.onnx"),
    "not-a-type": (["good.tif", "--dtype", "int16"], "model", "int16"),
    "tile-too-small": (["good.tif", "--tile", "16,16"], "model", "smallest"),
    "two-of-a-name": (["good.tif", "day2/good.tif"], "model", "both"),
    "pattern-of-empty-folders": (["non*"], "model", "none"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_one_line_and_writes_nothing(
    tmp_path, package, package_3d, monkeypatch, capsys, case
):
    write_bad_inputs(tmp_path, package)
    monkeypatch.chdir(tmp_path)
    arguments, model, says = BAD[case]
    model = {"model": package, "model-3d": package_3d}.get(model, model)
    before = files_in(tmp_path)
    assert run(*arguments, "--model", model, "--out", "out") == 1
    said = capsys.readouterr().err.splitlines()
    assert len(said) == 1, said
    assert says in said[0]
    assert said[0].startswith("care-bridge restore: ")
    assert files_in(tmp_path) == before
    assert not Path("out").exists()


def test_a_read_only_output_folder(tmp_path, package, capsys):
    tifffile.imwrite(tmp_path / "a.tif", cells())
    # Root may write into any folder; under /proc nobody may.
    out = Path("/proc/self/care-bridge") if os.geteuid() == 0 else tmp_path / "locked"
    if os.geteuid() != 0:
        out.mkdir(mode=0o555)
    assert run(tmp_path / "a.tif", "--model", package, "--out", out) == 1
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert "cannot be written" in error


@pytest.mark.parametrize("seconds", ["0", "-1", "soon", "inf"])
def test_a_wait_that_is_none_is_a_usage_error(capsys, seconds):
    with pytest.raises(SystemExit) as caught:
        run("a.tif", "--model", "x", "--out", "o", "--watch-idle", seconds)
    assert caught.value.code == 2
    assert f'"{seconds}" is no time to wait: give seconds, more than 0' in capsys.readouterr().err


def test_an_unknown_flag_is_a_usage_error():
    with pytest.raises(SystemExit) as caught:
        run("a.tif", "--modle", "x")
    assert caught.value.code == 2


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--uncertainty", "scale", "--uncertainty", "interval"], "twice, scale and interval"),
        (["--out", "other"], "twice, o and other"),
        (["--tile", "64", "--tile", "64"], "twice, 64 and 64"),
    ],
    ids=lambda words: words[0],
)
def test_a_flag_that_is_given_twice_is_refused_in_one_line(tmp_path, capsys, words, says):
    with pytest.raises(SystemExit) as caught:
        run(tmp_path / "a.tif", "--model", "x", "--out", "o", *words)
    assert caught.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words[0] in line
    assert says in line


def test_from_a_process_of_its_own(tmp_path, package):
    tifffile.imwrite(tmp_path / "a.tif", cells())
    done = subprocess.run(
        [sys.executable, "-m", "care_bridge", "restore", "a.tif", "--model", package, "--out", "o"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("o/a.tif  64 x 80 ")
    assert done.stderr.startswith("device: cpu (ONNX Runtime")
