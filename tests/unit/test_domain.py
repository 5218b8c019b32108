"""What is told of images that are not as those of training, by their pixels alone."""

import dataclasses
import logging

import numpy as np
import pytest

from care_bridge import load_package
from care_bridge.axes import Axes
from care_bridge.images.image import Image
from care_bridge.images.source import ImageInMemory
from care_bridge.noise import noise_of, noise_of_bright
from care_bridge.normalization import FixedScale, Percentiles, Scale
from care_bridge.runtime.domain import warn_of_intensities
from tests.packages import tiny_package


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return load_package(tiny_package(tmp_path_factory.mktemp("package") / "tiny"))


def noisy(mean, deviation, shape=(96, 96)):
    """Uint16 pixels of independent Gaussian noise."""
    pixels = np.random.default_rng(1).normal(mean, deviation, shape)
    return np.clip(pixels, 0, 65535).round().astype(np.uint16)


def test_noise_is_told_from_the_pixels_alone():
    clean = np.linspace(100, 300, 256) * np.ones((256, 1))
    found = noise_of(clean + np.random.default_rng(1).normal(0, 10, clean.shape))
    assert found == pytest.approx(10, rel=0.03)
    assert noise_of(clean) == pytest.approx(0, abs=1e-9)
    assert noise_of(np.ones((5, 2))) == 0


def source_of(pixels):
    return ImageInMemory(Image(pixels, Axes("CYX" if pixels.ndim == 3 else "YX")))


def with_normalization(package, normalization, **domain):
    config = {**package.spec.config, "domain": domain}
    return dataclasses.replace(package.spec, normalization=normalization, config=config)


BY_TRAINING = FixedScale((Scale(gain=40, offset=200),), (Scale(gain=40, offset=200),))


@pytest.mark.parametrize(
    ("mean", "deviation", "warned"),
    [
        (200, 40, False),
        (300, 40, False),  # 2.5 deviations
        (330, 40, True),  # 3.25
        (1000, 12, True),
        (200, 11, False),  # 40 / 3.6
        (200, 9, True),
        (330, 160, True),
        (200, 0, False),  # a blank image says nothing
    ],
    ids=str,
)
def test_other_grey_levels_than_those_of_fixed_scales_are_told(
    package, caplog, mean, deviation, warned
):
    spec = with_normalization(package, BY_TRAINING)
    with caplog.at_level(logging.WARNING):
        warn_of_intensities(spec, source_of(noisy(mean, deviation)), [0])
    assert [record.message.count("scales all images") for record in caplog.records] == (
        [1] if warned else []
    )


def test_grey_levels_are_those_of_the_channels_that_are_restored(package, caplog):
    both = np.stack([noisy(200, 40), noisy(2000, 40)])
    spec = with_normalization(package, BY_TRAINING)
    warn_of_intensities(spec, source_of(both), [0])
    assert not caplog.records
    warn_of_intensities(spec, source_of(both), [0, 1])
    assert len(caplog.records) == 1


def test_a_range_of_grey_levels_is_no_mean_of_training(package, caplog):
    """As others write it: grey levels divided by 255, or none changed."""
    for scale in (Scale(gain=255, offset=0), Scale(gain=1, offset=0)):
        spec = dataclasses.replace(
            package.spec, normalization=FixedScale((scale,), (scale,)), config={}
        )
        warn_of_intensities(spec, source_of(noisy(5000, 40)), [0])
    assert not caplog.records


def noisy_disk(dark, bright):
    """A disk of 1000 grey levels with Gaussian noise of these deviations around and in it, so
    that noise of 1 is 0.1 % of the span."""
    y, x = np.mgrid[:96, :96] - 48
    inside = y**2 + x**2 < 40**2
    noise = np.random.default_rng(1).normal(0, 1, inside.shape)
    return (300 + 1000.0 * inside + noise * np.where(inside, bright, dark)).astype(np.float32)


@pytest.mark.parametrize(
    ("dark", "bright", "said"),
    [
        pytest.param(3, 3, [], id="as in training"),
        pytest.param(11, 11, [], id="twice the noisiest"),
        pytest.param(40, 40, ["7.1 times as noisy as"], id="noisier"),
        pytest.param(0.8, 0.8, [], id="less than half the least noisy"),
        pytest.param(0.1, 0.1, ["20 times less noise than"], id="cleaner"),
        pytest.param(0.1, 3, [], id="dark between its structures"),
        pytest.param(0, 0, [], id="flat, so unknown"),
    ],
)
def test_noise_far_from_that_of_training_is_told(package, caplog, dark, bright, said):
    percentiles = Percentiles(2, 99.8, 1e-6)
    spec = with_normalization(package, percentiles, noise=[0.002, 0.005])
    source = source_of(noisy_disk(dark, bright))
    warn_of_intensities(spec, source, [0])
    told = [record.message for record in caplog.records]
    assert len(told) == len(said)
    for words, line in zip(said, told, strict=True):
        times, rest = words.split(" ", 1)
        found = float(line.split(" times")[0].split()[-1])
        assert found == pytest.approx(float(times), rel=0.1)
        assert rest in line


def test_a_noisy_image_is_looked_at_once(package, caplog, monkeypatch):
    """What its bright parts hold is asked for only where there is not too much noise anyway."""
    monkeypatch.setattr("care_bridge.runtime.domain.noise_of_bright", None)
    spec = with_normalization(package, Percentiles(2, 99.8, 1e-6), noise=[0.002, 0.005])
    warn_of_intensities(spec, source_of(noisy_disk(40, 40)), [0])
    assert "times as noisy as" in caplog.text


@pytest.mark.parametrize("told", [None, 0.0002, [], [0.0002], ["a", "b"], [3e-4, 2e-4]], ids=str)
def test_noise_is_told_by_a_range_alone(package, caplog, told):
    percentiles = Percentiles(2, 99.8, 1e-6)
    spec = with_normalization(package, percentiles, noise=told)
    warn_of_intensities(spec, source_of(noisy_disk(40, 40)), [0])
    assert not caplog.records


def test_noise_is_that_of_the_known_pixels(package, caplog):
    pixels = noisy_disk(40, 40)
    pixels[::7, ::9] = np.nan
    assert noise_of(pixels) == pytest.approx(40, rel=0.1)
    assert noise_of_bright(pixels) == pytest.approx(40, rel=0.1)
    assert noise_of(pixels * np.nan) == noise_of_bright(pixels * np.nan) == 0
    spec = with_normalization(package, Percentiles(2, 99.8, 1e-6), noise=[0.002, 0.005])
    warn_of_intensities(spec, source_of(pixels), [0])
    assert len(caplog.records) == 1
