"""Patches: where they lie, how they are scaled and turned, and that batch k is always the same."""

from __future__ import annotations

import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from care_bridge.errors import TrainingError
from care_bridge.training.patch_config import NormalizationConfig
from care_bridge.training.patches import Foreground, PatchSource, turned
from care_bridge.training.scales import Scaling, measure_intensities
from care_bridge.training.stacks import Stack
from care_bridge.training.stream import stream
from tests.training_pairs import blobs, opened_stacks, write_image, write_pairs

RNG = np.random.default_rng(5)


def patch_source(
    stacks: list[Stack], patch: tuple[int, ...], share: float = 0.4, **changes: object
) -> PatchSource:
    normalization = NormalizationConfig()
    source = PatchSource.of(
        stacks,
        patch,
        share,
        part="training",
        scaling=Scaling(normalization, measure_intensities(stacks), vary=True),
        batch_size=4,
        augment=True,
        seed=(0,),
    )
    return replace(source, **changes)


def allowed_starts(
    target: np.ndarray, patch: tuple[int, ...], share: float
) -> set[tuple[int, ...]]:
    """Every patch whose window, half the patch around its centre, holds a bright enough pixel:
    counted one by one."""
    limit = share * np.percentile(target, 99.9)
    found = set()
    for start in np.ndindex(*(n - p + 1 for n, p in zip(target.shape, patch, strict=True))):
        window = tuple(
            slice(s + p // 2 - p // 4, s + p // 2 - p // 4 + p // 2)
            for s, p in zip(start, patch, strict=True)
        )
        if target[window].max() > limit:
            found.add(start)
    return found


@pytest.mark.parametrize(
    ("axes", "shape", "patch"),
    [
        pytest.param("YX", (40, 48), (16, 16), id="2d"),
        pytest.param("YX", (40, 48), (8, 20), id="oblong"),
        pytest.param("YX", (16, 16), (16, 16), id="patch-as-large-as-the-image"),
        pytest.param("ZYX", (10, 28, 32), (4, 12, 16), id="3d"),
    ],
)
def test_patches_lie_where_the_target_is_bright(
    tmp_path: Path, axes: str, shape: tuple[int, ...], patch: tuple[int, ...]
) -> None:
    target = np.zeros(shape, np.uint16)
    target.ravel()[RNG.integers(0, target.size, 4)] = (400, 800, 900, 1000)
    target += RNG.integers(10, 30, shape).astype(np.uint16)
    target[tuple(n // 2 for n in shape)] = 1000
    for side in ("source", "GT"):
        write_image(tmp_path / side / "im.tif", target)
    foreground = Foreground.find(opened_stacks(tmp_path, axes, patch)[0], patch, 0.4)
    allowed = allowed_starts(target, patch, 0.4)
    assert foreground.count == len(allowed)
    generator = np.random.default_rng(0)
    drawn = [foreground.draw(generator) for _ in range(12 * len(allowed))]
    assert {tuple(part.start for part in area) for area in drawn} == allowed
    assert {tuple(part.stop - part.start for part in area) for area in drawn} == {patch}


@pytest.mark.parametrize("highest", [0, -20], ids=["none-above-zero", "all-below-zero"])
def test_images_below_zero_show_as_much_as_the_same_above(tmp_path: Path, highest: int) -> None:
    """Its dark pixels are what is black in such an image: where they are 0, it is black as well."""
    above = blobs((40, 48), RNG)
    above[above < 500] = 0
    for side in ("source", "GT"):
        write_image(tmp_path / side / "im.tif", above - above.max() + highest)
    foreground = Foreground.find(opened_stacks(tmp_path, "YX", (16, 16))[0], (16, 16), 0.4)
    assert 0 < foreground.count == len(allowed_starts(above, (16, 16), 0.4)) < 25 * 33


def test_any_bright_channel_counts(tmp_path: Path) -> None:
    target = np.full((2, 32, 64), 10, np.uint16)
    target[0, 14:18, 14:18] = 1000
    target[1, 14:18, 46:50] = 100
    for side in ("source", "GT"):
        write_image(tmp_path / side / "im.tif", target, "CYX")
    foreground = Foreground.find(opened_stacks(tmp_path, "YX", (16, 16))[0], (16, 16), 0.4)
    generator = np.random.default_rng(0)
    centres = {foreground.draw(generator)[1].start + 8 for _ in range(200)}
    assert min(centres) < 18
    assert max(centres) > 46
    assert not any(24 < centre < 40 for centre in centres)


def test_images_without_anything_bright_are_left_out(tmp_path: Path) -> None:
    write_pairs(tmp_path, 1, (32, 32))
    dark = np.zeros((32, 32), np.uint16)
    dark[0] = range(32)  # bright only where no patch's centre can be
    write_image(tmp_path / "source" / "dark.tif", blobs((32, 32), RNG))
    write_image(tmp_path / "GT" / "dark.tif", dark)
    dark_stack, bright_stack = opened_stacks(tmp_path, "YX", (16, 16))
    source = patch_source([dark_stack, bright_stack], (16, 16))
    assert [foreground.stack.name for foreground in source.foregrounds] == ["im0.tif"]
    for stacks, expected in (
        ([dark_stack], "the only training image has nothing brighter"),
        ([dark_stack] * 2, "none of the 2 training images has anything brighter"),
    ):
        with pytest.raises(TrainingError, match=f"^{expected}.*, or set it lower$"):
            patch_source(stacks, (16, 16))


def test_where_all_is_black_a_lower_limit_is_no_remedy(tmp_path: Path) -> None:
    write_pairs(tmp_path, 2, (32, 32))
    write_image(tmp_path / "GT" / "im0.tif", np.zeros((32, 32), np.uint16))
    black, bright = opened_stacks(tmp_path, "YX", (16, 16), ("normalization.target=source",))
    scaling = patch_source([bright], (16, 16)).scaling
    with pytest.raises(TrainingError, match="check the targets, which must not be black$"):
        PatchSource.of(
            [black],
            (16, 16),
            0.0,
            part="validation",
            scaling=scaling,
            batch_size=4,
            augment=False,
            seed=(0,),
        )


def test_batch_k_depends_on_the_seed_and_k_alone(tmp_path: Path) -> None:
    stacks = opened_stacks(write_pairs(tmp_path, 3, (48, 48)), "YX", (16, 16))
    source, again = (patch_source(stacks, (16, 16)) for _ in range(2))
    in_order = [source.batch(k) for k in range(6)]
    backwards = [again.batch(k) for k in reversed(range(6))][::-1]
    for one, other in zip(in_order, backwards, strict=True):
        np.testing.assert_array_equal(one[0], other[0])
        np.testing.assert_array_equal(one[1], other[1])
    assert not np.array_equal(in_order[0][0], in_order[1][0])
    assert not np.array_equal(in_order[0][0], replace(source, seed=(1,)).batch(0)[0])


def test_source_and_target_show_the_same_place_the_same_way_round(tmp_path: Path) -> None:
    scene = blobs((64, 64), RNG)
    write_image(tmp_path / "source" / "im.tif", (3 * scene + 40).astype(np.float32))
    write_image(tmp_path / "GT" / "im.tif", scene)
    source = patch_source(opened_stacks(tmp_path, "YX", (16, 16)), (16, 16))
    for k in range(8):
        before, after = source.batch(k)
        # Percentile scaling takes any gain and offset out, if both get the same percents.
        np.testing.assert_allclose(before, after, atol=1e-5)


def test_each_patch_draws_its_own_percentiles_within_the_ranges(tmp_path: Path) -> None:
    pixels = RNG.integers(0, 60_000, (64, 64)).astype(np.uint16)
    for side in ("source", "GT"):
        write_image(tmp_path / side / "im.tif", pixels)
    (stack,) = opened_stacks(tmp_path, "YX", (16, 16))
    scaling = Scaling(NormalizationConfig(), measure_intensities([stack]), vary=True)
    generator = np.random.default_rng(0)
    drawn = [scaling.draw(stack, generator)[0].scales[0] for _ in range(300)]
    low = np.array([scale.offset for scale in drawn])
    high = low + np.array([scale.gain for scale in drawn])
    for levels, percents in ((low, (1, 3)), (high, (99.5, 99.9))):
        first, last = np.percentile(pixels, percents)
        assert (levels >= first - 1).all()
        assert (levels <= last + 1).all()
        assert np.ptp(levels) > 0.8 * (last - first)
    fixed = replace(scaling, vary=False).draw(stack, generator)[0].scales[0]
    assert fixed.offset == pytest.approx(np.percentile(pixels, 2))
    assert fixed.gain == pytest.approx(np.percentile(pixels, 99.8) - fixed.offset)


def test_turning_gives_all_eight_views_of_the_plane_and_never_touches_z() -> None:
    patch = RNG.random((1, 3, 5, 5), np.float32)
    views = [turned(patch, move) for move in range(8)]
    assert len({view.tobytes() for view in views}) == 8
    for view in views:
        # Each slice keeps its pixels and its place.
        np.testing.assert_array_equal(
            np.sort(view.reshape(3, -1), axis=1), np.sort(patch.reshape(3, -1), axis=1)
        )
    oblong = RNG.random((1, 4, 6), np.float32)
    assert {turned(oblong, move).shape for move in range(8)} == {oblong.shape}
    assert len({turned(oblong, move).tobytes() for move in range(8)}) == 4


def test_memory_does_not_grow_with_the_data(tmp_path: Path) -> None:
    """Eight images of 2 MB each: drawing batches holds less than one of them."""
    pixels = RNG.integers(0, 60_000, (1024, 1024)).astype(np.uint16)
    for index in range(8):
        for side in ("source", "GT"):
            write_image(tmp_path / side / f"im{index}.tif", pixels)
    tracemalloc.start()
    source = patch_source(opened_stacks(tmp_path, "YX", (32, 32)), (32, 32))
    held = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    for k in range(8):
        source.batch(k)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert held < 1 << 20
    assert peak < 1 << 20


def test_the_stream_gives_every_batch_once_in_order_and_passes_errors_on() -> None:
    def batch(k: int) -> tuple[np.ndarray, np.ndarray]:
        if k == 9:
            raise TrainingError("batch 9 is broken")
        return np.full(1, k, np.float32), np.full(1, -k, np.float32)

    assert [int(source[0]) for source, _ in stream(batch, 3, 9)] == [3, 4, 5, 6, 7, 8]
    with pytest.raises(TrainingError, match="batch 9"):
        list(stream(batch, 3, 12))
