"""Many files: broken ones among them, killed, interrupted and resumed batches, dry runs."""

import json
import os
import random
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.images import Display, Image, open_image, write_image
from care_bridge.runtime.manifest import MANIFEST
from tests.packages import tiny_package


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return tiny_package(tmp_path_factory.mktemp("package") / "model")


def write_cells(path, seed=0, shape=(64, 80)):
    pixels = np.random.default_rng(seed).poisson(200, shape).astype(np.uint16)
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels)


def write_many(folder, count, shape=(64, 80)):
    for number in range(count):
        write_cells(folder / f"cells{number}.tif", number, shape)


def run(*arguments):
    return main(["restore", *map(str, arguments)])


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.glob("*.tif")}


def records(folder):
    return [json.loads(line) for line in (folder / MANIFEST).read_text().splitlines()]


def test_of_40_files_the_37_good_ones_are_restored_and_the_3_broken_ones_named(
    tmp_path, package, capsys
):
    source, out = tmp_path / "in", tmp_path / "out"
    write_many(source, 40)
    broken = ["cells0.tif", "cells17.tif", "cells39.tif"]
    (source / broken[0]).write_text("no picture")
    whole = (source / broken[1]).read_bytes()
    (source / broken[1]).write_bytes(whole[: len(whole) // 2])
    tifffile.imwrite(source / broken[2], np.zeros((8, 8, 3), np.uint8), photometric="rgb")
    assert run(source, "--model", package, "--out", out) == 1
    told = capsys.readouterr()
    assert len(told.out.splitlines()) == 37
    assert f"3 of 40 files could not be restored: {', '.join(broken)}" in told.err
    names = {f"cells{number}.tif" for number in range(40)}
    assert set(contents(out)) == names - set(broken)
    ended = [record for record in records(out) if record["status"] != "started"]
    assert {record["target"] for record in ended if record["status"] == "failed"} == set(broken)
    assert {record["target"] for record in ended if record["status"] == "restored"} == set(
        contents(out)
    )
    write_cells(source / broken[0])
    for name in broken[1:]:
        (source / name).unlink()
    assert run(source, "--model", package, "--out", out) == 0
    told = capsys.readouterr()
    assert "37 of 38 were restored already" in told.err
    assert [line.split()[0] for line in told.out.splitlines()] == [str(out / broken[0])]


def command(source, package, out, *more):
    return [
        *(sys.executable, "-m", "care_bridge", "restore", str(source), "--model", str(package)),
        *("--out", str(out), "--dtype", "float32", *more),
    ]


def test_a_batch_killed_at_five_moments_gives_the_bytes_of_an_undisturbed_one(tmp_path, package):
    source, out = tmp_path / "in", tmp_path / "out"
    write_many(source, 16, (400, 500))
    subprocess.run(command(source, package, tmp_path / "calm"), check=True, capture_output=True)
    calm = contents(tmp_path / "calm")
    assert len(calm) == 16
    rng = random.Random(4)
    for _ in range(5):
        there = len(contents(out))
        process = subprocess.Popen(command(source, package, out), stderr=subprocess.DEVNULL)
        while len(contents(out)) < there + 2 and process.poll() is None:
            time.sleep(0.005)
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        assert process.wait() == -signal.SIGKILL
        for name, content in contents(out).items():
            assert content == calm[name]
    assert len(contents(out)) < 16
    last = subprocess.run(command(source, package, out), check=True, capture_output=True, text=True)
    assert "of 16 were restored already" in last.stderr
    assert contents(out) == calm
    assert {path.name for path in out.iterdir()} == {*calm, MANIFEST}


@pytest.mark.parametrize(
    ("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)], ids=["SIGINT", "SIGTERM"]
)
def test_an_interrupted_batch_says_how_to_go_on(tmp_path, package, number, status):
    source, out = tmp_path / "in", tmp_path / "out"
    write_many(source, 30, (500, 600))
    process = subprocess.Popen(
        command(source, package, out), stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline().startswith(str(out))
    process.send_signal(number)
    restored, told = process.communicate()
    assert process.returncode == status
    count = 1 + len(restored.splitlines())
    assert told.splitlines()[-1] == (
        f"care-bridge restore: interrupted: {count} of 30 are restored, the same command again "
        "goes on with the rest"
    )
    assert not any("Traceback" in line for line in told.splitlines())
    assert len(contents(out)) == count < 30
    assert not [path for path in out.iterdir() if path.name.endswith(".partial")]


def test_what_is_there_from_elsewhere_is_an_error_that_says_so(tmp_path, package, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    write_many(source, 2)
    other = tiny_package(tmp_path / "other", name="Another network")
    assert run(source, "--model", package, "--out", out) == 0
    before = contents(out)
    capsys.readouterr()

    def refused(*arguments):
        assert run(source, "--out", out, *arguments) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert line.endswith("overwrite to replace it")
        return line

    assert "another model (Tiny network for tests" in refused("--model", other)
    assert "other options (the defaults)" in refused("--model", package, "--dtype", "float32")
    # Another tile gives the same pixels, and is no other result.
    assert run(source, "--out", out, "--model", package, "--tile", "64,64") == 0
    assert "2 of 2 were restored already" in capsys.readouterr().err
    write_cells(source / "cells1.tif", seed=5)
    assert "as it was before it changed" in refused("--model", package)
    assert contents(out) == before
    assert run(source, "--model", other, "--out", out, "--overwrite") == 0
    after = contents(out)
    assert after["cells1.tif"] != before["cells1.tif"]
    assert run(source, "--model", other, "--out", out) == 0
    assert "2 of 2 were restored already" in capsys.readouterr().err
    assert contents(out) == after


def test_a_full_disk_stops_the_batch(tmp_path, package, monkeypatch, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    write_many(source, 6)
    replace = Path.replace

    def full_at_the_third(self, target):
        if Path(target).name == "cells2.tif":
            raise OSError(28, "No space left on device")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", full_at_the_third)
    assert run(source, "--model", package, "--out", out) == 1
    told = capsys.readouterr().err.splitlines()
    assert "cells2.tif cannot be written" in told[-2]
    assert "the disk is full: 2 of 6 are restored" in told[-1]
    assert set(contents(out)) == {"cells0.tif", "cells1.tif"}
    monkeypatch.undo()
    assert run(source, "--model", package, "--out", out) == 0
    assert len(contents(out)) == 6


def test_two_processes_do_not_restore_into_one_folder(tmp_path, package, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    write_many(source, 20, (500, 600))
    first = subprocess.Popen(command(source, package, out), stdout=subprocess.PIPE, text=True)
    first.stdout.readline()
    assert run(source, "--model", package, "--out", out) == 1
    assert "another process restores into" in capsys.readouterr().err
    first.communicate()
    assert first.returncode == 0
    assert len(contents(out)) == 20


def test_a_dry_run_tells_everything_and_writes_nothing(tmp_path, package, capsys):
    source, out = tmp_path / "in", tmp_path / "out"
    write_cells(source / "a.tif", shape=(100, 200))
    (source / "b.tif").write_text("no picture")
    write_cells(source / "c.tif", shape=(30, 40))
    assert run(source / "c.tif", "--model", package, "--out", out) == 0
    capsys.readouterr()
    before = (out / MANIFEST).read_bytes()
    arguments = (source, "--model", package, "--out", out, "--tile", "60,60", "--dry-run")
    assert run(*arguments) == 1
    told = capsys.readouterr()
    skipped, planned, failing, summary = told.out.splitlines()
    assert skipped == f"{source / 'c.tif'} -> {out / 'c.tif'}  is restored already"
    # By hand: with 12 pixels of halo, 3 tiles of 52 keep 40 + 28 + 40 >= 100, and 5 of 60 keep
    # 48 + 3 * 36 + 48 >= 200; 2 and 4 tiles of 60 keep too little.
    assert planned.startswith(f"{source / 'a.tif'} -> {out / 'a.tif'}  YX 100 x 200 uint16")
    assert "15 tiles of 52 x 60" in planned
    assert failing.startswith(f"would fail: {source / 'b.tif'}")
    assert summary.startswith("1 of 3 would be restored in about")
    assert "1 of 3 files would fail: b.tif" in told.err
    assert set(contents(out)) == {"c.tif"}
    assert (out / MANIFEST).read_bytes() == before
    assert run(*arguments, "--json") == 1
    document = json.loads(capsys.readouterr().out)
    (forecast,) = document["restored"]
    assert forecast["tiles"] == 15
    assert forecast["axes"] == "YX"
    assert [Path(entry["source"]).name for entry in document["skipped"]] == ["c.tif"]
    assert [Path(entry["source"]).name for entry in document["failed"]] == ["b.tif"]
    assert run(source / "a.tif", "--model", package, "--out", tmp_path / "o2", "--dry-run") == 0
    assert not (tmp_path / "o2").exists()


def test_results_below_the_images_are_not_restored_again(tmp_path, package, capsys):
    write_cells(tmp_path / "day1" / "a.tif")
    out = tmp_path / "results"
    arguments = (tmp_path, "--model", package, "--out", out, "--include-subfolders")
    for _ in range(2):
        assert run(*arguments) == 0
    assert "1 of 1 were restored already" in capsys.readouterr().err
    assert [path.relative_to(out) for path in out.rglob("*.tif")] == [Path("day1/a.tif")]


def test_results_are_no_images_to_restore_again(tmp_path, package, capsys):
    folder = tmp_path / "in"
    write_cells(folder / "a.tif")
    model = ("--model", package)
    for file_format in ("auto", "ome", "zarr", "auto"):
        assert run(folder, *model, "--out", folder, "--format", file_format) == 0
    results = {"a_restored.tif", "a_restored.ome.tif", "a_restored.ome.zarr"}
    assert {path.name for path in folder.iterdir()} == {"a.tif", MANIFEST, *results}
    capsys.readouterr()
    assert run(folder / "a_restored.tif", *model, "--out", folder) == 1
    assert f"holds results in {folder} alone" in capsys.readouterr().err


def test_a_pattern_that_names_the_output_too(tmp_path, package, capsys, monkeypatch):
    write_cells(tmp_path / "a.tif")
    monkeypatch.chdir(tmp_path)
    Path("results").mkdir()
    for _ in range(2):
        named = sorted(path.name for path in tmp_path.iterdir())  # as a shell expands *
        assert run(*named, "--model", package, "--out", "results") == 0
        assert set(contents(Path("results"))) == {"a.tif"}
    assert "1 of 1 were restored already" in capsys.readouterr().err


def test_results_are_fitted_to_the_image_of_the_same_name(tmp_path, package, capsys):
    source, truths, out = tmp_path / "in", tmp_path / "truth", tmp_path / "out"
    truths.mkdir()
    for number in range(2):
        write_cells(source / f"{number}.tif", number)
        pixels = tifffile.imread(source / f"{number}.tif").astype(np.float32)
        tifffile.imwrite(truths / f"{number}.tif", pixels * (3 + number) + 5000)
    plain = (source, "--model", package, "--dtype", "float32")
    assert run(*plain, "--out", tmp_path / "plain") == 0
    assert run(source, "--model", package, "--out", out, "--rescale-to", truths) == 0
    for name in ("0.tif", "1.tif"):
        truth = tifffile.imread(truths / name).ravel()
        restored = tifffile.imread(tmp_path / "plain" / name).ravel()
        gain, offset = np.polyfit(restored.astype(float), truth.astype(float), 1)
        np.testing.assert_allclose(
            tifffile.imread(out / name).ravel(), restored * gain + offset, rtol=1e-5
        )
    assert {path.name for path in out.iterdir()} == {"0.tif", "1.tif", MANIFEST}
    (truths / "1.tif").unlink()
    capsys.readouterr()
    again = (source, "--model", package, "--out", tmp_path / "o2", "--rescale-to", truths)
    assert run(*again) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert f"{truths / '1.tif'} is not there" in line
    assert not (tmp_path / "o2").exists()


@pytest.mark.parametrize("out", ["truth", "truth/0.tif"], ids=["folder", "file"])
def test_an_image_to_rescale_to_is_never_replaced(tmp_path, package, capsys, out):
    for folder in ("in", "truth"):
        write_cells(tmp_path / folder / "0.tif")
    before = contents(tmp_path / "truth")
    arguments = (tmp_path / "in", "--model", package, "--out", tmp_path / out, "--overwrite")
    assert run(*arguments, "--rescale-to", tmp_path / "truth") == 1
    assert "is an image to rescale to, and would be replaced" in capsys.readouterr().err
    assert contents(tmp_path / "truth") == before


@pytest.mark.parametrize("file_format", ["imagej", "ome", "zarr"])
def test_channels_before_frames_are_fitted_to_another_image(tmp_path, package, file_format):
    """Formats have an order of axes of their own."""
    pixels = np.random.default_rng(0).poisson(300, (2, 3, 64, 80)).astype(np.uint16)
    for name, grey in (("a", pixels), ("truth", 2 * pixels + 5)):
        tifffile.imwrite(tmp_path / f"{name}.ome.tif", grey, metadata={"axes": "CTYX"})
    arguments = ("--model", package, "--out", tmp_path / "out", "--format", file_format)
    truth = tmp_path / "truth.ome.tif"
    assert run(tmp_path / "a.ome.tif", *arguments, "--rescale-to", truth) == 0
    (result,) = (path for path in (tmp_path / "out").iterdir() if path.name != MANIFEST)
    image = open_image(result)
    assert image.info.sizes == {"T": 3, "C": 2, "Y": 64, "X": 80}
    fitted = image.axes.to(image.pixels, Axes("CTYX")).astype(float)
    np.testing.assert_allclose(
        fitted.mean(axis=(1, 2, 3)), 2 * pixels.mean((1, 2, 3)) + 5, rtol=1e-3
    )


RESCALED = {
    "wide": (20.0, "uint16"),
    # 2 to 99.8 percent of a Poisson image of mean 200 are about 70 levels: below 64 of the truth.
    "narrow": (0.2, "float32"),
}


@pytest.mark.parametrize("case", RESCALED)
def test_a_rescaled_result_has_the_type_that_its_levels_ask_for(tmp_path, package, case):
    gain, dtype = RESCALED[case]
    write_cells(tmp_path / "a.tif")
    pixels = tifffile.imread(tmp_path / "a.tif") * gain + 100
    tifffile.imwrite(tmp_path / "truth.tif", pixels.astype(np.uint16))
    arguments = (tmp_path / "a.tif", "--model", package, "--out", tmp_path / "b.tif")
    assert run(*arguments, "--rescale-to", tmp_path / "truth.tif") == 0
    written = tifffile.imread(tmp_path / "b.tif")
    assert written.dtype == dtype
    recorded = open_image(tmp_path / "b.tif").history
    assert [re.findall(r"result (\w+)", line) for line in recorded] == [[], [dtype]]
    assert abs(written.mean() - pixels.mean()) < 0.01 * pixels.mean()


OPTIONS = {
    "list": ("tile: [64, 64]\ndtype: float32\n", [], "float32"),
    "text": ("tile: 64,64\noverwrite: false\n", [], "uint16"),
    "flags-first": ("dtype: float32\n", ["--dtype", "uint8"], "uint8"),
    "empty": ("# nothing\n", [], "uint16"),
    "left-empty": ("dtype:\n", [], "uint16"),
}


@pytest.mark.parametrize("case", OPTIONS)
def test_options_from_a_file(tmp_path, package, case):
    text, flags, dtype = OPTIONS[case]
    write_cells(tmp_path / "a.tif")
    options = tmp_path / "options.yaml"
    options.write_text(text)
    out = tmp_path / "b.tif"
    arguments = (tmp_path / "a.tif", "--model", package, "--out", out, "--options", options)
    assert run(*arguments, *flags) == 0
    assert tifffile.imread(out).dtype == dtype


@pytest.mark.parametrize("written", ['channels: ["a,b"]', "channels:\n- a,b"])
def test_a_name_in_a_list_may_have_a_comma(tmp_path, package, written):
    pixels = np.random.default_rng(0).poisson(200, (2, 64, 80)).astype(np.uint16)
    display = Display(channel_names=("a", "a,b"))
    write_image(Image(pixels, Axes("CYX"), display=display), tmp_path / "a.tif")
    options = tmp_path / "options.yaml"
    options.write_text(written)
    out = tmp_path / "b.tif"
    assert run(tmp_path / "a.tif", "--model", package, "--out", out, "--options", options) == 0
    assert open_image(out).display.channel_names == ("a,b",)


def test_a_batch_on_a_cluster_is_that_of_one_process_and_resumes(tmp_path, package, capsys):
    source = tmp_path / "in"
    write_many(source, 2, (120, 150))
    arguments = (source, "--model", package, "--format", "zarr")
    assert run(*arguments, "--out", tmp_path / "alone") == 0
    out = (*arguments, "--out", tmp_path / "together", "--cluster", "local:1")
    assert run(*out) == 0
    for name in ("cells0.ome.zarr", "cells1.ome.zarr"):
        alone, together = (open_image(tmp_path / place / name) for place in ("alone", "together"))
        np.testing.assert_array_equal(alone.pixels, together.pixels)
    capsys.readouterr()
    assert run(*out) == 0
    assert "2 of 2 were restored already" in capsys.readouterr().err


BAD_OPTIONS = {
    "unknown": ("tiles: 64,64\n", 'no option "tiles": did you mean "tile"?'),
    "value": ("dtype: int16\n", 'dtype "int16"'),
    "mapping": ("tile: {Y: 64}\n", "tile is no text, number or list"),
    "no-mapping": ("- tile\n", "holds no options"),
    "no-yaml": ("tile: [64\n", "is not valid YAML"),
}


@pytest.mark.parametrize("case", BAD_OPTIONS)
def test_bad_options_in_a_file_are_one_line(tmp_path, package, capsys, case):
    text, says = BAD_OPTIONS[case]
    options = tmp_path / "options.yaml"
    options.write_text(text)
    assert run("a.tif", "--model", package, "--out", "b.tif", "--options", options) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert says in line
    assert str(options) in line


def test_a_result_in_another_format_keeps_its_stem(tmp_path, package):
    write_cells(tmp_path / "in" / "a.tif")
    out = tmp_path / "out"
    arguments = (tmp_path / "in", "--model", package, "--out", out, "--format", "ome")
    assert run(*arguments) == 0
    assert set(contents(out)) == {"a.ome.tif"}
    assert run(*arguments) == 0
    arguments = (tmp_path / "in", "--model", package, "--out", tmp_path / "in", "--format", "ome")
    for _ in range(2):
        assert run(*arguments) == 0
    assert set(contents(tmp_path / "in")) == {"a.tif", "a_restored.ome.tif"}


def test_smaller_copies_are_for_zarr_and_any_other_target_is_refused_at_once(
    tmp_path, package, capsys
):
    write_many(tmp_path / "in", 2)
    arguments = (tmp_path / "in", "--model", package, "--out", tmp_path / "out", "--multiscale")
    for more in ((), ("--format", "ome"), ("--dry-run",)):
        assert run(*arguments, *more) == 1
        (line,) = capsys.readouterr().err.splitlines()
        assert "multiscale is for OME-Zarr" in line
    assert not (tmp_path / "out").exists()
    assert run(*arguments, "--format", "zarr") == 0


FIELDS = {
    "auto": ["field.1.ome.zarr", "field.2.ome.zarr"],
    "ome": ["field.1.ome.tif", "field.2.ome.tif"],
    "imagej": ["field.1.tif", "field.2.tif"],
}


@pytest.mark.parametrize("file_format", FIELDS)
def test_zarr_folders_without_an_ending_keep_their_names(tmp_path, package, file_format):
    fields = [tmp_path / "field.1", tmp_path / "field.2"]
    for field in fields:
        pixels = np.random.default_rng(0).poisson(200, (64, 80)).astype(np.uint16)
        write_image(Image(pixels, Axes("YX")), tmp_path / "a.ome.zarr")
        (tmp_path / "a.ome.zarr").rename(field)
    out = tmp_path / "out"
    assert run(*fields, "--model", package, "--out", out, "--format", file_format) == 0
    names = {path.name for path in out.iterdir()}
    assert names == {*FIELDS[file_format], MANIFEST}


@pytest.mark.skipif(os.name != "posix", reason="a terminal is made as POSIX has it")
def test_bars_are_shown_on_a_terminal(tmp_path, package):
    import pty
    import termios

    write_many(tmp_path / "in", 2)
    here, there = pty.openpty()
    termios.tcsetwinsize(there, (24, 120))
    done = subprocess.run(
        command(tmp_path / "in", package, tmp_path / "out"),
        stderr=there,
        stdout=subprocess.DEVNULL,
        check=False,
    )
    os.set_blocking(here, False)
    shown = os.read(here, 100_000).decode()
    os.close(there)
    os.close(here)
    assert done.returncode == 0
    assert "2/2" in shown
    assert "cells1.tif" in shown
