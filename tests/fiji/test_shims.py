"""A stock ImageJ, with no Python in its Java: the installed commands in a real window, and every
bundled macro, against what the command line writes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.fiji.install import install
from care_bridge.fiji.macro_text import quoted, unquoted
from tests.fiji.conftest import FIJI, run_child, run_cli

pytestmark = [
    pytest.mark.fiji,
    pytest.mark.skipif(shutil.which("Xvfb") is None, reason="no Xvfb for a window"),
    pytest.mark.skipif(shutil.which("java") is None, reason="no java to start"),
]
PLACE = (20, 30, 48, 40)  # x, y, width, height
TEXTS = {
    "windows": r"C:\new folder\tools\names.tif",
    "share": r"\\server\share\a b",
    "quotes": 'say "a\\"',
    "accents": "Zoë/µm/细胞",
    "beyond": "cell 🔬.tif",
    "lines": "a\nb\tc",
    "empty": "",
}
# Run by ImageJ in one go; {model}, {raw} and {out} are filled in.
MACRO = """
function tell(what) { File.append(what, "{out}/told.txt"); }
open("{raw}/cell.tif");
run("CARE Restore", "model=[{model}]");
tell("new " + getTitle() + " " + nImages + " " + is("changes") + getInfo("image.directory"));
saveAs("Tiff", "{out}/new.tif"); close();
makeRectangle({place});
run("CARE Restore", "model=[{model}] suffix=_part");
tell("part " + getTitle());
saveAs("Tiff", "{out}/part.tif"); close();
run("Select None");
run("CARE Restore", "model=[{model}] result=composite");
saveAs("Tiff", "{out}/composite.tif"); close();
run("CARE Preview", "model=[{model}] percentiles=[2,99.8; 5,99]");
tell("preview " + getTitle() + " " + getWidth() + " " + Overlay.size); close();
run("CARE Evaluate", "truth=[{raw}/hyper.tif] restored=[{raw}/hyper.tif]");
tell("evaluate " + nResults + " " + getResult("NRMSE", 1));
run("CARE Evaluate", "truth=cell.tif");
tell("titles " + nResults + " " + getResult("SSIM", 2) + " " + getTitle());
run("Clear Results");
run("CARE Restore", "model=[{model}] result=replace");
tell("replaced " + getTitle() + " " + nImages + " " + getInfo("image.directory"));
saveAs("Tiff", "{out}/replaced.tif"); close();
open("{raw}/hyper.tif");
Stack.setPosition(2, 3, 1);
setMinAndMax(100, 2000);
run("CARE Restore", "model=[{model}] result=replace channels=all");
Stack.getPosition(channel, slice, frame); getMinAndMax(low, high); getVoxelSize(w, h, d, unit);
tell("hyper " + String.join(newArray("" + channel, "" + slice, "" + low, "" + high, "" + d, unit)));
saveAs("Tiff", "{out}/hyper.tif"); close();
run("CARE Models");
before = indexOf(getInfo("log"), "mine");
run("CARE Models", "add=[{model}] name=mine");
tell("models " + before + " " + indexOf(getInfo("log"), "kept as mine"));
run("CARE Check Model", "model=[{model}]");
tell("log " + indexOf(getInfo("log"), "denoise-2d") + " " + indexOf(getInfo("log"), "passes"));
m = getDirectory("macros") + "CARE Bridge/";
model = " model=[{model}]";
runMacro(m + "Batch_Restore.ijm", "input=[{raw}] output=[{out}/batch]" + model);
runMacro(m + "Batch_Restore_Timelapse.ijm", "input=[{movies}] output=[{out}/movies]" + model);
runMacro(m + "Restore_Image.ijm", "input=[{raw}/cell.tif] output=[{out}/image.tif]" + model);
runMacro(m + "Restore_Selection.ijm",
    "input=[{raw}/cell.tif] x=20 y=30 width=48 height=40 output=[{out}/selection.tif]" + model);
close("*");
runMacro(m + "Maximum_Project_And_Restore.ijm",
    "input=[{raw}/hyper.tif] output=[{out}/projected.tif]" + model);
close("*");
runMacro(m + "Compare_Before_After.ijm",
    "input=[{raw}/cell.tif] output=[{out}/panels.png] profile=[{out}/line.csv]" + model);
close("*");
runMacro(m + "Evaluate_Against_Truth.ijm",
    "input=[{raw}/cell.tif] truth=[{raw}/truth.tif] output=[{out}/figures.csv]" + model);
close("*");
open("{raw}/cell.tif");
runMacro(m + "Restore_Active_Image.ijm", "result=replace" + model);
saveAs("Tiff", "{out}/active.tif"); close();
texts = newArray({texts});
for (i = 0; i < texts.length; i++) File.saveString(texts[i], "{out}/text" + i + ".txt");
tell("end");
run("Quit");
"""


def cell(seed, shape=(130, 120)):
    grid = np.mgrid[tuple(slice(size) for size in shape[-2:])]
    clean = 800 * (1.1 + np.sin(grid[0] / 7) * np.cos(grid[1] / 9))
    return np.random.default_rng(seed).poisson(np.broadcast_to(clean, shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def ended(stock, package, display, tmp_path_factory):
    """What ImageJ wrote, beside what the command line writes."""
    folder = tmp_path_factory.mktemp("shims")
    raw, out, movies = folder / "raw images", folder / "out", folder / "movies"
    for each in (raw, out, movies):
        each.mkdir()
    tifffile.imwrite(raw / "cell.tif", cell(0), imagej=True)
    tifffile.imwrite(raw / "truth.tif", cell(1), imagej=True)
    frames = {"axes": "TYX"}
    tifffile.imwrite(movies / "movie.tif", cell(2, (3, 60, 50)), imagej=True, metadata=frames)
    hyper = {"axes": "ZCYX", "spacing": 2.5, "unit": "micron"}
    pixels = cell(3, (4, 2, 60, 50))
    tifffile.imwrite(raw / "hyper.tif", pixels, imagej=True, metadata=hyper, resolution=(2, 2))
    code = MACRO
    for name, value in {
        "model": package,
        "raw": raw,
        "out": out,
        "movies": movies,
        "place": str(PLACE)[1:-1],
        "texts": ", ".join(map(quoted, TEXTS.values())),
    }.items():
        code = code.replace(f"{{{name}}}", str(value))
    macro = folder / "all.ijm"
    macro.write_text(code)
    cache = {"XDG_CACHE_HOME": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
    cache["XDG_DATA_HOME"] = str(folder / "data")
    (jar,) = (stock / "jars").glob("*.jar")
    started = ["java", "-XX:TieredStopAtLevel=1", "-Dfile.encoding=UTF-8", f"-Dplugins.dir={stock}"]
    done = subprocess.run(
        [*started, "-cp", str(jar), "ij.ImageJ", "-macro", str(macro)],
        env=os.environ | cache | {"DISPLAY": display},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )
    told = (out / "told.txt").read_text() if (out / "told.txt").exists() else ""
    assert told.endswith("end\n"), (told, done.stdout, done.stderr)
    for words in (
        (raw, "--out", folder / "cli"),
        (movies, "--out", folder / "cli movies", "--axes", "TYX", "--normalize", "per-frame"),
    ):
        by_cli = run_cli("restore", *words, "--model", package, "--worker", **cache)
        assert by_cli.returncode == 0, by_cli.stderr
    run_cli("worker", "--stop", **cache)
    lines = dict(line.split(" ", 1) for line in told.splitlines() if " " in line)
    return folder, lines


def pixels(folder, name):
    return tifffile.imread(folder / name)


def rectangle(image):
    x, y, width, height = PLACE
    return image[..., y : y + height, x : x + width]


EQUAL = {
    "new": ("out/new.tif", lambda cli: cli),
    "replaced": ("out/replaced.tif", lambda cli: cli),
    "part": ("out/part.tif", rectangle),
    "composite": ("out/composite.tif", lambda cli: np.stack([cell(0), cli])),
    "Batch_Restore": ("out/batch/cell.tif", lambda cli: cli),
    "Restore_Image": ("out/image.tif", lambda cli: cli),
    "Restore_Selection": ("out/selection.tif", rectangle),
    "Restore_Active_Image": ("out/active.tif", lambda cli: cli),
}


@pytest.mark.parametrize("name", EQUAL)
def test_pixels_are_those_of_the_command_line(ended, name):
    folder, _ = ended
    file, expected = EQUAL[name]
    np.testing.assert_array_equal(
        pixels(folder, file), expected(pixels(folder, "cli/cell.tif")), strict=True
    )


def test_a_movie_is_restored_frame_by_frame(ended):
    folder, _ = ended
    by_macro = pixels(folder, "out/movies/movie.tif")
    np.testing.assert_array_equal(by_macro, pixels(folder, "cli movies/movie.tif"))


def test_a_hyperstack_is_replaced_with_what_belongs_to_it(ended):
    folder, told = ended
    np.testing.assert_array_equal(pixels(folder, "out/hyper.tif"), pixels(folder, "cli/hyper.tif"))
    assert told["hyper"] == "2, 3, 100, 2000, 2.5, microns"


def test_a_projection_is_restored(ended, package):
    folder, _ = ended
    flat = pixels(folder, "raw images/hyper.tif").max(axis=0)
    tifffile.imwrite(folder / "flat.tif", flat, imagej=True, metadata={"axes": "CYX"})
    out = folder / "flat_restored.tif"
    done = run_cli("restore", folder / "flat.tif", "--model", package, "--out", out)
    assert done.returncode == 0, done.stderr
    np.testing.assert_array_equal(pixels(folder, "out/projected.tif"), tifffile.imread(out))


def test_the_profile_is_of_the_raw_and_the_restored_image(ended):
    folder, _ = ended
    profile = np.loadtxt(folder / "out/line.csv", delimiter=",", skiprows=1)
    line = cell(0).shape[0] // 2
    np.testing.assert_array_equal(profile[:, 0], cell(0)[line, : len(profile)])
    restored = pixels(folder, "cli/cell.tif")
    np.testing.assert_array_equal(profile[:, 1], restored[line, : len(profile)])


def test_figures_come_into_the_results_table(ended):
    folder, told = ended
    count, nrmse = told["evaluate"].split()
    assert count == "2"
    assert float(nrmse) == pytest.approx(0, abs=1e-9)
    assert told["titles"] == "3 1 cell.tif"
    rows = (folder / "out/figures.csv").read_text().splitlines()
    assert len(rows) == 3


def test_titles_and_files_stay_in_order(ended):
    folder, told = ended
    assert told["new"] == "cell_restored.tif 2 1"
    assert told["part"] == "cell_part.tif"
    assert told["preview"] == "cell.tif: preview 360 3"
    assert told["replaced"] == f"cell.tif 1 {folder}/raw images/"
    models, check = map(int, told["log"].split())
    assert 0 <= models < check
    before, added = map(int, told["models"].split())
    assert before == -1
    assert added > models


@pytest.mark.parametrize("name", TEXTS)
def test_imagej_reads_a_quoted_text_as_it_is(ended, name):
    folder, _ = ended
    file = folder / "out" / f"text{list(TEXTS).index(name)}.txt"
    assert file.read_text("utf-8") == TEXTS[name]
    assert unquoted(quoted(TEXTS[name])) == TEXTS[name]
    assert quoted(TEXTS[name]).isascii()


@pytest.fixture(scope="module")
def used(stock, package, display, tmp_path_factory):
    """What a person saw who used the commands in the window."""
    folder = tmp_path_factory.mktemp("used")
    tifffile.imwrite(folder / "cell.tif", cell(0), imagej=True)
    tifffile.imwrite(folder / "middle.tif", cell(2, (900, 900)), imagej=True)
    tifffile.imwrite(folder / "large.tif", cell(1, (2600, 2600)), imagej=True)
    cache = {"XDG_CACHE_HOME": str(folder / "cache"), "LC_ALL": "C"}
    before = set(Path(tempfile.gettempdir()).glob("care_bridge-*"))
    child = run_child("shims.py", stock, package, folder, DISPLAY=display, **cache)
    run_cli("worker", "--stop", **cache)
    assert child.returncode == 0, child.stderr
    left = set(Path(tempfile.gettempdir()).glob("care_bridge-*")) - before
    return folder, json.loads((folder / "facts.json").read_text()), left


def test_the_dialog_is_recorded_and_played_back(used, package):
    folder, facts, _ = used
    assert facts["title"] == "cell_restored.tif"
    assert f'run("CARE Restore", "model=[{package}] percentile_low=5");' in facts["recorded"]
    by_cli = folder / "by_cli.tif"
    words = ("--model", package, "--percentile-low", "5", "--out", by_cli)
    done = run_cli("restore", folder / "cell.tif", *words)
    assert done.returncode == 0, done.stderr
    expected = tifffile.imread(by_cli)
    np.testing.assert_array_equal(tifffile.imread(folder / "by_dialog.tif"), expected)
    np.testing.assert_array_equal(tifffile.imread(folder / "by_recorded.tif"), expected)


def test_a_wrong_entry_is_told_and_can_be_mended(used):
    _, facts, _ = used
    assert 'did you mean "denoise-2d"' in facts["told"]
    assert facts["again"] == ["denois-2d", "5"]


@pytest.mark.parametrize(
    ("name", "words"),
    {
        "misspelt": 'there is no option "modle": did you mean "model"?',
        "missing": 'there is no model package "/no such model"',
        "replaced part": "result=replace restores the whole image",
    }.items(),
)
def test_an_error_is_told_and_ends_the_macro(used, name, words):
    _, facts, _ = used
    assert words in facts[name]
    assert facts[f"{name}: titles"] == ["cell.tif"]


def test_the_image_that_was_active_is_replaced_and_no_other(used):
    folder, _, _ = used
    np.testing.assert_array_equal(pixels(folder, "other.tif"), pixels(folder, "middle.tif"))
    assert (pixels(folder, "source.tif") != pixels(folder, "middle.tif")).any()


def test_an_image_may_be_closed_while_it_is_restored(used):
    _, facts, _ = used
    assert "the image was closed while it was restored" in facts["closed"]
    assert facts["closed: titles"] == []
    assert facts["closed, new: titles"] == ["middle_restored.tif"]
    assert facts["closed: log"].count("went on") == 1


def test_the_log_says_what_is_computed_on(used):
    _, facts, _ = used
    assert "device: cpu" in facts["log"]


def test_waiting_is_said(used):
    _, facts, _ = used
    assert "CARE Restore: waiting for care_bridge" in facts["first status"]


def test_a_title_keeps_its_accents_in_the_plain_c_locale(used):
    _, facts, _ = used
    assert facts["accents"] == "Zoë µm_restored"


def test_what_cannot_be_done_here_is_said_in_one_window(used):
    folder, facts, _ = used
    assert "Ext.CARE_" in facts["functions"]
    assert f"{folder}/none" in facts["no folder"]
    assert facts["functions: windows"] == facts["no folder: windows"] == ["Log"]
    assert facts["log"].count("went on") == 1


def test_escape_ends_it_at_once_and_leaves_nothing(used):
    _, facts, left = used
    assert "CARE Restore" in facts["progress"]
    assert "tiles (Esc cancels)" in facts["progress"]
    assert facts["escape seconds"] < 4
    assert facts["after escape"] == ["large.tif"]
    end = time.monotonic() + 30
    while any(folder.exists() for folder in left):
        assert time.monotonic() < end
        time.sleep(0.1)


@pytest.mark.skipif(FIJI is None, reason="CARE_BRIDGE_FIJI names no Fiji")
@pytest.mark.parametrize("mode", ["headless", "interactive"])
@pytest.mark.parametrize("way", ["python", "shims"])
def test_in_fiji(way, mode, package, display, ended, tmp_path):
    fiji = tmp_path / "Fiji.app"
    shutil.copytree(FIJI, fiji)
    install(fiji, way)
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "DISPLAY": display}
    raw = ended[0] / "raw images" / "cell.tif"
    child = run_child("fiji_by_itself.py", fiji, mode, package, raw, tmp_path, **cache)
    run_cli("worker", "--stop", **cache)
    assert child.returncode == 0, child.stderr
    facts = json.loads((tmp_path / "facts.json").read_text())
    expected = tifffile.imread(ended[0] / "cli" / "cell.tif")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "replaced.tif"), expected)
    if (way, mode) == ("shims", "headless"):  # it cannot make a new image the active one
        assert facts["title"] is None
        assert facts["refused"] is not None
    else:
        assert facts["title"] == "cell_restored.tif"
        np.testing.assert_array_equal(tifffile.imread(tmp_path / "restored.tif"), expected)
    assert facts["figures"] == "1"
    assert facts["after an error"] is None
    if way == "python":
        assert 'did you mean "model"' in facts["error"]
        assert "denoise-2d" in facts["models"].split(",")
        assert facts["several"] == ["MAX_Stack_restored", None]
        for number, name in enumerate(("cell", "truth", "cell", "cell", "truth")):
            np.testing.assert_array_equal(
                tifffile.imread(tmp_path / f"several{number}.tif"),
                tifffile.imread(ended[0] / "cli" / f"{name}.tif"),
            )


def shim_folder(parent, name, age=0.0):
    """What a shim makes before it starts Python, last used `age` seconds ago."""
    folder = parent / name
    folder.mkdir()
    (folder / "image.tif").touch()
    for path in (folder / "image.tif", folder):
        os.utime(path, (time.time() - age, time.time() - age))
    return folder


def models_by_shim(folder):
    """The call of a shim for CARE Models."""
    words = ["options=", "title=", "source=0", "part=", "virtual=0", "headless=false"]
    return [sys.executable, "-m", "care_bridge", "fiji", "shim", "CARE Models", str(folder), *words]


def wait_for(file):
    end = time.monotonic() + 30
    while not file.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_what_ended_calls_left_is_removed(tmp_path):
    left = shim_folder(tmp_path, "care_bridge-1700000000000-1", 7200)
    living = shim_folder(tmp_path, "care_bridge-1700000000000-2", 60)
    other = shim_folder(tmp_path, "care_bridge-notes", 7200)
    own = shim_folder(tmp_path, "care_bridge-1700000000000-3")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(models_by_shim(own), env=os.environ | cache):
        wait_for(own / "answer.ijm")
        (own / "taken.txt").touch()
    run_cli("worker", "--stop", **cache)
    assert "denoise-2d" in (own / "answer.ijm").read_text()
    assert not left.exists()
    assert living.exists()
    assert other.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are of POSIX")
def test_ctrl_c_in_the_terminal_leaves_no_image(tmp_path):
    own = shim_folder(tmp_path, "care_bridge-1700000000000-3")
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache"), "OMP_NUM_THREADS": "1"}
    client = subprocess.Popen(models_by_shim(own), env=os.environ | cache)
    wait_for(tmp_path / "cache" / "care_bridge" / "worker.json")
    client.send_signal(signal.SIGINT)
    assert client.wait(30) == 130
    run_cli("worker", "--stop", **cache)
    assert not own.exists()
