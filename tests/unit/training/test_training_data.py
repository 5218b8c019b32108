"""From folders of pairs to stacks on disk: matching, splitting, checking, measuring."""

from __future__ import annotations

import re
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.errors import TrainingError
from care_bridge.images import Image
from care_bridge.images.source import ImageInMemory
from care_bridge.normalization import Percentiles
from care_bridge.package.package import load_package
from care_bridge.runtime.restorer import Restorer
from care_bridge.training.care import prepare
from care_bridge.training.config import load_config
from care_bridge.training.dataset import open_dataset, open_fields
from care_bridge.training.scales import measure_intensities
from tests.packages import tiny_package
from tests.training_pairs import blobs, opened_stacks, write_image, write_pairs

RNG = np.random.default_rng(4)
SPOTS = np.random.default_rng(5).random((64, 64)) < 0.001


def test_a_single_pair_is_split_by_area(tmp_path: Path) -> None:
    """The right tenth (20 of 200 pixels) is validated on, and never seen in training."""
    ramp = np.tile(np.arange(1, 201, dtype=np.uint16), (48, 1))
    for side, pixels in (("source", 2 * ramp), ("GT", ramp)):
        write_image(tmp_path / side / "ramp.tif", pixels)
    settings = ["patches.size=[16,16]", "patches.background=0", "normalization.mode=fixed"]
    task = prepare(tmp_path, load_config(None, settings), tmp_path / "scratch")
    scale = task.intensities.target[0]
    trained = scale.invert(np.stack([task.batch(k)[1] for k in range(20)]))
    validated = scale.invert(np.stack([target for _, target in task.validation]))
    assert 170 < round(trained.max()) <= 180
    assert (round(validated.min()), round(validated.max())) == (181, 200)


def test_a_single_pair_too_narrow_to_split_is_refused(tmp_path: Path) -> None:
    write_pairs(tmp_path, 1, (200, 48))
    config = load_config(None, ["patches.size=[32,32]"])
    with pytest.raises(TrainingError, match="48 pixels along X cannot be split"):
        prepare(tmp_path, config, tmp_path / "scratch")


def _bad_pair(folder: Path, source: np.ndarray, target: np.ndarray) -> Path:
    write_image(folder / "source" / "im.tif", source)
    write_image(folder / "GT" / "im.tif", target)
    return folder


GOOD = blobs((64, 64), RNG)
WITH_NAN = GOOD.copy()
WITH_NAN[3, 4] = np.nan


@pytest.mark.parametrize(
    ("source", "target", "axes", "expected"),
    [
        pytest.param(GOOD, GOOD[:60], "YX", "Y=64 X=64, its partner .*Y=60 X=64", id="shapes"),
        pytest.param(GOOD, GOOD.T[:12], "YX", "must show the same pixels", id="transposed"),
        pytest.param(GOOD[:12], GOOD[:12], "YX", "Y=12 X=64, smaller than the", id="small"),
        pytest.param(WITH_NAN, GOOD, "YX", "source/im.tif: .*1 pixels that are NaN", id="nan"),
        pytest.param(GOOD, WITH_NAN, "YX", "GT/im.tif: .*1 pixels that are NaN", id="nan-target"),
        pytest.param(GOOD * 0 + 7, GOOD, "YX", "source/im.tif has no contrast.* 7;", id="blank"),
        pytest.param(GOOD, GOOD, "ZYX", "no slices, the network expects ZYX", id="2d-for-3d"),
    ],
)
def test_a_bad_pair_is_named(
    tmp_path: Path, source: np.ndarray, target: np.ndarray, axes: str, expected: str
) -> None:
    _bad_pair(tmp_path, source, target)
    with pytest.raises(TrainingError, match=expected) as caught:
        opened_stacks(tmp_path, axes, (16, 16, 16)[-len(axes) :])
    assert "\n" not in str(caught.value)


STACK = np.tile(GOOD, (16, 1, 1))


@pytest.mark.parametrize(
    ("task", "source", "target", "remedy"),
    [
        pytest.param("care", GOOD, STACK, ", or set network.axes=YX", id="pictures"),
        pytest.param("care", STACK, GOOD, ", or .* take the task projection", id="projections"),
        pytest.param("projection", GOOD, GOOD, "", id="pictures-to-project"),
    ],
)
def test_pictures_for_a_network_of_stacks_are_told_with_what_helps(
    tmp_path: Path, task: str, source: np.ndarray, target: np.ndarray, remedy: str
) -> None:
    _bad_pair(tmp_path, source, target)
    size = "[16,16]" if task == "projection" else "[8,16,16]"
    config = load_config(None, [f"task={task}", f"patches.size={size}", "network.axes=ZYX"])
    with pytest.raises(TrainingError, match=rf"plain TIFF files\){remedy}$"):
        open_fields(tmp_path, config, tmp_path / "scratch")


def _with(pixels: np.ndarray, value: float) -> np.ndarray:
    spoiled = pixels.copy()
    spoiled[20, 30:33] = value
    return spoiled


@pytest.mark.parametrize(
    ("side", "share", "value", "settings"),
    [
        pytest.param("source", 0, 1e30, (), id="high"),
        pytest.param("source", 0, -1e30, (), id="low"),
        pytest.param("source", 0.05, -3.4e38, (), id="no-data-values"),
        pytest.param("source", 0.01, 1e30, ("normalization.mode=fixed",), id="fixed"),
        pytest.param("GT", 0, 1e30, (), id="target"),
        pytest.param("GT", 0.05, 1e30, ("normalization.target=source",), id="target-as-source"),
    ],
)
def test_pixels_no_network_can_compute_with_are_told(
    tmp_path: Path, side: str, share: float, value: float, settings: tuple[str, ...]
) -> None:
    bad = _with(GOOD, value)
    bad[RNG.random(bad.shape) < share] = value
    images = {"source": GOOD, "GT": GOOD, side: bad}
    _bad_pair(tmp_path, images["source"], images["GT"])
    with pytest.raises(TrainingError) as caught:
        opened_stacks(tmp_path, "YX", (16, 16), settings)
    told = str(caught.value)
    assert f"{side}/im.tif: the image has a pixel of {value:.4g}, " in told
    assert "replace such pixels" in told
    assert "\n" not in told


def test_hot_pixels_are_told_and_trained_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """65535 among 100, as a camera's: some 1300 times the 50 grey levels between percentiles."""
    hot = _with(RNG.poisson(100, (64, 64)), 65535).astype(np.uint16)
    for side in ("source", "GT"):
        for number in range(3):
            write_image(tmp_path / side / f"hot{number}.tif", hot, "YX")
    config = load_config(None, ["patches.size=[16,16]", "data.validation=0.3"])
    open_dataset(tmp_path, config, tmp_path / "scratch")
    [told] = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
    assert told.startswith("2 of 2 training images have pixels far out, first hot")
    found = re.search(r"a pixel of 6.554e\+04, (\S+) times", told)
    low, high = np.percentile(hot, [2, 99.8])
    assert found
    assert float(found[1]) == pytest.approx((65535 - high) / (high - low), rel=0.02)


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(RNG.poisson(100, (64, 64)), id="noise"),
        pytest.param(np.fmax(RNG.poisson(9, (64, 64)), 2000.0 * SPOTS), id="spots"),
        pytest.param(RNG.normal(0, 1e-6, (64, 64)), id="background-subtracted"),
    ],
)
def test_images_without_hot_pixels_are_trained_on_without_a_word(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, values: NDArray[np.generic]
) -> None:
    for side in ("source", "GT"):
        for number in range(2):
            write_image(tmp_path / side / f"im{number}.tif", values.astype(np.float32), "YX")
    config = load_config(None, ["patches.size=[16,16]", "data.validation=0.3"])
    open_dataset(tmp_path, config, tmp_path / "scratch")
    assert not [each for each in caplog.records if each.levelname == "WARNING"]


def test_all_images_need_the_same_channels(tmp_path: Path) -> None:
    write_pairs(tmp_path, 2, (32, 32))
    for side in ("source", "GT"):
        two = np.stack([blobs((32, 32), np.random.default_rng(0))] * 2)
        write_image(tmp_path / side / "two.tif", two, "CYX")
    with pytest.raises(TrainingError, match="two.tif has 2 channels"):
        prepare(tmp_path, load_config(None, ["patches.size=[16,16]"]), tmp_path / "scratch")


@pytest.mark.parametrize("told", [False, True])
def test_a_stack_among_pictures_is_refused_unless_its_slices_are_asked_for(
    tmp_path: Path, told: bool
) -> None:
    write_pairs(tmp_path, 2, (32, 32))
    for side in ("source", "GT"):
        write_image(tmp_path / side / "im2.tif", blobs((5, 32, 32), RNG), "ZYX")
    settings = ["patches.size=[16,16]", *["network.axes=YX"] * told]
    opening = partial(open_fields, tmp_path, load_config(None, settings), tmp_path / "scratch")
    if told:
        opened = opening()
        assert [len(opened.of([field])) for field in opened.pairing.fields] == [1, 1, 5]
        return
    expected = r"source/im2.tif has axes ZYX and 5 slices, the first .*network\.axes=YX"
    with pytest.raises(TrainingError, match=expected):
        opening()


def test_frames_are_images_of_their_own(tmp_path: Path) -> None:
    movie = RNG.integers(0, 60000, (3, 2, 40, 48)).astype(np.uint16)
    _write_movie(tmp_path, movie)
    stacks = opened_stacks(tmp_path, "YX", (16, 16))
    assert [stack.shape for stack in stacks] == [(40, 48)] * 3
    for frame, stack in zip(movie, stacks, strict=True):
        np.testing.assert_array_equal(stack.source.whole(), frame)


def _write_movie(folder: Path, movie: np.ndarray) -> None:
    for side in ("source", "GT"):
        write_image(folder / side / "movie.tif", movie, "TCYX")


def test_percentiles_are_those_of_the_whole_file_channel_by_channel(tmp_path: Path) -> None:
    movie = RNG.gamma(2, [[[900]], [[2500]]], (3, 2, 40, 48)).astype(np.uint16)
    _write_movie(tmp_path, movie)
    statistics = opened_stacks(tmp_path, "YX", (16, 16))[0].source_statistics
    for percent, exact in ((2, True), (99.8, True), (1.333, False), (99.71, False)):
        expected = np.percentile(movie, percent, axis=(0, 2, 3))
        # Between the tabulated percents the line is straight, which the image's are nearly.
        tolerance = 1e-12 if exact else 0.01 * np.ptp(movie)
        np.testing.assert_allclose(statistics.level(percent), expected, rtol=0, atol=tolerance)


def test_samples_are_images_of_their_own_scaled_as_restoring_scales_them(tmp_path: Path) -> None:
    samples = RNG.gamma(2, [[[[40]]], [[[900]]]], (2, 3, 40, 48)).astype(np.uint16)
    for side in ("source", "GT"):
        (tmp_path / side).mkdir()
        tifffile.imwrite(tmp_path / side / "two.tif", samples, photometric="minisblack")
    stacks = opened_stacks(tmp_path, "YX", (16, 16), ("data.axes=STYX",))
    assert [stack.name for stack in stacks] == [
        f"two.tif, sample {sample}" for sample in (0, 0, 0, 1, 1, 1)
    ]
    source = ImageInMemory(Image(samples, Axes("STYX")))
    plan = Restorer(tiny_package(tmp_path / "package")).plan(source)
    spec = load_package(tmp_path / "package").spec.normalization
    assert isinstance(spec, Percentiles)
    scales = [scales.before[0] for scales in plan.scales.all() for _ in range(3)]
    for stack, scale in zip(stacks, scales, strict=True):
        assert stack.source_statistics.level(spec.low) == pytest.approx(scale.lo)
        assert stack.source_statistics.level(spec.high) == pytest.approx(scale.hi)
    intensities = measure_intensities(stacks)
    assert intensities.source[0].offset == pytest.approx(samples.mean())


def test_a_target_of_two_sources_counts_once(tmp_path: Path) -> None:
    small, large = blobs((32, 32), RNG), blobs((64, 80), RNG) * 3
    for folder, name, pixels in (
        ("source_1", "a.tif", small),
        ("source_2", "a.tif", small * 2),
        ("source_1", "b.tif", large),
        ("GT", "a.tif", small),
        ("GT", "b.tif", large),
    ):
        write_image(tmp_path / folder / name, pixels)
    intensities = measure_intensities(opened_stacks(tmp_path, "YX", (16, 16)))
    sources, targets = ((small, 2 * small, large), (small, large))
    for found, images in ((intensities.source, sources), (intensities.target, targets)):
        pixels = np.concatenate([image.ravel() for image in images]).astype(np.float64)
        assert found[0].offset == pytest.approx(pixels.mean())
        assert found[0].gain == pytest.approx(pixels.std())


def test_dataset_statistics_count_every_pixel_once(tmp_path: Path) -> None:
    small, large = blobs((32, 32), RNG), blobs((64, 80), RNG) * 3
    for name, pixels in (("a.tif", small), ("b.tif", large)):
        write_image(tmp_path / "source" / name, pixels)
        write_image(tmp_path / "GT" / name, 2 * pixels + 10)
    intensities = measure_intensities(opened_stacks(tmp_path, "YX", (16, 16)))
    pixels = np.concatenate([small.ravel(), large.ravel()]).astype(np.float64)
    assert intensities.source[0].offset == pytest.approx(pixels.mean())
    assert intensities.source[0].gain == pytest.approx(pixels.std())
    assert intensities.target[0].offset == pytest.approx(2 * pixels.mean() + 10)
    assert intensities.target[0].gain == pytest.approx(2 * pixels.std())
