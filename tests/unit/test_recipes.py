"""Recipes of simulated data sets: what is read is what was written, mistakes are one line."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from care_bridge.errors import ConfigError
from care_bridge.simulation.ranges import draw, draw_many
from care_bridge.simulation.recipe import KINDS, default_recipe
from care_bridge.simulation.recipe_file import dump_recipe, load_recipe


@pytest.mark.parametrize("kind", KINDS)
def test_a_written_recipe_is_read_again(kind: str, tmp_path: Path) -> None:
    settings = ["size=[8,32,40]", "exposure.doses=[1,0.1]", "aberrations.coma=[-0.5,0.5]"]
    recipe = load_recipe(None, kind, settings)
    assert recipe.size == (8, 32, 40)
    assert recipe.aberrations.coma == (-0.5, 0.5)
    (tmp_path / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
    assert load_recipe(tmp_path / "recipe.yaml", None) == recipe


def test_keys_that_are_left_out_keep_their_defaults(tmp_path: Path) -> None:
    (tmp_path / "short.yaml").write_text("kind: nuclei\nexposure: {photons: [2, 1e2]}\n")
    recipe = load_recipe(tmp_path / "short.yaml", "nuclei", ["count=3"])
    assert recipe.exposure.photons == (2, 100)
    assert recipe.count == 3
    assert recipe.optics == default_recipe("nuclei").optics


def test_a_point_spread_function_lies_beside_its_recipe(tmp_path: Path) -> None:
    (tmp_path / "recipe.yaml").write_text("kind: nuclei\noptics: {psf: psf.tif}\n")
    assert load_recipe(tmp_path / "recipe.yaml", None).optics.psf == str(tmp_path / "psf.tif")
    assert load_recipe(None, "nuclei", ["optics.psf=mine.tif"]).optics.psf == "mine.tif"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        pytest.param(["photons=3"], 'no key "photons".*"exposure.photons"', id="lacks-section"),
        pytest.param(
            ["specimen.persistance=3"], '"specimen.persistence_length"', id="nearest-in-section"
        ),
        pytest.param(["camera.gain=abc"], "camera.gain.*'abc'.*lowest, highest", id="no-number"),
        pytest.param(["camera.gain=-1"], "camera.gain.*-1", id="below-the-limit"),
        pytest.param(["camera.gain=[3,1]"], "lowest number first", id="wrong-order"),
        pytest.param(["camera.hot_electrons=[0,5]"], "starts above 0", id="logarithm-of-0"),
        pytest.param(["optics=3"], "optics.*section", id="section"),
        pytest.param(["target.image=best"], "target.image.*expected or", id="choice"),
        pytest.param(["optics.confocal=2"], "true or false", id="no-truth-value"),
        pytest.param(["movie.frames=1.5"], "movie.frames.*whole number", id="no-integer"),
        pytest.param(["optics.numerical_aperture=1.6"], "not below", id="aperture"),
        pytest.param(["sampling.z_factor=4"], "needs slices", id="slices-of-a-plane"),
        pytest.param(["target.projection=max"], "needs slices", id="projection-of-a-plane"),
        pytest.param(["sampling.binning=0"], "sampling.binning.*from 1", id="no-bin"),
        pytest.param(["optics.psf=a.tif", "aberrations.coma=0.1"], "leave one", id="two-optics"),
        pytest.param(["size=[512]"], "pixels of Y,X or of Z,Y,X", id="one-axis"),
        pytest.param(["count=0"], "count.*from 1", id="no-pairs"),
        pytest.param(["seed"], "no setting", id="no-value"),
        pytest.param(["kind=nuclei"], "for nuclei, not for tubules", id="two-kinds"),
        pytest.param(["aberrations.defocus=1.6"], "from -1.5 to 1.5", id="strong-defocus"),
        pytest.param(["aberrations.coma=[-0.6,0]"], "from -0.5 to 0.5", id="strong-coma"),
        pytest.param(["size=[65536,65536]"], "fit into memory", id="too-many-pixels"),
        pytest.param(["size=[8,32,32]", "sampling.z_factor=9"], "smaller", id="too-few-slices"),
        pytest.param(["exposure.doses=[]"], "one number or more", id="no-exposure"),
    ],
)
def test_a_mistake_is_one_line(settings: list[str], message: str) -> None:
    with pytest.raises(ConfigError, match=message) as raised:
        load_recipe(None, "tubules", settings)
    assert "\n" not in str(raised.value)


def numbers(section: object, where: str = "") -> Iterator[tuple[str, object]]:
    """Names and values of everything in a recipe that is a number, or several of them."""
    for name, value in vars(section).items():
        if dataclasses.is_dataclass(value):
            yield from numbers(value, f"{where}{name}.")
        elif not isinstance(value, str | bool | None):
            yield f"{where}{name}", value


@pytest.mark.parametrize("value", [".nan", ".inf", "1e30", "-1e30", "1e400", "1" + 30 * "0"])
def test_every_number_has_limits(value: str) -> None:
    names = {f"{kind} {name}" for kind in KINDS for name, _ in numbers(default_recipe(kind))}
    assert len(names) > 150
    for kind, name in map(str.split, names):
        with pytest.raises(ConfigError, match=f"^{name} has the value") as raised:
            load_recipe(None, kind, [f"{name}={value}"])
        assert "\n" not in str(raised.value)


def test_a_number_too_long_to_read_is_one_line() -> None:
    with pytest.raises(ConfigError, match="a number too long to read") as raised:
        load_recipe(None, "nuclei", ["exposure.photons=1" + 400 * "0"])
    assert "\n" not in str(raised.value)


def test_limits_hold_for_recipes_that_python_makes() -> None:
    recipe = default_recipe("nuclei")
    exposure = dataclasses.replace(recipe.exposure, photons=(float("nan"), 3.0))
    with pytest.raises(ConfigError, match="exposure.photons has the value nan"):
        dataclasses.replace(recipe, exposure=exposure)


def test_a_long_seed_is_kept_to_its_last_digit() -> None:
    assert load_recipe(None, "nuclei", ["seed=9007199254740993"]).seed == 2**53 + 1


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        pytest.param("kind: tubules\n", "nuclei", "for tubules, not for nuclei", id="other-kind"),
        pytest.param("count: 3\n", None, "no kind", id="no-kind"),
        pytest.param("kind: cells\n", None, "choose one of tubules", id="unknown-kind"),
        pytest.param("a: [", None, "not valid YAML", id="no-yaml"),
        pytest.param("tubules\n", None, "holds no keys", id="no-keys"),
    ],
)
def test_a_file_that_is_no_recipe_is_one_line(
    text: str, kind: str | None, message: str, tmp_path: Path
) -> None:
    (tmp_path / "recipe.yaml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        load_recipe(tmp_path / "recipe.yaml", kind)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(tmp_path / "missing.yaml", kind)


def test_ranges_are_drawn_evenly_on_the_scale_they_say() -> None:
    recipe = load_recipe(None, "tubules", ["exposure.photons=[1,100]", "camera.offset=[1,100]"])
    rng = np.random.default_rng(0)
    photons = draw_many(recipe.exposure, "photons", 4000, rng)
    offsets = draw_many(recipe.camera, "offset", 4000, rng)
    for values, middle in ((photons, 10.0), (offsets, 50.5)):
        assert values.min() >= 1
        assert values.max() <= 100
        assert (values < middle).mean() == pytest.approx(0.5, abs=0.03)


def test_a_fixed_value_leaves_later_draws_as_they_were() -> None:
    fixed = load_recipe(None, "tubules", ["exposure.photons=7"]).exposure
    drawn = load_recipe(None, "tubules", ["exposure.photons=[1,100]"]).exposure
    one, other = np.random.default_rng(0), np.random.default_rng(0)
    assert draw(fixed, "photons", one) == 7
    draw(drawn, "photons", other)
    assert one.random() == other.random()
