"""Whole simulated pairs: what depends on what, and what the files hold."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, convolve, label

from care_bridge.axes import Axes
from care_bridge.errors import ConfigError
from care_bridge.images import open_image, write_image
from care_bridge.images.image import Image
from care_bridge.simulation.dataset import write_dataset
from care_bridge.simulation.recipe import Recipe
from care_bridge.simulation.recipe_file import load_recipe
from care_bridge.simulation.simulated_pair import SimulatedPair, simulate_pair

FLAT = ["background.contrast=0", "camera.gain=1", "camera.offset=0", "camera.read_noise=0"]


def recipe(kind: str, *settings: str) -> Recipe:
    return load_recipe(None, kind, ["size=[64,72]", *settings])


def written(made: Recipe, folder: Path) -> dict[str, bytes]:
    write_dataset(made, folder, lambda: None)
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.mark.parametrize(
    "settings",
    [
        pytest.param(["exposure.photons=[2,50]", "aberrations.defocus=[-1.5,1.5]"], id="2D"),
        pytest.param(["size=[6,40,40]", "sampling.z_factor=2.5"], id="3D"),
        pytest.param(["movie.frames=3", "movie.bleaching=0.1"], id="movie"),
    ],
)
def test_the_same_seed_gives_the_same_bytes_also_from_the_written_recipe(
    settings: list[str], tmp_path: Path
) -> None:
    made = recipe("tubules", "count=2", "seed=5", *settings)
    one, same = written(made, tmp_path / "one"), written(made, tmp_path / "same")
    assert one == same
    again = written(load_recipe(tmp_path / "one" / "recipe.yaml", None), tmp_path / "again")
    assert one == again
    other = written(recipe("tubules", "count=2", "seed=6", *settings), tmp_path / "other")
    assert one["source/0000.tif"] != other["source/0000.tif"]
    assert one["source/0000.tif"] != one["source/0001.tif"]


def test_a_measured_point_spread_function_travels_with_the_recipe(tmp_path: Path) -> None:
    kernel = np.zeros((5, 5), np.float32)
    kernel[2, 3] = 3.0
    write_image(Image(kernel, Axes("YX")), tmp_path / "mine.tif")
    settings = ["target.background=false", "camera.offset=0"]
    blurred = recipe("granules", f"optics.psf={tmp_path / 'mine.tif'}", *settings)
    first = written(blurred, tmp_path / "first")
    assert written(load_recipe(tmp_path / "first/recipe.yaml", None), tmp_path / "more") == first
    shifted = simulate_pair(blurred, 0).target.pixels
    straight = simulate_pair(recipe("granules", "target.image=structure", *settings), 0).target
    brightest = np.unravel_index(straight.pixels[:, :-4].argmax(), (64, 68))
    np.testing.assert_allclose(
        shifted[:, 1:] / shifted[brightest[0], brightest[1] + 1],
        straight.pixels[:, :-1] / straight.pixels[brightest],
        atol=1e-3,
    )


def test_the_written_point_spread_function_says_its_voxels(tmp_path: Path) -> None:
    """So a data set of other voxels cannot take it by mistake."""
    made = recipe("spheres", "count=1", "size=[5,32,32]", "optics.z_step=0.4")
    written(made, tmp_path / "one")
    file = tmp_path / "one" / "psf.tif"
    sizes = open_image(file).calibration.voxel_size
    assert sizes == pytest.approx({"Z": 0.4, "Y": 0.1, "X": 0.1})
    same = [f"optics.psf={file}", "size=[5,32,32]"]
    simulate_pair(recipe("spheres", *same, "optics.z_step=0.4"), 0)
    with pytest.raises(ConfigError, match=r"0\.4 micrometres along Z, the images of 0\.3"):
        simulate_pair(recipe("spheres", *same), 0)


def test_more_light_shows_the_same_scene() -> None:
    dim, bright = (
        simulate_pair(recipe("nuclei", f"exposure.photons={photons}", *FLAT), 3).target.pixels
        for photons in (2, 50)
    )
    np.testing.assert_allclose(bright, 25 * dim, rtol=1e-4)


@pytest.mark.parametrize("kind", ["tubules", "granules", "nuclei", "membranes", "spheres"])
def test_the_brightest_structures_have_the_photons_asked_for(kind: str) -> None:
    made = recipe(kind, "exposure.photons=30", "background.level=0", *FLAT)
    for index in range(3):
        target = simulate_pair(made, index).target.pixels
        bright = target[target > target.max() / 10]
        assert np.percentile(bright, 99) == pytest.approx(30, rel=0.01)


def test_noise_around_the_expected_image_is_that_of_the_camera() -> None:
    """(source - target) / sigma has mean 0 and variance 1 all over the image."""
    pair = simulate_pair(recipe("nuclei", "size=[400,400]", "exposure.photons=8"), 0)
    photons = (pair.target.pixels.astype(float) - 100) / 2
    sigma = np.sqrt(4 * (photons + 1.6**2) + 1 / 12)
    scores = (pair.sources[0].pixels - pair.target.pixels) / sigma
    assert scores.mean() == pytest.approx(0, abs=0.01)
    assert scores.var() == pytest.approx(1, abs=0.02)


def test_an_averaged_target_tends_to_the_expected_one() -> None:
    expected = simulate_pair(recipe("nuclei"), 0).target.pixels
    averages = [
        simulate_pair(recipe("nuclei", "target.image=average", f"target.average={count}"), 0)
        for count in (4, 64)
    ]
    errors = [np.var(pair.target.pixels - expected) for pair in averages]
    assert errors[0] / errors[1] == pytest.approx(16, rel=0.2)


def test_targets_are_sharper_the_nearer_they_are_to_the_specimen() -> None:
    settings = ["aberrations.defocus=1.2", "camera.offset=0", "target.background=false"]
    images = {
        name: simulate_pair(recipe("granules", f"target.image={name}", *settings), 0).target.pixels
        for name in ("expected", "ideal", "structure")
    }
    assert images["expected"].std() < images["ideal"].std() < images["structure"].std()
    light = [image.sum() for image in images.values()]
    np.testing.assert_allclose(light, light[0], rtol=0.05)


def pair_of(*settings: str) -> SimulatedPair:
    return simulate_pair(recipe("spheres", *settings), 0)


def test_exposures_are_channels_or_folders_with_their_share_of_the_light(tmp_path: Path) -> None:
    doses = "exposure.doses=[1,0.1]"
    as_channels = pair_of(doses, "camera.offset=0", "exposure.photons=500")
    assert as_channels.sources[0].axes == "CYX"
    first, second = as_channels.sources[0].pixels
    assert second.mean() / first.mean() == pytest.approx(0.1, rel=0.02)
    folders = recipe("spheres", "count=1", doses, "exposure.arrange=folders")
    files = written(folders, tmp_path / "out")
    assert {name for name in files if name.endswith(".tif")} == {
        "GT/0000.tif",
        "psf.tif",
        "source_1/0000.tif",
        "source_2/0000.tif",
    }


def test_a_coarser_source_says_its_voxel_size(tmp_path: Path) -> None:
    made = recipe(
        "granules",
        "count=1",
        "size=[9,32,40]",
        "sampling.z_factor=4",
        "sampling.binning=2",
        "sampling.upsample=false",
    )
    written(made, tmp_path / "out")
    source, target = (open_image(tmp_path / "out" / kind / "0000.tif") for kind in ("source", "GT"))
    assert source.pixels.shape == (3, 16, 20)
    assert source.calibration.voxel_size == pytest.approx({"Z": 1.2, "Y": 0.2, "X": 0.2})
    assert target.pixels.shape == (9, 32, 40)
    assert target.calibration.voxel_size == pytest.approx({"Z": 0.3, "Y": 0.1, "X": 0.1})


@pytest.mark.parametrize("image", ["expected", "average"])
def test_the_target_of_bins_is_in_the_sources_grey_levels(image: str) -> None:
    """A bin of 3 x 3 gathers nine times the light, the offset is added once."""
    settings = ["sampling.binning=3", "sampling.upsample=false", "size=[240,240]"]
    pair = simulate_pair(recipe("nuclei", *settings, f"target.image={image}"), 0)
    target = pair.target.pixels.astype(float)
    in_bins = target.reshape(80, 3, 80, 3).mean(axis=(1, 3))
    assert pair.sources[0].pixels.shape == in_bins.shape
    slope, ground = np.polyfit(in_bins.ravel(), pair.sources[0].pixels.ravel(), 1)
    assert slope == pytest.approx(1, abs=0.02)
    assert ground == pytest.approx(0, abs=2)


def test_pairs_made_at_once_are_those_made_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = recipe("membranes", "count=7")
    found = []
    for cores in (1, 4):
        monkeypatch.setattr("os.cpu_count", lambda cores=cores: cores)
        found.append(written(made, tmp_path / str(cores)))
    assert found[0] == found[1]


def test_a_projection_is_the_brightest_of_each_column() -> None:
    stack = pair_of("size=[5,40,48]").target
    flat = pair_of("size=[5,40,48]", "target.projection=max").target
    assert (stack.axes, flat.axes) == ("ZYX", "YX")
    np.testing.assert_array_equal(flat.pixels, stack.pixels.max(axis=0))


def test_a_movie_bleaches() -> None:
    still = ["movie.diffusion=0", "movie.speed=0", *FLAT]
    fading = pair_of("movie.frames=4", "movie.interval=2", "movie.bleaching=0.1", *still)
    assert fading.target.axes == "TYX"
    assert fading.target.calibration.frame_interval == 2
    left = fading.target.pixels.sum(axis=(1, 2))
    np.testing.assert_allclose(left / left[0], np.exp(-0.1 * np.array([0, 2, 4, 6])), rtol=1e-4)


def test_objects_move_by_their_diffusion_and_speed() -> None:
    """The mean squared way of a ball in a plane is 4 D t + (v t)^2."""
    made = recipe(
        "spheres",
        "movie.frames=2",
        "movie.diffusion=0.02",
        "movie.speed=0.15",
        "specimen.spacing=20",
        "background.level=0",
        *FLAT,
    )
    squares = []
    for index in range(200):
        before, after = (
            np.where(frame > 0.2 * frame.max(), frame, 0).astype(float)
            for frame in simulate_pair(made, index).target.pixels
        )
        inside = all(
            np.array_equal(frame, np.pad(frame[1:-1, 1:-1], 1)) for frame in (before, after)
        )
        if inside and label(before > 0)[1] == label(after > 0)[1] == 1:
            way = np.subtract(center_of_mass(after), center_of_mass(before)) * 0.1
            squares.append((way**2).sum())
    assert len(squares) > 30
    assert np.mean(squares) == pytest.approx(4 * 0.02 + 0.15**2, rel=0.35)


def test_the_shared_point_spread_function_lies_beside_the_pairs(tmp_path: Path) -> None:
    """The structure blurred with it is the expected image."""
    settings = ["count=1", "target.background=false", "camera.offset=0"]
    files = written(recipe("spheres", *settings), tmp_path / "expected")
    written(recipe("spheres", *settings, "target.image=structure"), tmp_path / "structure")
    expected, structure = (
        open_image(tmp_path / name / "GT" / "0000.tif").pixels for name in ("expected", "structure")
    )
    psf = open_image(tmp_path / "expected" / "psf.tif").pixels
    np.testing.assert_allclose(
        convolve(structure, psf, mode="reflect"), expected, atol=1e-3 * expected.max()
    )
    assert "psf.tif" in files
    drawn = recipe("spheres", "count=1", "optics.wavelength=[0.5,0.6]")
    assert "psf.tif" not in written(drawn, tmp_path / "drawn")


def test_an_ideal_target_of_a_measured_source_is_computed(tmp_path: Path) -> None:
    write_image(Image(np.pad(np.ones((9, 9), np.float32), 1), Axes("YX")), tmp_path / "box.tif")
    measured = f"optics.psf={tmp_path / 'box.tif'}"
    flat = ["target.background=false", "camera.offset=0"]
    images = [
        simulate_pair(recipe("granules", *flat, *settings), 0).target.pixels
        for settings in ([measured, "target.image=ideal"], [])
    ]
    assert np.corrcoef(images[0].ravel(), images[1].ravel())[0, 1] > 0.9999


def test_a_data_set_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    def interrupted() -> None:
        assert (tmp_path / "out").exists() is False
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_dataset(recipe("spheres"), tmp_path / "out", interrupted)
    assert list(tmp_path.iterdir()) == []


def test_light_from_a_depth_is_blurred_and_not_shifted() -> None:
    """The middle of the cross-correlation of source and target, both without noise."""
    settings = ["size=[24,64,64]", "optics.depth=5", "target.image=ideal", "exposure.photons=1e5"]
    pair = simulate_pair(recipe("granules", *settings, "background.level=0"), 0)
    source, target = (
        pixels - pixels.mean()
        for pixels in (pair.sources[0].pixels.astype(float), pair.target.pixels.astype(float))
    )
    correlation = np.fft.irfftn(
        np.conj(np.fft.rfftn(source)) * np.fft.rfftn(target), axes=(0, 1, 2)
    )
    assert np.unravel_index(correlation.argmax(), source.shape) == (0, 0, 0)


@pytest.mark.parametrize("contrast", [0.2, 0.5])
def test_the_background_has_the_mean_and_the_contrast_it_says(contrast: float) -> None:
    """A hundred times as bright as the structures, which are next to nothing in it."""
    settings = ["size=[256,256]", "background.level=100", "background.scale=1", "camera.offset=0"]
    made = recipe("granules", *settings, f"background.contrast={contrast}", "exposure.photons=5")
    light = simulate_pair(made, 0).target.pixels / 2.0
    assert light.mean() == pytest.approx(500, rel=0.02)
    assert light.std() / light.mean() == pytest.approx(contrast, rel=0.03)


def test_more_contrast_than_light_has_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"background.contrast .* 0 to 0.5"):
        recipe("granules", "background.contrast=1")
