"""Simulated structures against the micrometres that describe them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.ndimage import center_of_mass, label
from scipy.spatial import cKDTree

from care_bridge.errors import ConfigError
from care_bridge.simulation.grid import Grid
from care_bridge.simulation.recipe import KINDS
from care_bridge.simulation.specimens import membranes
from care_bridge.simulation.specimens.drawing import Placed, keep_apart
from care_bridge.simulation.specimens.granules import Granules
from care_bridge.simulation.specimens.membranes import Membranes
from care_bridge.simulation.specimens.nuclei import Nuclei
from care_bridge.simulation.specimens.spheres import Spheres
from care_bridge.simulation.specimens.tubules import Tubules, persistent_paths

PLANE = Grid((120, 140), (0.2, 0.2))
VOLUME = Grid((16, 60, 70), (0.5, 0.2, 0.2))


def scene(specimen: object, grid: Grid, seed: int = 0) -> np.ndarray:
    placed = specimen.place(grid, np.random.default_rng(seed))
    return placed.render(np.zeros((placed.count, grid.dimensions)))


@pytest.mark.parametrize("grid", [pytest.param(PLANE, id="2D"), pytest.param(VOLUME, id="3D")])
@pytest.mark.parametrize("kind", KINDS)
def test_a_scene_is_light_and_a_function_of_its_seed(kind: str, grid: Grid) -> None:
    one, same, other = (scene(KINDS[kind](), grid, seed) for seed in (4, 4, 5))
    assert one.shape == grid.shape
    assert one.min() >= 0
    assert one.std() > 0
    assert np.isfinite(one).all()
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("dimensions", [2, 3])
@pytest.mark.parametrize("persistence", [2.0, 15.0])
def test_directions_forget_each_other_over_the_persistence_length(
    dimensions: int, persistence: float
) -> None:
    """The mean cosine between directions a path s apart is exp(-s / persistence length)."""
    count, step = 3000, 0.1
    paths = persistent_paths(
        np.full(count, 12.0),
        np.full(count, persistence),
        step,
        dimensions,
        np.random.default_rng(1),
    )
    moves = np.diff(np.array(paths), axis=1) / step
    np.testing.assert_allclose(np.linalg.norm(moves, axis=-1), 1, rtol=1e-6)
    lags = np.arange(5, 100, 5)
    cosines = [float((moves[:, :-lag] * moves[:, lag:]).sum(axis=-1).mean()) for lag in lags]
    np.testing.assert_allclose(cosines, np.exp(-lags * step / persistence), atol=0.02)
    strong = np.array(cosines) > 0.3
    fitted = -np.polyfit(lags[strong] * step, np.log(np.array(cosines)[strong]), 1)[0]
    assert 1 / fitted == pytest.approx(persistence, rel=0.05)


def test_tubules_have_the_width_and_the_mesh_size_they_say() -> None:
    """Across straight filaments the light falls to a half at half the diameter; their total
    light is that of lines `spacing` apart."""
    grid = Grid((400, 400), (0.05, 0.05))
    straight = Tubules(
        persistence_length=(1e6, 1e6),
        diameter=(0.6, 0.6),
        length=(15.0, 15.0),
        spacing=(2.0, 2.0),
        brightness_spread=(0, 0),
    )
    drawn = [scene(straight, grid, seed) for seed in range(12)]
    points_a_micrometre = 2 / 0.05
    light = np.mean([one.sum() for one in drawn]) / points_a_micrometre
    assert light == pytest.approx(20 * 20 / 2.0, rel=0.15)
    single = Tubules(**{**vars(straight), "spacing": (1e6, 1e6)})
    for seed in range(40):
        one = scene(single, grid, seed)
        if one.max() > 0 and one.sum() / points_a_micrometre > 5:
            peak = np.percentile(one[one > 0.9 * one.max()], 50)
            wide = (one > peak / 2).sum() * 0.05**2
            length = one.sum() / points_a_micrometre
            assert wide / length == pytest.approx(0.6, rel=0.15)
            return
    raise AssertionError("no filament crossed the field")


def test_filaments_of_many_lengths_are_as_dense_as_those_of_one() -> None:
    """area / spacing, whatever the lengths: long ones are rare, on a logarithmic scale."""
    grid = Grid((300, 300), (0.1, 0.1))
    mixed = Tubules(length=(1.0, 60.0), spacing=(2.0, 2.0), brightness_spread=(0, 0))
    drawn = [scene(mixed, grid, seed).sum() for seed in range(30)]
    assert np.mean(drawn) * 0.1 / 2 == pytest.approx(30 * 30 / 2.0, rel=0.1)


def whole_ball(ball: Spheres, grid: Grid) -> Placed:
    """A single ball that no border of the field cuts."""
    for seed in range(200):
        placed = ball.place(grid, np.random.default_rng(seed))
        drawn = placed.render(np.zeros((placed.count, 3)))
        sides = [drawn.take(side, axis) for axis in range(3) for side in (0, -1)]
        if placed.count == 1 and drawn.any() and not np.any(np.concatenate(sides, axis=None)):
            return placed
    raise AssertionError("every ball is cut")


def test_a_ball_has_its_volume_and_moves_by_micrometres() -> None:
    grid = Grid((40, 80, 80), (0.2, 0.1, 0.1))
    placed = whole_ball(Spheres(diameter=(4.0, 4.0), spacing=(1e3, 1e3)), grid)
    ball = placed.render(np.zeros((1, 3)))
    assert ball.sum() * 0.2 * 0.1 * 0.1 == pytest.approx(4 / 3 * np.pi * 2**3, rel=0.01)
    assert ball.max() == 1
    steps = np.array(grid.spacing)
    centre = np.array(center_of_mass(ball)) * steps
    moved = np.array(center_of_mass(placed.render(np.array([[0.5, 0.2, -0.3]])))) * steps
    np.testing.assert_allclose(moved - centre, [0.5, 0.2, -0.3], atol=0.01)


def test_a_shell_is_dark_inside() -> None:
    grid = Grid((80, 80, 80), (0.1, 0.1, 0.1))
    filled, hollow = (
        whole_ball(Spheres(diameter=(4.0, 4.0), spacing=(1e3, 1e3), shell=(t, t)), grid).render(
            np.zeros((1, 3))
        )
        for t in (0.0, 0.5)
    )
    assert hollow.sum() / filled.sum() == pytest.approx(1 - 0.75**3, rel=0.02)


def test_balls_below_a_voxel_keep_their_light() -> None:
    grid = Grid((40, 90, 90), (0.2, 0.1, 0.1))
    tiny = Spheres(diameter=(0.15, 0.15), spacing=(1.0, 1.0))
    light = np.mean([scene(tiny, grid, seed).sum() for seed in range(5)]) * 0.2 * 0.1 * 0.1
    assert light == pytest.approx(8 * 9 * 9 * np.pi / 6 * 0.15**3, rel=0.15)


@pytest.mark.parametrize(
    "grid",
    [
        pytest.param(Grid((90, 90), (0.1, 0.1)), id="2D"),
        pytest.param(Grid((40, 90, 90), (0.2, 0.1, 0.1)), id="3D"),
    ],
)
def test_small_hollow_balls_have_the_light_of_their_shell(grid: Grid) -> None:
    tiny = {"diameter": (0.15, 0.15), "spacing": (1.0, 1.0)}
    filled, hollow = (scene(Spheres(**tiny, shell=(t, t)), grid, 3).sum() for t in (0.0, 0.15 / 8))
    assert hollow / filled == pytest.approx(1 - 0.75**3, rel=1e-4)


def test_granules_have_the_size_they_say() -> None:
    """A Gaussian of full width d and height 1 holds pi d^2 / (4 ln 2) of light."""
    grid = Grid((500, 500), (0.05, 0.05))
    spots = Granules(diameter=(0.4, 0.4), spacing=(2.0, 2.0), brightness_spread=(0, 0))
    light = np.mean([scene(spots, grid, seed).sum() for seed in range(8)]) * 0.05**2
    assert light == pytest.approx((25 / 2) ** 2 * np.pi * 0.4**2 / (4 * np.log(2)), rel=0.1)


def test_crowded_places_are_parted_at_once_and_in_order() -> None:
    """As the definition says, place by place; a hundred thousand of them within seconds."""
    rng = np.random.default_rng(0)
    places = rng.uniform(0, 10, (400, 2))
    kept: list[np.ndarray] = []
    for place in places:
        if all(np.linalg.norm(place - other) >= 0.7 for other in kept):
            kept.append(place)
    assert np.array_equal(keep_apart(places, 0.7), kept)
    many = keep_apart(rng.uniform(0, 1000, (100_000, 2)), 2.0)
    assert cKDTree(many).query(many, k=2)[0][:, 1].min() >= 2.0


def test_nuclei_stay_apart_and_have_the_area_they_say() -> None:
    grid = Grid((500, 500), (0.3, 0.3))
    round_ones = Nuclei(
        diameter=(9.0, 9.0),
        elongation=(1.0, 1.0),
        apart=(1.2, 1.2),
        roughness=(0.03, 0.03),
    )
    regions, count = label(scene(round_ones, grid) > 0.1)
    cut = set(np.concatenate([regions[0], regions[-1], regions[:, 0], regions[:, -1]]))
    areas = [(regions == one).sum() * 0.3**2 for one in range(1, count + 1) if one not in cut]
    assert len(areas) > 20
    np.testing.assert_allclose(areas, np.pi * 4.5**2, rtol=0.12)


def test_cells_have_the_diameter_and_the_membranes_the_thickness_they_say() -> None:
    """Borders of square cells of diameter d, on average: 2 / d of length an area, times the
    light of a Gaussian of full width t, which is t sqrt(pi / ln 2) / 2."""
    grid = Grid((400, 400), (0.1, 0.1))
    plain = Membranes(
        diameter=(8.0, 8.0),
        thickness=(0.5, 0.5),
        inside=(0, 0),
        waviness=(0, 0),
        unevenness=(0, 0),
    )
    drawn = scene(plain, grid)
    light = 0.5 * np.sqrt(np.pi / np.log(2)) / 2 * 2 / 8.0
    assert drawn.mean() == pytest.approx(light, rel=0.1)
    count = label(drawn < 0.5)[1]
    assert count == pytest.approx((40 / 8) ** 2, rel=0.6)
    assert drawn.max() == pytest.approx(1, rel=0.02)


@pytest.mark.parametrize("moved", [pytest.param(0.0, id="at-rest"), pytest.param(40.0, id="moved")])
@pytest.mark.parametrize("grid", [pytest.param(PLANE, id="2D"), pytest.param(VOLUME, id="3D")])
def test_membranes_lie_halfway_between_the_two_nearest_centres(grid: Grid, moved: float) -> None:
    """Centres found by a search tree; the light falls with the distance to the plane between. Cells
    that have moved by many diameters leave gaps, and come in again behind 2.5 diameters."""
    straight = Membranes(
        diameter=(5.0, 5.0), thickness=(0.8, 0.8), inside=(0, 0), waviness=(0, 0), unevenness=(0, 0)
    )
    placed = straight.place(grid, np.random.default_rng(0))
    shifts = np.random.default_rng(1).normal(0, moved, (placed.count, grid.dimensions))
    drawn = placed.render(shifts)
    rng = np.random.default_rng(0)
    rng.uniform(size=5)  # the five ranges, as place() draws them
    lowest, period = -2.5 * 5.0, grid.extent + 5 * 5.0
    centres = lowest + np.mod(membranes._lattice(grid, 5.0, rng) + shifts - lowest, period)
    places = np.stack(np.indices(grid.shape), axis=-1) * np.array(grid.spacing)
    distances, nearest = cKDTree(centres).query(places, k=2)
    between = centres[nearest[..., 1]] - centres[nearest[..., 0]]
    apart = np.linalg.norm(between, axis=-1)
    to_plane = (distances[..., 1] ** 2 - distances[..., 0] ** 2) / (2 * apart)
    voxel = np.linalg.norm(between * np.array(grid.spacing), axis=-1) / apart
    width = np.maximum(voxel, 0.8)
    expected = 0.8 / width * np.exp(-4 * np.log(2) * (to_plane / width) ** 2)
    np.testing.assert_allclose(drawn, expected, atol=2e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_a_field_stays_as_full_as_it_was_however_far_objects_move(kind: str) -> None:
    """Everything would be gone after 200 micrometres, were nothing to come in."""
    grid = Grid((256, 256), (0.2, 0.2))
    before = after = 0.0
    for seed in range(4):
        placed = KINDS[kind]().place(grid, np.random.default_rng(seed))
        still = np.zeros((placed.count, 2))
        far = np.random.default_rng(seed).normal(0, 200, still.shape)
        before += placed.render(still).mean()
        after += placed.render(far).mean()
    assert after == pytest.approx(before, rel=0.2)


def test_a_nucleus_takes_its_texture_along() -> None:
    grid = Grid((90, 100), (0.3, 0.3))
    alone = Nuclei(spacing=(1e3, 1e3), texture=(0.5, 0.5))
    for seed in range(100):
        placed = alone.place(grid, np.random.default_rng(seed))
        still = placed.render(np.zeros((placed.count, 2)))
        if placed.count == 1 and still.any() and not still[15:-15, 15:-15].sum() < still.sum():
            moved = placed.render(np.array([[5 * 0.3, -8 * 0.3]]))
            np.testing.assert_allclose(moved, np.roll(still, (5, -8), (0, 1)), atol=1e-3)
            return
    raise AssertionError("no nucleus lies in the middle")


@pytest.mark.parametrize(
    "crowd",
    [
        pytest.param(Tubules(spacing=(0.01, 0.01)), id="tubules"),
        pytest.param(Granules(spacing=(0.01, 0.01)), id="granules"),
        pytest.param(Membranes(diameter=(0.01, 0.01)), id="membranes"),
        pytest.param(Nuclei(spacing=(0.1, 0.1)), id="nuclei"),
        pytest.param(Spheres(diameter=(0.1, 0.1), spacing=(0.2, 0.2)), id="spheres"),
    ],
)
def test_more_objects_than_memory_holds_are_refused(crowd: object) -> None:
    with pytest.raises(ConfigError, match="enlarge specimen"):
        crowd.place(Grid((64, 2000, 2000), (0.3, 0.1, 0.1)), np.random.default_rng(0))
