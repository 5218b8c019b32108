"""What a probabilistic model tells of each pixel, against bare ONNX Runtime and scipy."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from scipy.stats import kstest, laplace

from care_bridge import Restorer, check_package
from care_bridge.axes import Axes
from care_bridge.errors import ConfigError
from care_bridge.images import Image
from care_bridge.images.image import Calibration, Display
from care_bridge.package.package import load_package
from care_bridge.runtime.options import RestoreOptions
from tests.packages import FIXED_INPUT, FIXED_OUTPUT, tiny_package

PACKAGES = {
    "one": {"members": 1},
    "three": {"members": 3},
    "narrow": {"members": 3, "spread": 0.4},
    "fixed": {"members": 3, "fixed": True},
    "3D": {"members": 2, "dims": 3},
    "colours": {"members": 2, "channels": 2},
}
KINDS = ("scale", "interval", "samples", "disagreement", "members")


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("packages")
    return {
        name: tiny_package(folder / name, **given)  # type: ignore[arg-type]
        for name, given in PACKAGES.items()
    }


def picture(shape: tuple[int, ...], seed: int = 0) -> NDArray[np.uint16]:
    rng = np.random.default_rng(seed)
    return rng.poisson(rng.uniform(50, 900, shape)).astype(np.uint16)


def predicted(package: Path, pixels: NDArray[np.generic]) -> tuple[NDArray[np.float64], ...]:
    """(M, C, [Z,] Y, X): means and scales in grey levels, of pixels (C, [Z,] Y, X), by hand."""
    loaded = load_package(package)
    given = pixels.astype(np.float64)
    space = tuple(range(1, given.ndim))
    if "fixed" in package.name:
        gain, offset = FIXED_INPUT.gain, FIXED_INPUT.offset
        after_gain, after_offset = FIXED_OUTPUT.gain, FIXED_OUTPUT.offset
    else:
        offset = np.percentile(given, 2, axis=space, keepdims=True)
        gain = np.percentile(given, 99.8, axis=space, keepdims=True) - offset + 1e-6
        after_gain, after_offset = gain, offset
    padding = [(0, 0), *((0, -size % 4) for size in given.shape[1:])]
    whole = np.pad(((given - offset) / gain).astype(np.float32), padding, mode="reflect")
    session = onnxruntime.InferenceSession(loaded.weights(), providers=["CPUExecutionProvider"])
    restored, members = session.run(None, {"input": whole[None]})
    cut = tuple(slice(size) for size in given.shape[1:])
    parts = members[0].reshape(-1, 2, len(given), *members.shape[2:])[(..., *cut)]
    spread = 0.4 if package.name == "narrow" else 1
    means = parts[:, 0].mean(axis=0) * (1 - spread) + parts[:, 0] * spread
    means = means * after_gain + after_offset
    mean = restored[0][(..., *cut)] * after_gain + after_offset
    np.testing.assert_allclose(mean, means.mean(axis=0), rtol=1e-5, atol=1e-3)
    return means.astype(np.float64), (parts[:, 1] * spread * after_gain).astype(np.float64)


def told(package: Path, image: Image, kind: str, **options: object) -> tuple[Image, Image]:
    given = RestoreOptions(uncertainty=kind, device="cpu", **options)  # type: ignore[arg-type]
    return Restorer(package, given).restore_with_uncertainty(image)


def first_channels(image: Image) -> NDArray[np.generic]:
    """The pixels with a C axis in front."""
    return image.pixels if "C" in image.axes else image.pixels[None]


@pytest.mark.parametrize("tile", [None, {"Y": 44, "X": 48}], ids=["whole", "tiled"])
@pytest.mark.parametrize(
    ("name", "axes", "shape"),
    [
        ("one", "YX", (90, 75)),
        ("three", "YX", (90, 75)),
        ("narrow", "YX", (90, 75)),
        ("fixed", "YX", (90, 75)),
        ("3D", "ZYX", (30, 46, 50)),
        ("colours", "CYX", (2, 90, 75)),
    ],
)
class TestEachKind:
    """Of pixels of all kinds of models."""

    def test_scale_is_the_mixtures_standard_deviation(self, packages, name, axes, shape, tile):
        pixels = picture(shape)
        restored, found = told(packages[name], Image(pixels, Axes(axes)), "scale", tile=tile)
        means, scales = predicted(packages[name], pixels if "C" in axes else pixels[None])
        second = (means**2 + laplace.var(scale=scales)).mean(axis=0)
        expected = np.sqrt(second - means.mean(axis=0) ** 2)
        assert found.pixels.dtype == np.float32
        np.testing.assert_allclose(first_channels(found), expected, rtol=2e-4)
        assert restored.pixels.dtype == np.uint16
        np.testing.assert_allclose(
            first_channels(restored), means.mean(axis=0).clip(0, 65535), atol=0.51
        )

    def test_interval_holds_the_asked_probability(self, packages, name, axes, shape, tile):
        pixels = picture(shape)
        image = Image(pixels, Axes(axes))
        _, found = told(packages[name], image, "interval", tile=tile, confidence=0.8)
        means, scales = predicted(packages[name], pixels if "C" in axes else pixels[None])
        ends = first_channels(found).reshape(means.shape[1], 2, *means.shape[2:])
        for index, chance in enumerate((0.1, 0.9)):
            below = laplace.cdf(ends[:, index], means, scales).mean(axis=0)
            np.testing.assert_allclose(below, chance, atol=2e-3)

    def test_members_are_what_the_network_predicts(self, packages, name, axes, shape, tile):
        pixels = picture(shape)
        _, found = told(packages[name], Image(pixels, Axes(axes)), "members", tile=tile)
        means, scales = predicted(packages[name], pixels if "C" in axes else pixels[None])
        parts = first_channels(found).reshape(means.shape[1], -1, 2, *means.shape[2:])
        expected = np.stack([means, scales], axis=2).swapaxes(0, 1)
        np.testing.assert_allclose(parts, expected, rtol=1e-4, atol=0.02)

    def test_samples_are_draws_from_the_mixture(self, packages, name, axes, shape, tile):
        pixels = picture(shape)
        image = Image(pixels, Axes(axes))
        _, found = told(packages[name], image, "samples", tile=tile, samples=3)
        means, scales = predicted(packages[name], pixels if "C" in axes else pixels[None])
        draws = first_channels(found).reshape(means.shape[1], 3, *means.shape[2:])
        chances = []
        for draw in np.moveaxis(draws, 1, 0):
            chances.append(laplace.cdf(draw, means, scales).mean(axis=0))
            assert kstest(chances[-1].ravel(), "uniform").pvalue > 1e-3
        flat = np.array(chances).reshape(3, -1)
        assert np.abs(np.corrcoef(flat)[np.triu_indices(3, 1)]).max() < 0.06
        neighbours = chances[0][..., :-1].ravel(), chances[0][..., 1:].ravel()
        assert abs(np.corrcoef(*neighbours)[0, 1]) < 0.06


def test_disagreement_is_the_mean_divergence_from_the_mixture(packages):
    pixels = picture((90, 75))
    image = Image(pixels, Axes("YX"))
    _, found = told(packages["three"], image, "disagreement", tile={"Y": 44, "X": 48})
    means, scales = predicted(packages["three"], pixels[None])
    rng = np.random.default_rng(1)
    for y, x in zip(rng.integers(90, size=40), rng.integers(75, size=40), strict=True):
        mean, scale = means[:, 0, y, x, None], scales[:, 0, y, x, None]
        grid = np.linspace((mean - 25 * scale).min(), (mean + 25 * scale).max(), 200_001)
        densities = laplace.pdf(grid, mean, scale)
        mixture = densities.mean(axis=0)
        ratio = np.log(np.maximum(densities, 1e-300) / np.maximum(mixture, 1e-300))
        divergences = np.trapezoid(densities * ratio, grid, axis=1)
        assert found.pixels[y, x] == pytest.approx(divergences.sum() / (3 * np.log(3)), abs=0.026)
    assert 0 <= found.pixels.min() < found.pixels.max() <= 1


@pytest.mark.parametrize("kind", KINDS)
def test_tiles_frames_and_windows_agree_with_the_whole(packages, kind):
    image = Image(picture((2, 2, 61, 50)), Axes("TCYX"))
    options = {"samples": 2, "channels": ("2",)}
    _, whole = told(packages["three"], image, kind, **options)
    _, tiled = told(packages["three"], image, kind, tile={"Y": 40, "X": 36}, **options)
    np.testing.assert_allclose(tiled.pixels, whole.pixels, rtol=1e-3, atol=2e-3)
    window = {"T": slice(1, 2), "Y": slice(13, 40), "X": slice(11, 44)}
    restorer = Restorer(packages["three"], RestoreOptions(uncertainty=kind, **options))
    _, part = restorer.restore_with_uncertainty(image, window=window)
    np.testing.assert_allclose(
        part.pixels, whole.pixels[1:2, :, 13:40, 11:44], rtol=1e-3, atol=2e-3
    )
    assert not np.allclose(whole.pixels[0], whole.pixels[1])


def test_what_is_restored_does_not_depend_on_what_is_told(packages):
    image = Image(picture((61, 50)), Axes("YX"))
    plain = Restorer(packages["three"], RestoreOptions()).restore_image(image)
    restored, _ = told(packages["three"], image, "scale")
    np.testing.assert_array_equal(restored.pixels, plain.pixels)


@pytest.mark.parametrize(
    ("kind", "options", "names"),
    [
        ("scale", {}, ["DAPI standard deviation", "GFP standard deviation"]),
        (
            "interval",
            {"confidence": 0.95},
            ["DAPI lower 95 %", "DAPI upper 95 %", "GFP lower 95 %", "GFP upper 95 %"],
        ),
        ("samples", {"samples": 1}, ["DAPI sample 1", "GFP sample 1"]),
        ("disagreement", {}, ["DAPI disagreement", "GFP disagreement"]),
    ],
)
def test_channels_say_what_they_are(packages, kind, options, names):
    size = Calibration({"Y": 0.1, "X": 0.1}, "um")
    image = Image(
        picture((2, 48, 52)),
        Axes("CYX"),
        calibration=size,
        display=Display(channel_names=("DAPI", "GFP"), ranges=((0, 9), (0, 9))),
    )
    _, found = told(packages["three"], image, kind, **options)
    assert list(found.display.channel_names) == names
    assert found.display.ranges == ()
    assert found.pixels.shape == (len(names), 48, 52)
    assert found.calibration == size
    assert "beside the restored image" in found.history[-1]
    assert "Tiny network for tests" in found.history[-2]


@pytest.mark.parametrize(
    ("kind", "expected"),
    [("scale", 0.0), ("interval", 7.0), ("samples", 7.0), ("disagreement", 0.0)],
)
def test_a_blank_frame_is_certain(packages, kind, expected):
    pixels = picture((2, 48, 52))
    pixels[1] = 7
    image = Image(pixels, Axes("TYX"))
    _, found = told(packages["three"], image, kind, normalize="per-frame", samples=2)
    frames = np.moveaxis(found.pixels, found.axes.index("T"), 0)
    assert (frames[1] == expected).all()
    assert (frames[0] != expected).mean() > 0.99


def test_lost_pixels_stay_lost(packages):
    pixels = picture((48, 52)).astype(np.float32)
    pixels[5, 6] = np.nan
    _, found = told(packages["three"], Image(pixels, Axes("YX")), "interval", ignore_nonfinite=True)
    lost = ~np.isfinite(found.pixels)
    assert lost[:, 5, 6].all()
    assert lost.sum() == 2


@pytest.mark.parametrize(
    ("options", "gain"), [({"range": "0-1"}, 1.0), ({"range": "full"}, None)], ids=["0-1", "full"]
)
def test_scales_follow_the_results_range(packages, options, gain):
    image = Image(picture((48, 52)), Axes("YX"))
    _, plain = told(packages["three"], image, "scale")
    _, found = told(packages["three"], image, "scale", **options)
    low, high = np.percentile(image.pixels, (2, 99.8))
    expected = gain or (high - low) * 65535 / np.ptp(image.pixels)
    np.testing.assert_allclose(found.pixels, plain.pixels / (high - low) * expected, rtol=1e-5)


def test_raw_channels_have_none(packages):
    image = Image(picture((48, 52)), Axes("YX"))
    _, plain = told(packages["three"], image, "scale")
    restored, found = told(packages["three"], image, "scale", with_raw=True)
    assert restored.pixels.shape == (2, 48, 52)
    np.testing.assert_array_equal(np.squeeze(found.pixels), plain.pixels)


@pytest.mark.parametrize(
    ("members", "kind", "expected"),
    [
        (0, "scale", "needs a probabilistic model, Tiny network for tests predicts no"),
        (1, "disagreement", "needs an ensemble, Tiny network for tests has one member"),
        (2, "none", "the option uncertainty is none"),
    ],
)
def test_what_a_model_cannot_tell_is_one_line(tmp_path, members, kind, expected):
    package = tiny_package(tmp_path / "model", members=members)
    with pytest.raises(ConfigError, match=expected) as caught:
        told(package, Image(picture((48, 52)), Axes("YX")), kind)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["three", "fixed", "3D"])
def test_such_packages_pass_their_check(packages, name):
    report = check_package(packages[name])
    assert report.errors == ()
    text = report.text()
    assert "members is reproduced" in text
    assert f"the mean of {PACKAGES[name]['members']} predicted means" in text
