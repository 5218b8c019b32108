"""What is said of training data, on data with known faults."""

from __future__ import annotations

import re
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from care_bridge.simulation.recipe_file import load_recipe
from care_bridge.simulation.simulated_pair import simulate_pair
from care_bridge.training.config import load_config
from care_bridge.training.dataset import open_dataset
from care_bridge.training.registration import find_shift
from care_bridge.training.survey import SHIFT_LIMIT, Survey, survey
from tests.training_pairs import blobs, write_image, write_pairs

SMALL = "patches.size=[32, 32]"


def look(data: Path, *settings: str) -> Survey:
    config = load_config(None, [SMALL, *settings])
    return survey(open_dataset(data, config, data.parent / "scratch"))


def frames(shape: tuple[int, ...], shift: tuple[int, ...]) -> SimpleNamespace:
    """A noisy source and a target that lies `shift` pixels behind it."""
    rng = np.random.default_rng(2)
    scene = blobs(tuple(size + 40 for size in shape), rng)
    seen = scene[tuple(slice(20, 20 + size) for size in shape)]
    target = scene[
        tuple(slice(20 - move, 20 - move + size) for size, move in zip(shape, shift, strict=True))
    ]
    return SimpleNamespace(source=rng.poisson(seen / 60)[None], target=target[None])


@pytest.mark.parametrize(
    ("shape", "shift"),
    [
        pytest.param((128, 160), (0, 0), id="none"),
        pytest.param((128, 160), (3, -2), id="both-axes"),
        pytest.param((128, 160), (0, 12), id="far"),
        pytest.param((16, 64, 64), (1, -4, 2), id="volume"),
    ],
)
def test_shifts_are_found_in_noise(shape: tuple[int, ...], shift: tuple[int, ...]) -> None:
    found = find_shift(frames(shape, shift))
    assert found.clear
    np.testing.assert_allclose(found.pixels, shift, atol=0.5)


def test_unrelated_images_are_not_alike_and_have_no_shift() -> None:
    rng = np.random.default_rng(3)
    pair = SimpleNamespace(
        source=rng.normal(size=(1, 128, 128)), target=blobs((128, 128), rng)[None]
    )
    found = find_shift(pair)
    assert not found.clear
    assert not found.alike


@pytest.mark.parametrize("kind", ["nuclei", "membranes", "tubules", "granules", "spheres"])
def test_right_partners_in_little_light_are_told_from_wrong_ones(kind: str) -> None:
    """Three photons in the brightest pixels. Of eight exchanged pairs one may look alike by chance;
    no other is called shifted."""
    recipe = load_recipe(None, kind, ["size=[128,128]", "exposure.photons=3"])
    made = [simulate_pair(recipe, number) for number in range(8)]
    sources = [pair.sources[0].pixels[None] for pair in made]
    targets = [pair.target.pixels[None] for pair in made]
    right = [
        find_shift(SimpleNamespace(source=source, target=target))
        for source, target in zip(sources, targets, strict=True)
    ]
    assert all(found.alike and found.length <= SHIFT_LIMIT for found in right)
    wrong = [
        find_shift(SimpleNamespace(source=source, target=target))
        for source, target in zip(sources, targets[1:] + targets[:1], strict=True)
    ]
    assert sum(found.alike for found in wrong) <= 1
    assert not any(found.length for found in wrong)


def test_a_negative_is_alike() -> None:
    """As the fluorescence of what is dark in transmitted light."""
    scene = blobs((128, 128), np.random.default_rng(5))[None]
    noisy = np.random.default_rng(6).poisson((4000 - scene) / 100)
    found = find_shift(SimpleNamespace(source=noisy, target=scene))
    assert found.alike
    assert found.length <= SHIFT_LIMIT


@pytest.mark.parametrize("number", [0, 7])
def test_light_from_beyond_the_borders_is_no_shift(number: int) -> None:
    """The structure against its wide-field image in few slices: out-of-focus light moves the
    highest correlation, in each quarter elsewhere. A true shift of all quarters is found."""
    settings = ["size=[16,96,96]", "target.image=structure", "target.background=false"]
    made = simulate_pair(load_recipe(None, "nuclei", settings), number)
    source, target = made.sources[0].pixels[None], made.target.pixels[None]
    straight = find_shift(SimpleNamespace(source=source, target=target))
    assert straight.length <= SHIFT_LIMIT < max(map(abs, straight.pixels))
    moved = find_shift(SimpleNamespace(source=source, target=np.roll(target, 4, axis=-1)))
    assert moved.length == pytest.approx(4, abs=1)


def test_a_flat_target_that_was_computed_is_not_saturated(tmp_path: Path) -> None:
    """Disks of one level between whole numbers; whole numbers of a camera may be saturated."""
    data = write_pairs(tmp_path / "data", 3, (96, 96))
    y, x = np.mgrid[:96, :96]
    disks = np.where((y % 24 - 12) ** 2 + (x % 32 - 16) ** 2 < 60, 500.3, 100.1)
    for name, target in (("im0.tif", disks), ("im1.tif", np.rint(disks))):
        write_image(data / "GT" / name, target.astype(np.float32))
    warnings = look(data).warnings
    assert [warning.split(":")[0] for warning in warnings if "saturated" in warning] == ["im1.tif"]


def test_good_data_has_no_warnings(tmp_path: Path) -> None:
    found = look(write_pairs(tmp_path / "data", 5, (96, 96)), "data.validation=0.2")
    assert found.warnings == ()
    assert [file.part for file in found.files] == ["training"] * 4 + ["validation"]
    assert all(file.places == 65 * 65 for file in found.files)
    assert all(0 < file.centres <= file.places for file in found.files)


def test_patches_and_histograms_are_those_of_training(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", 4, (96, 96))
    found = look(data, "seed=5")
    dataset = open_dataset(data, load_config(None, [SMALL, "seed=5"]), tmp_path / "scratch")
    sources, _ = dataset.training_patches().batch(0)
    np.testing.assert_array_equal(found.patches[0][0], sources[0])
    for histogram in (found.before, found.after):
        assert 0.99 < histogram.source.sum() <= 1
        assert 0.99 < histogram.target.sum() <= 1
    assert found.before.edges[-1] > 500
    assert found.after.edges[-1] < 5


def faulty(data: Path, fault: str) -> Path:
    """Good pairs, and one with a fault: bad.tif."""
    write_pairs(data, 4, (96, 96))
    rng = np.random.default_rng(9)
    target = np.stack([blobs((96, 96), rng) for _ in range(3)])
    source = 100 + 5 * rng.poisson(target / 60)
    if fault == "shift":
        target = np.roll(target, 4, axis=-1)
    if fault == "saturated":
        source = np.minimum(source, np.percentile(source, 97))
    if fault == "blank":
        source[1] = 100
    for side, pixels in (("source", source), ("GT", target)):
        write_image(data / side / "bad.tif", pixels.astype(np.uint16), axes="TYX")
    return data


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        ("shift", "shifted by Y [+-]0.[0-3], X [+](3.[6-9]|4.[0-4]) pixels"),
        ("saturated", "[23].[0-9] % of the source is saturated"),
        ("blank", "blank source frames .1.: leave them out"),
    ],
)
def test_faults_are_told(tmp_path: Path, fault: str, message: str) -> None:
    found = look(faulty(tmp_path / "data", fault))
    (warning,) = found.warnings
    assert warning.startswith("bad.tif: ")
    assert re.search(message, warning), warning


def test_wrong_partners_are_told_in_one_line(tmp_path: Path) -> None:
    """Of six pairs of simulated nuclei three are exchanged; their chance peaks are no shifts."""
    recipe = load_recipe(None, "nuclei", ["size=[128,128]", "exposure.photons=20", "seed=5"])
    for number in range(6):
        made = simulate_pair(recipe, number)
        partner = {0: 1, 1: 2, 2: 0}.get(number, number)
        write_image(tmp_path / "data" / "source" / f"im{number}.tif", made.sources[0].pixels)
        write_image(tmp_path / "data" / "GT" / f"im{partner}.tif", made.target.pixels)
    (warning,) = look(tmp_path / "data").warnings
    names, told = warning.split(": ", maxsplit=1)
    assert sorted(names.split(", ")) == ["im0.tif", "im1.tif", "im2.tif"]
    assert told.startswith("source and target do not look alike: is it the right partner?")


def test_little_validation_is_warned_of(tmp_path: Path) -> None:
    data = write_pairs(tmp_path / "data", 3, (96, 96))
    large = blobs((400, 400), np.random.default_rng(1))
    write_image(data / "GT" / "large.tif", large)
    write_image(data / "source" / "large.tif", large / 2)
    for seed in range(20):
        found = look(data, f"seed={seed}")
        if [file.name for file in found.files if file.part == "validation"] != ["large.tif"]:
            break
    assert any("kept for validation" in warning for warning in found.warnings)
