"""The commands in ImageJ's real window: menu, dialog, Recorder, Escape, Process > Batch > Macro."""

import json
import time

import numpy as np
import pytest
import tifffile

from tests.fiji.conftest import run_child, run_cli

pytestmark = pytest.mark.fiji


def noisy(size, seed):
    y, x = np.mgrid[:size, :size]
    clean = 800 * (1.1 + np.sin(y / 7) * np.cos(x / 9))
    return np.random.default_rng(seed).poisson(clean).astype(np.uint16)


@pytest.fixture(scope="module")
def used(installation, package, display, tmp_path_factory):
    folder = tmp_path_factory.mktemp("window")
    (folder / "in").mkdir()
    tifffile.imwrite(folder / "cell.tif", noisy(120, 0), imagej=True)
    tifffile.imwrite(folder / "large.tif", noisy(3000, 1), imagej=True)
    (folder / "large").mkdir()
    tifffile.imwrite(folder / "large" / "b.tif", noisy(3000, 1), imagej=True)
    for number in (1, 2):
        tifffile.imwrite(folder / "in" / f"cell{number}.tif", noisy(100, number), imagej=True)
    # Process > Batch > Macro leaves a file in the working folder of a plain ImageJ.
    child = run_child("window.py", installation, package, folder, folder=folder, DISPLAY=display)
    ended = time.time()
    assert child.returncode == 0, child.stderr
    return folder, json.loads((folder / "facts.json").read_text()), child, ended


@pytest.fixture(scope="module")
def expected(used, package):
    """What the command line makes of the same images."""
    folder, _, _, _ = used
    for arguments in (
        (folder / "cell.tif", "--percentile-low", "5", "--out", folder / "cell_by_cli.tif"),
        (folder / "in", "--out", folder / "by_cli"),
    ):
        done = run_cli("restore", *arguments, "--model", package)
        assert done.returncode == 0, done.stderr
    return folder


def test_the_menu_has_every_command(used):
    _, facts, _, _ = used
    assert facts["menu"] == [
        "CARE Restore",
        "CARE Batch Restore",
        "CARE Preview",
        "CARE Evaluate",
        "CARE Check Model",
        "CARE Models",
        "CARE Macro Extensions",
    ]


def test_the_dialog_gives_what_the_command_line_gives(used, expected):
    by_dialog = np.load(expected / "by_dialog.npy")
    np.testing.assert_array_equal(by_dialog, tifffile.imread(expected / "cell_by_cli.tif"))
    _, facts, _, _ = used
    assert facts["title"] == "cell_restored.tif"
    assert facts["changes"]


def test_the_recorder_writes_what_differs_from_the_defaults(used, package):
    _, facts, _, _ = used
    told = f'run("CARE Restore", "model=[{package}] percentile_low=[5]");'
    assert told in facts["recorded"].splitlines()


def test_a_recorded_macro_asks_nothing_and_gives_the_same_pixels(used):
    folder, facts, _, _ = used
    assert facts["asked"] == []
    np.testing.assert_array_equal(
        np.load(folder / "by_recorded.npy"), np.load(folder / "by_dialog.npy")
    )


def test_a_wrong_entry_is_told_and_can_be_mended(used):
    _, facts, _, _ = used
    assert 'did you mean "denoise-2d"' in facts["told"]
    assert facts["again"] == "denois-2d"
    assert facts["after_cancel"] == 1


def test_escape_ends_a_restoration_at_once_and_all_goes_on(used):
    _, facts, _, _ = used
    assert "CARE Restore: " in facts["status"]
    assert "tiles (Esc cancels)" in facts["status"]
    assert facts["escape_seconds"] < 3
    assert facts["after_escape"] == 1
    assert facts["usable"] == 2


def test_escape_ends_a_batch_and_leaves_nothing_half_written(used):
    folder, _, _, _ = used
    assert [path.name for path in (folder / "half").rglob("*.tif")] == []
    assert list((folder / "half").rglob("*.partial")) == []


def test_a_replaced_image_asks_to_be_saved_and_can_be_brought_back(used):
    folder, facts, _, _ = used
    assert facts["replaced_changes"]
    assert facts["replaced_undone"]
    np.testing.assert_array_equal(
        np.load(folder / "undone.npy"), tifffile.imread(folder / "cell.tif")
    )


def test_in_batch_mode_no_image_is_shown(used):
    folder, facts, _, _ = used
    assert facts["shown_in_batch_mode"] == 0
    np.testing.assert_array_equal(
        tifffile.imread(folder / "hidden.tif"), tifffile.imread(folder / "hidden_too.tif")
    )


def test_an_image_closed_during_the_run_is_told(used):
    _, facts, _, _ = used
    assert "closed while it was restored" in facts["closed"]


def test_process_batch_macro_restores_a_folder(used, expected):
    for name in ("cell1.tif", "cell2.tif"):
        np.testing.assert_array_equal(
            tifffile.imread(expected / "out" / name), tifffile.imread(expected / "by_cli" / name)
        )


def test_the_process_ends_when_the_window_was_closed(used):
    _, _, child, ended = used
    assert ended - float(child.stdout.split()[-1]) < 5
