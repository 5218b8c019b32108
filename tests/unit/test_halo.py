"""The measured halo against known reaches and against tiles that are really cut."""

import numpy as np
import onnxruntime
import pytest
import torch

from care_bridge.errors import TilingError
from care_bridge.export.graph import run_torch
from care_bridge.export.reach import structural_halo
from care_bridge.runtime.halo import Probed, measure_halo, moves_along
from care_bridge.tiling import AxisLimits
from care_bridge.training.networks.whole import mixture
from tests.checkpoints import untrained
from tests.packages import HALO, tiny_network


def limits_of(axes, step):
    return {axis: AxisLimits(step=step, min=step, halo=0) for axis in axes}


# Receptive fields of csbdeep's default U-Net with nearest upsampling, in pixels a side, for tile
# starts aligned to 2**depth; computed for its structure by arithmetic, not by this program.
KNOWN = {
    "2D-depth-1-kernel-3": ("YX", 1, 3, 8),
    "2D-depth-1-kernel-5": ("YX", 1, 5, 16),
    "2D-depth-2-kernel-3": ("YX", 2, 3, 22),
    "2D-depth-2-kernel-5": ("YX", 2, 5, 40),
    "2D-depth-3-kernel-3": ("YX", 3, 3, 46),
    "2D-depth-3-kernel-5": ("YX", 3, 5, 92),
    "2D-depth-4-kernel-3": ("YX", 4, 3, 94),
    "3D-depth-2-kernel-3": ("ZYX", 2, 3, 22),
}


@pytest.mark.parametrize("case", KNOWN)
def test_the_reach_of_the_care_unet(case):
    axes, depth, kernel, expected = KNOWN[case]
    network = untrained(axes, kernel=kernel, depth=depth).network
    found = structural_halo(network, axes, 1, limits_of(axes, 2**depth))
    assert found == dict.fromkeys(axes, expected)


def test_a_drawn_network_reaches_as_far_as_its_structure():
    network = untrained(kernel=5).network
    limits = limits_of("YX", 4)
    assert measure_halo(Probed(lambda x: run_torch(network, x), "BCYX", 1, limits)) == {
        "Y": 40,
        "X": 40,
    }


def test_a_silent_network_still_has_its_structures_halo():
    """Weights of zero let nothing through; more training would."""
    network = untrained().network
    with torch.no_grad():
        for weights in network.parameters():
            weights.zero_()
    limits = limits_of("YX", 4)
    assert measure_halo(Probed(lambda x: run_torch(network, x), "BCYX", 1, limits)) == {
        "Y": 0,
        "X": 0,
    }
    assert structural_halo(network, "YX", 1, limits) == {"Y": 22, "X": 22}


@pytest.mark.parametrize("dims", [2, 3])
def test_the_halo_is_what_a_cut_tile_gets_wrong(dims):
    session = onnxruntime.InferenceSession(tiny_network(dims), providers=["CPUExecutionProvider"])
    axes = "ZYX"[-dims:]
    found = measure_halo(
        Probed(lambda x: session.run(None, {"input": x})[0], f"BC{axes}", 1, limits_of(axes, 4))
    )
    image = np.random.default_rng(0).normal(0, 1, (1, 1, 64, *(20,) * (dims - 1)))
    image = image.astype(np.float32)
    whole = session.run(None, {"input": image})[0]
    tile = session.run(None, {"input": image[:, :, 32:]})[0]
    others = tuple(dimension for dimension in range(tile.ndim) if dimension != 2)
    wrong = np.flatnonzero((tile != whole[:, :, 32:]).any(axis=others))
    assert found[axes[0]] == wrong.max() + 1 == HALO


def test_each_axis_has_its_own_reach():
    layer = torch.nn.Conv2d(1, 1, (3, 7), padding="same")
    found = measure_halo(Probed(lambda x: run_torch(layer, x), "BCYX", 1, limits_of("YX", 1)))
    assert found == {"Y": 1, "X": 3}


def test_one_sided_reaches_count():
    def shifted(x):
        return np.roll(x, 5, axis=2) * (np.arange(x.shape[2]) >= 5)[:, None]

    assert measure_halo(Probed(shifted, "BCYX", 1, limits_of("YX", 1))) == {"Y": 5, "X": 0}


def test_sizes_of_other_networks_are_respected():
    seen = []

    def keep(x):
        seen.append(x.shape)
        return x

    measure_halo(Probed(keep, "BYXC", 3, {"Y": AxisLimits(16, 24, 0), "X": AxisLimits(8, 32, 0)}))
    for batch, y, x, channels in seen:
        assert (batch, channels) == (1, 3)
        assert y >= 24
        assert x >= 32
        assert (y - 24) % 16 == (x - 32) % 8 == 0


def test_global_pooling_is_told():
    def pooled(x):
        return x + x.mean(axis=(2, 3), keepdims=True)

    with pytest.raises(TilingError, match="cannot be run in tiles"):
        measure_halo(Probed(pooled, "BCYX", 1, limits_of("YX", 1)))


def test_an_ensemble_that_projects_reaches_as_far_as_both_of_its_stages():
    """The projector's 47 pixels, in whole steps of the U-Net (two pixels), and that one's 8: their
    sum of 55 falls short of what drawn networks were seen to reach."""
    unet = {"channels_out": 1, "depth": 1, "kernel": 3, "n_first": 1, "convolutions": 2}
    network = mixture(
        members=2, projector_filters=1, channels_in=1, residual=True, probabilistic=True, **unet
    )
    assert structural_halo(network.eval(), "ZYX", 1, limits_of("YX", 16)) == {"Y": 56, "X": 56}


def every_other(x):
    """The larger of two neighbours along Y, twice: a pooling that is undone."""
    pairs = x.reshape(*x.shape[:2], -1, 2, x.shape[3]).max(axis=3)
    return pairs.repeat(2, axis=2)


@pytest.mark.parametrize(("shift", "moves"), [(1, False), (2, True), (3, False), (4, True)])
def test_a_pooling_moves_along_by_its_multiples_alone(shift, moves):
    network = Probed(every_other, "BCYX", 1, limits_of("YX", 4))
    assert moves_along(network, "Y", shift, 1) == moves
    assert moves_along(network, "X", shift, 1)


def test_a_convolution_moves_along_by_any_number():
    layer = torch.nn.Conv2d(1, 1, (3, 7), padding="same")
    network = Probed(lambda x: run_torch(layer, x), "BCYX", 1, limits_of("YX", 4))
    assert moves_along(network, "X", 3, 3)
