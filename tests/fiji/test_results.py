"""What the bundled macros and CARE Restore's results are, in the real ImageJ without a window and
in its window: pixel for pixel those of `care-bridge restore`."""

import csv
import json

import numpy as np
import pytest
import tifffile

from care_bridge.bundled import bundled_folder
from care_bridge.evaluation.metrics import care_figures
from care_bridge.images import open_image
from tests.fiji.conftest import run_child, run_cli

pytestmark = pytest.mark.fiji
LUTS = np.random.default_rng(0).integers(0, 256, (2, 3, 256)).astype(np.uint8)
WINDOW = np.s_[20:52, 30:78]


def noisy(shape, dtype, seed):
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    clean = np.broadcast_to(800 * (1.1 + np.sin(y / 7) * np.cos(x / 9)), shape)
    return np.random.default_rng(seed).poisson(clean).astype(dtype)


# Name: macro. {name}: an image; {out}: folder of what is saved; {m}: the model; [ ]: see bundled.
MACROS = {
    "active": 'open("{cell}"); runMacro("{Restore_Active_Image}", "model=[{m}]");'
    'saveAs("Tiff", "{out}/active.tif"); return getTitle();',
    "opened": 'runMacro("{Restore_Image}", "input=[{cell}] output=[{out}/opened.tif] model=[{m}] '
    'percentile_low=5");',
    "folder": 'runMacro("{Batch_Restore}", "input=[{movies}] output=[{out}/folder] model=[{m}] '
    'axes=TYX");',
    "movies": 'runMacro("{Batch_Restore_Timelapse}", '
    '"input=[{movies}] output=[{out}/movies] model=[{m}]");',
    "selection": 'runMacro("{Restore_Selection}", "input=[{cell}] x=30 y=20 width=48 height=32 '
    'model=[{m}] output=[{out}/selection.tif]");',
    "no-selection": 'runMacro("{Restore_Selection}", "input=[{cell}] model=[{m}]");',
    "misspelt": 'return runMacro("{Restore_Image}", '
    '"input=[{cell}] outptu=[{out}/misspelt.tif] model=[{m}]");',
    "of-the-command": 'return runMacro("{Restore_Selection}", '
    '"input=[{cell}] x=1 y=1 width=9 height=9 percentil_low=3 model=[{m}]");',
    "projection": 'runMacro("{Maximum_Project_And_Restore}", '
    '"input=[{stack}] model=[{m}] output=[{out}/projection.tif]");',
    "comparison": 'runMacro("{Compare_Before_After}", "input=[{cell}] model=[{m}] '
    'output=[{out}/panels.png] profile=[{out}/profile.csv]"); return "" + getWidth();',
    "evaluation": 'runMacro("{Evaluate_Against_Truth}", "input=[{cell}] truth=[{good}] '
    'model=[{m}] output=[{out}/figures.csv]");',
    "replaced": 'open("{hyperstack}"); Stack.setPosition(2, 4, 3); setMetadata("Label", "mine");'
    'makePoint(3, 4); Overlay.addSelection; run("Select None");'
    'run("CARE Restore", "model=[{m}] result=replace");'
    'Stack.getPosition(c, z, t); label = getMetadata("Label"); Stack.getDisplayMode(mode);'
    'count = Overlay.size; saveAs("Tiff", "{out}/replaced.tif");'
    'return "" + nImages + " " + c + " " + z + " " + t + " " + label + " " + mode + " " + count;',
    "second": 'open("{hyperstack}"); run("CARE Restore", "model=[{m}] channels=2");'
    'saveAs("Tiff", "{out}/second.tif");',
    "composite": 'open("{cell}"); run("CARE Restore", "model=[{m}] result=composite suffix=_both");'
    'title = getTitle(); Stack.getDisplayMode(mode); saveAs("Tiff", "{out}/composite.tif");'
    'return title + " " + mode;',
    "crop": 'open("{hyperstack}"); makeRectangle(8, 4, 16, 12); Overlay.addSelection;'
    'makeRectangle(5, 3, 24, 16); run("CARE Restore", "model=[{m}]");'
    'saveAs("Tiff", "{out}/crop.tif"); Overlay.activateSelection(0);'
    'getSelectionBounds(x, y, w, h); return "" + x + " " + y;',
    "preview": 'open("{cell}"); makeRectangle(30, 20, 48, 32);'
    'run("CARE Preview", "model=[{m}] percentiles=[; 5,99]");'
    'saveAs("Tiff", "{out}/preview.tif"); return "" + Overlay.size;',
    "models": 'run("CARE Models"); run("CARE Models", "add=[{m}] name=mine");'
    'run("CARE Macro Extensions"); return Ext.CARE_models();',
    "functions": 'run("CARE Macro Extensions"); psnr = 0; ssim = 0; nrmse = 0; low = 0; high = 0;'
    'title = Ext.CARE_restore("{cell}", "model=[{m}]");'
    'Ext.CARE_compare(title, "{good}", psnr, ssim, nrmse);'
    'Ext.CARE_levels("{cell}", "model=[{m}] percentile_low=10 percentile_high=90", low, high);'
    'return title + " " + Ext.CARE_models() + " " + Ext.CARE_device("model=[{m}] device=cpu") + '
    '" " + psnr + " " + ssim + " " + nrmse + " " + low + " " + high;',
    "virtual": 'run("TIFF Virtual Stack...", "open=[{stack}]"); run("CARE Restore", "model=[{m}]");'
    'saveAs("Tiff", "{out}/virtual.tif");',
}


@pytest.fixture(scope="module")
def images(tmp_path_factory):
    folder = tmp_path_factory.mktemp("images of mine")
    cell = noisy((100, 120), np.uint16, 0)
    good = 800 * (1.1 + np.sin(np.mgrid[:100, :120][0] / 7) * np.cos(np.mgrid[:100, :120][1] / 9))
    tifffile.imwrite(folder / "cell.tif", cell, imagej=True)
    tifffile.imwrite(folder / "good.tif", good.astype(np.float32), imagej=True)
    stack = noisy((5, 60, 70), np.uint16, 1)
    tifffile.imwrite(folder / "stack.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    tifffile.imwrite(
        folder / "hyperstack.tif",
        noisy((5, 9, 2, 31, 45), np.uint16, 2) + 200,
        imagej=True,
        resolution=(4, 4),
        metadata={
            "axes": "TZCYX",
            "unit": "um",
            "spacing": 2.0,
            "finterval": 1.5,
            "mode": "composite",
            "LUTs": list(LUTS),
            "Ranges": (0.0, 3000.0, 100.0, 2000.0),
        },
    )
    (folder / "movies").mkdir()
    bleaching = noisy((4, 50, 60), np.uint16, 3) / np.arange(1, 5)[:, None, None]
    tifffile.imwrite(
        folder / "movies" / "a.tif",
        bleaching.astype(np.uint16),
        photometric="minisblack",
        metadata=None,
    )
    tifffile.imwrite(folder / "projection.tif", stack.max(axis=0), imagej=True)
    return folder


@pytest.fixture(scope="module", params=["headless", "gui"])
def ended(images, installation, package, request, tmp_path_factory):
    """How each macro ended, and the folder of what they saved."""
    folder = tmp_path_factory.mktemp("macros")
    environment = {"XDG_DATA_HOME": str(folder / "data")}
    if request.param == "gui":
        environment["DISPLAY"] = request.getfixturevalue("display")
    places = {path.stem: path for path in bundled_folder("fiji_macros").glob("*.ijm")}
    places |= {path.stem: path for path in images.iterdir()}
    places |= {"out": folder, "m": package}
    macros = {}
    for name, code in MACROS.items():
        for key, place in places.items():
            code = code.replace(f"{{{key}}}", str(place))
        macros[name] = code + '\nclose("*");' if "return" not in code else code
    (folder / "macros.json").write_text(json.dumps(macros))
    child = run_child("run_macros.py", installation, request.param, folder, **environment)
    assert child.returncode == 0, child.stderr
    told = (child.stdout + child.stderr).splitlines()
    told += json.loads((folder / "shown.json").read_text())
    return folder, json.loads((folder / "ended.json").read_text()) | {"told": told}


@pytest.fixture(scope="module")
def restored(images, package, tmp_path_factory):
    """What the command line makes of an image."""
    folder = tmp_path_factory.mktemp("restored")
    done = {}

    def by_cli(name, *options):
        key = (name, *options)
        if key not in done:
            out = folder / f"{len(done)}.tif"
            arguments = ("restore", images / name, "--model", package, "--out", out, *options)
            run = run_cli(*arguments)
            assert run.returncode == 0, run.stderr
            done[key] = open_image(out)
        return done[key]

    return by_cli


def saved(ended, name):
    folder, ends = ended
    case = name.partition(".")[0]
    assert case not in ends or ends[case]["error"] is None, ends[case]
    return open_image(folder / name)


def same(one, other):
    assert one.axes == other.axes
    assert one.pixels.dtype == other.pixels.dtype
    np.testing.assert_array_equal(one.pixels, other.pixels)


def test_the_active_image(ended, restored):
    same(saved(ended, "active.tif"), restored("cell.tif"))


def test_an_image_that_is_opened(ended, restored):
    same(saved(ended, "opened.tif"), restored("cell.tif", "--percentile-low", "5"))


def test_a_folder(ended, restored):
    expected = restored("movies/a.tif", "--axes", "TYX")
    np.testing.assert_array_equal(open_image(ended[0] / "folder/a.tif").pixels, expected.pixels)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("misspelt", "There is no output: give output=[/path/to/result.tif]."),
        ("of-the-command", 'there is no option "percentil_low": did you mean "percentile_low"?'),
    ],
)
def test_a_misspelt_key_of_a_bundled_macro_is_told(ended, name, words):
    folder, ends = ended
    assert ends[name]["returned"] == "[aborted]"
    assert sum(words in line for line in ends["told"]) == 1
    assert not (folder / f"{name}.tif").exists()


def test_movies_by_frame(ended, restored):
    folder, ends = ended
    assert ends["movies"]["error"] is None, ends["movies"]
    expected = restored("movies/a.tif", "--axes", "TYX", "--normalize", "per-frame")
    np.testing.assert_array_equal(open_image(folder / "movies" / "a.tif").pixels, expected.pixels)


def near(crop, whole):
    """Tiles of other places round otherwise: by one grey level, seldom."""
    assert crop.shape == whole.shape
    difference = np.abs(crop.astype(int) - whole.astype(int))
    assert difference.max() <= 1
    assert np.mean(difference > 0) < 0.001


def test_a_selection_is_the_crop_of_the_whole(ended, restored):
    near(saved(ended, "selection.tif").pixels, restored("cell.tif").pixels[WINDOW])


def test_no_selection_is_told(ended):
    _, ends = ended
    assert ends["no-selection"]["returned"] is None


def test_a_projection(ended, restored):
    same(saved(ended, "projection.tif"), restored("projection.tif"))


def test_panels_and_profile(ended, images, restored):
    folder, ends = ended
    assert ends["comparison"]["returned"] == str(2 * 120 + 2)
    assert (folder / "panels.png").stat().st_size > 1000
    rows = list(csv.DictReader((folder / "profile.csv").open()))
    for column, image in (
        ("before", open_image(images / "cell.tif")),
        ("after", restored("cell.tif")),
    ):
        line = [float(row[column]) for row in rows]
        np.testing.assert_allclose(line, image.pixels[50, : len(line)], atol=0.01)
        assert len(line) >= 119


def test_figures_against_a_truth(ended, images, restored):
    folder, ends = ended
    assert ends["evaluation"]["error"] is None, ends["evaluation"]
    rows = list(csv.DictReader((folder / "figures.csv").open()))
    good = open_image(images / "good.tif").pixels
    for row, image in zip(
        rows, (open_image(images / "cell.tif"), restored("cell.tif")), strict=True
    ):
        figures = care_figures(image.pixels, good)
        assert float(row["PSNR"]) == pytest.approx(figures.psnr, abs=1e-3)
        assert float(row["SSIM"]) == pytest.approx(figures.ssim, abs=1e-3)
        assert float(row["NRMSE"]) == pytest.approx(figures.nrmse, abs=1e-3)


def test_a_hyperstack_in_place_keeps_all_but_its_pixels(ended, images, restored):
    source, replaced = open_image(images / "hyperstack.tif"), saved(ended, "replaced.tif")
    same(replaced, restored("hyperstack.tif"))
    assert replaced.pixels.shape == (5, 9, 2, 31, 45)
    assert replaced.calibration.unit == source.calibration.unit == "µm"
    assert replaced.calibration.voxel_size == pytest.approx(source.calibration.voxel_size)
    assert replaced.calibration.frame_interval == 1.5
    np.testing.assert_array_equal(replaced.display.luts, LUTS.transpose(0, 2, 1))
    assert replaced.display.ranges == ((0.0, 3000.0), (100.0, 2000.0))
    _, ends = ended
    assert ends["replaced"]["returned"] == "1 2 4 3 mine composite 1"


def test_one_channel_on_request(ended, restored):
    second = saved(ended, "second.tif").pixels
    np.testing.assert_array_equal(second, restored("hyperstack.tif").pixels[:, :, 1])


def test_raw_and_restored_over_each_other(ended, images, restored):
    both = saved(ended, "composite.tif")
    np.testing.assert_array_equal(both.pixels[0], open_image(images / "cell.tif").pixels)
    np.testing.assert_array_equal(both.pixels[1], restored("cell.tif").pixels)
    _, ends = ended
    assert ends["composite"]["returned"] == "cell_both.tif composite"


def test_a_crop_of_a_hyperstack_with_its_overlay(ended, restored):
    crop = saved(ended, "crop.tif").pixels
    near(crop, restored("hyperstack.tif").pixels[..., 3:19, 5:29])
    _, ends = ended
    assert ends["crop"]["returned"] == "3 1"


def test_a_preview_is_what_the_result_will_be(ended, images, restored):
    panels = np.split(saved(ended, "preview.tif").pixels, 3, axis=-1)
    np.testing.assert_array_equal(panels[0], open_image(images / "cell.tif").pixels[WINDOW])
    near(panels[1], restored("cell.tif").pixels[WINDOW])
    options = ("--percentile-low", "5", "--percentile-high", "99")
    near(panels[2], restored("cell.tif", *options).pixels[WINDOW])
    assert ended[1]["preview"]["returned"] == "3"


def test_functions_return_values(ended, images, restored):
    end = ended[1]["functions"]
    assert end["error"] is None, end
    title, models, device, *numbers = end["returned"].split()
    assert (title, device) == ("cell_restored.tif", "cpu")
    assert "denoise-2d" in models.split(",")
    cell, good = (open_image(images / name).pixels for name in ("cell.tif", "good.tif"))
    figures = care_figures(restored("cell.tif").pixels, good)
    levels = np.percentile(cell, [10, 90])
    expected = [figures.psnr, figures.ssim, figures.nrmse, *levels]
    # ImageJ writes a number with four decimal places.
    assert list(map(float, numbers)) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def test_a_package_is_added_to_the_models(ended):
    folder, ends = ended
    assert {"mine", "denoise-2d"} <= set(ends["models"]["returned"].split(","))
    (kept,) = (folder / "data").rglob("*.zip")
    assert kept.name == "mine.zip"


def test_the_device_is_told_once_for_all_options(ended):
    _, ends = ended
    assert sum(line.startswith("device: cpu") for line in ends["told"]) == 1


def test_a_virtual_stack(ended, restored):
    same(saved(ended, "virtual.tif"), restored("stack.tif"))


def test_a_virtual_stack_may_be_larger_than_javas_memory(package, tmp_path):
    stack = np.tile(noisy((1024, 1024), np.uint16, 7), (40, 1, 1))
    stack += np.arange(40, dtype=np.uint16)[:, None, None]
    tifffile.imwrite(tmp_path / "large.tif", stack, imagej=True, metadata={"axes": "ZYX"})
    virtual = f'run("TIFF Virtual Stack...", "open=[{tmp_path}/large.tif]");'
    restore = f'run("CARE Restore", "model=[{package}]");'
    macros = {
        "part": f"{virtual} makeRectangle(200, 300, 64, 48); {restore}"
        f'saveAs("Tiff", "{tmp_path}/part.tif"); close("*");',
        "whole": virtual + restore,
    }
    (tmp_path / "macros.json").write_text(json.dumps(macros))
    child = run_child("run_macros.py", "", "headless", tmp_path, JAVA_TOOL_OPTIONS="-Xmx64m")
    ends = json.loads((tmp_path / "ended.json").read_text())
    assert ends["part"]["error"] is None, child.stderr
    # The same from a part of the stack with more than the halo around it.
    low, high = np.percentile(stack, [2, 99.8])
    around = tmp_path / "around.tif"
    tifffile.imwrite(around, stack[:3, 200:448, 100:364], imagej=True, metadata={"axes": "ZYX"})
    levels = f"{float(low)!r},{float(high)!r}"
    done = run_cli(
        "restore", around, "--model", package, "--normalize", levels, "--out", tmp_path / "by_cli"
    )
    assert done.returncode == 0, done.stderr
    expected = tifffile.imread(tmp_path / "by_cli" / "around.tif")[:, 100:148, 100:164]
    near(tifffile.imread(tmp_path / "part.tif")[:3], expected)
    assert "the result needs 80 MiB and ImageJ has" in ends["whole"]["message"]
    assert "use CARE Batch Restore, which writes it to the disk" in ends["whole"]["message"]
