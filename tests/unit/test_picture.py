"""The PNG montage, read back with Pillow."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from care_bridge.errors import ImageError
from care_bridge.images.picture import enlarged, to_grey, write_panels


def read(path: Path) -> np.ndarray:
    with Picture.open(path) as picture:
        assert picture.mode == "L"
        return np.asarray(picture)


def find(montage: np.ndarray, panel: np.ndarray) -> list[tuple[int, int]]:
    """Every (y, x) where `panel` lies in the montage, pixel for pixel."""
    windows = np.lib.stride_tricks.sliding_window_view(montage, panel.shape)
    return [tuple(map(int, place)) for place in np.argwhere((windows == panel).all(axis=(2, 3)))]


RAMP = np.tile(np.arange(40, dtype=np.uint8), (30, 1)) * 5


def test_panels_lie_side_by_side_and_keep_their_pixels(tmp_path: Path) -> None:
    path = tmp_path / "panels.png"
    write_panels(path, [("before", RAMP), ("after", RAMP[::-1, ::-1])], limits=(0, 255))
    montage = read(path)
    (before,), (after,) = find(montage, RAMP), find(montage, RAMP[:, ::-1])
    assert before[0] == after[0]
    assert after[1] >= before[1] + RAMP.shape[1]


def test_labels_are_drawn(tmp_path: Path) -> None:
    write_panels(tmp_path / "named.png", [("noisy", RAMP)])
    write_panels(tmp_path / "bare.png", [("", RAMP)])
    named, bare = read(tmp_path / "named.png"), read(tmp_path / "bare.png")
    changed = np.argwhere(named != bare)
    assert len(changed) > 50
    assert changed[:, 0].max() < find(bare, to_grey(RAMP))[0][0]


def test_columns_break_rows(tmp_path: Path) -> None:
    path = tmp_path / "grid.png"
    panels = [("", np.full((8, 9), level, np.float32)) for level in (10, 20, 30, 40)]
    write_panels(path, panels, limits=(0, 255), columns=2)
    montage = read(path)
    places = [find(montage, np.full((8, 9), level, np.uint8))[0] for level in (10, 20, 30, 40)]
    assert places[0][0] == places[1][0] < places[2][0] == places[3][0]
    assert places[0][1] == places[2][1] < places[1][1] == places[3][1]


@pytest.mark.parametrize(
    ("limits", "expected"),
    [
        pytest.param((0, 100), [0, 128, 255, 255], id="common"),
        pytest.param((50, 100), [0, 0, 255, 255], id="clipped"),
    ],
)
def test_limits_go_to_black_and_white(limits: tuple[float, float], expected: list[int]) -> None:
    assert to_grey(np.array([[-10, 50, 100, 400]], np.float32), limits).tolist() == [expected]


def test_own_contrast_does_not_depend_on_the_images_scale() -> None:
    image = np.random.default_rng(0).normal(size=(64, 64))
    np.testing.assert_allclose(to_grey(image), to_grey(image * 1000 + 7), atol=1)


def test_blank_panel_is_black() -> None:
    assert not to_grey(np.full((4, 4), 9.0)).any()


@pytest.mark.parametrize(
    ("shape", "least", "times"),
    [
        pytest.param((2, 3), 6, 2, id="exactly"),
        pytest.param((3, 2), 7, 3, id="more"),
        pytest.param((9, 4), 6, 1, id="large enough"),
    ],
)
def test_small_images_are_enlarged(shape: tuple[int, int], least: int, times: int) -> None:
    image = np.arange(np.prod(shape)).reshape(shape)
    np.testing.assert_array_equal(enlarged(image, least), np.kron(image, np.ones((times, times))))


def test_failed_write_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "taken.png").mkdir()
    with pytest.raises(ImageError, match=r"taken\.png"):
        write_panels(tmp_path / "taken.png", [("", RAMP)])
    assert [entry.name for entry in tmp_path.iterdir()] == ["taken.png"]
