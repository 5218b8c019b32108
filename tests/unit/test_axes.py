import numpy as np
import pytest

from care_bridge.axes import Axes, axes_from_rdf
from care_bridge.errors import AxesError


@pytest.mark.parametrize(
    ("letters", "says"),
    [
        ("YXQ", 'unknown letter "Q"'),
        ("YYX", "twice"),
        ("ZY", "lack Y or X"),
        ("", "lack Y or X"),
    ],
)
def test_unusable_axes_are_refused(letters, says):
    with pytest.raises(AxesError, match=says):
        Axes(letters)


def test_lower_case_is_understood():
    assert Axes("zyx") == "ZYX"


def test_transposing_moves_each_axis_with_its_pixels():
    pixels = np.arange(2 * 3 * 4).reshape(2, 3, 4)  # Z, X, Y
    moved = Axes("ZXY").to(pixels, "STCZYX")
    assert moved.shape == (1, 1, 1, 2, 4, 3)
    assert moved[0, 0, 0, 1, 3, 2] == pixels[1, 2, 3]
    assert np.shares_memory(moved, pixels)


def test_an_axis_of_length_one_may_be_dropped_but_no_other():
    assert Axes("CYX").to(np.zeros((1, 4, 5)), "YX").shape == (4, 5)
    with pytest.raises(AxesError, match="axis C of length 2"):
        Axes("CYX").to(np.zeros((2, 4, 5)), "YX")


def test_axes_and_shape_must_agree():
    with pytest.raises(AxesError, match="name 2 dimensions, but the image has 3"):
        Axes("YX").check((3, 4, 5))


def test_rdf_axis_ids():
    assert axes_from_rdf(["batch", "channel", "z", "y", "x"]) == "BCZYX"
    with pytest.raises(AxesError, match='axis "index"'):
        axes_from_rdf(["index", "y", "x"])
