"""Who is ended by an error, by Escape and by closing ImageJ's window, where several things run."""

import json

import numpy as np
import pytest
import tifffile

from tests.fiji.conftest import run_child

pytestmark = pytest.mark.fiji


@pytest.fixture(scope="module")
def ended(installation, package, display, tmp_path_factory):
    folder = tmp_path_factory.mktemp("ends")
    noise = np.random.default_rng(0).integers(0, 4000, (3000, 3000)).astype(np.uint16)
    tifffile.imwrite(folder / "large.tif", noise, imagej=True)
    child = run_child("ends.py", installation, package, folder, folder=folder, DISPLAY=display)
    return child, json.loads((folder / "ended.json").read_text())


def test_an_error_ends_the_macro_that_called_and_no_other(ended):
    _, facts = ended
    assert 'no option "modle"' in facts["error"]
    assert "first went on" not in facts["log"]
    assert "second ended" in facts["log"]


def test_a_macro_whose_restoration_was_cancelled_does_not_go_on(ended):
    _, facts = ended
    assert "first went on" not in facts["log"]


def test_closing_the_window_cancels_what_is_restored(ended):
    child, _ = ended
    assert child.returncode == 0, child.stderr
