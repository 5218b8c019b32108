"""The U-Net against csbdeep's default structure and other ways of upsampling."""

from __future__ import annotations

import math

import numpy as np
import onnx
import pytest
import torch

from care_bridge.export.graph import export_onnx
from care_bridge.training.checkpoint import build_network
from care_bridge.training.config import load_config
from care_bridge.training.networks.unet import UNet, upsample


def unet(axes: str = "YX", channels_in: int = 1, channels_out: int = 1, *settings: str) -> UNet:
    config = load_config(None, settings).resolved(axes)
    return build_network(config, channels_in, channels_out)


@pytest.mark.parametrize(
    ("axes", "channels", "parameters"),
    [
        # csbdeep 0.8.2's Config defaults; 800 more for each further input channel in 2D (25
        # weights for each of 32 filters), 33 for each further output channel.
        pytest.param("YX", (1, 1), 922_977, id="2d"),
        pytest.param("ZYX", (1, 1), 996_769, id="3d"),
        pytest.param("YX", (2, 1), 922_977 + 800, id="2d-two-channels-in"),
        pytest.param("YX", (1, 3), 922_977 + 2 * 33, id="2d-three-channels-out"),
    ],
)
def test_parameters_are_csbdeeps(axes: str, channels: tuple[int, int], parameters: int) -> None:
    assert sum(weights.numel() for weights in unet(axes, *channels).parameters()) == parameters


@pytest.mark.parametrize("sizes", [(4, 6), (2, 4, 6)], ids=["2d", "3d"])
def test_upsampling_repeats_each_pixel(sizes: tuple[int, ...]) -> None:
    x = torch.randn(2, 3, *sizes)
    expected = x.numpy()
    for axis in range(2, x.ndim):
        expected = np.repeat(expected, 2, axis=axis)
    np.testing.assert_array_equal(upsample(x).numpy(), expected)


@pytest.mark.parametrize(
    ("axes", "shape"), [("YX", (2, 1, 20, 28)), ("ZYX", (1, 1, 8, 12, 16))], ids=["2d", "3d"]
)
def test_training_and_restoring_compute_the_same(axes: str, shape: tuple[int, ...]) -> None:
    network = unet(axes, 1, 1, "network.n_first=4")
    x = torch.randn(shape)
    with torch.no_grad():
        trained, restored = network.train()(x), network.eval()(x)
    torch.testing.assert_close(restored, trained, rtol=0, atol=1e-6)
    assert restored.shape == shape


@pytest.mark.parametrize(
    ("channels_out", "setting", "adds_input"),
    [
        pytest.param(1, "true", True, id="same-channels"),
        pytest.param(2, "true", False, id="other-channels"),
        pytest.param(1, "false", False, id="switched-off"),
    ],
)
def test_the_input_is_added_where_channels_match(
    channels_out: int, setting: str, adds_input: bool
) -> None:
    network = unet("YX", 1, channels_out, f"network.residual={setting}", "network.n_first=4")
    torch.nn.init.zeros_(network.last.weight)
    x = torch.randn(1, 1, 8, 8)
    expected = x if adds_input else torch.zeros(1, channels_out, 8, 8)
    torch.testing.assert_close(network(x), expected)


def test_weights_start_glorot_uniform_and_biases_at_zero() -> None:
    network = unet()
    second = network.encoder[0][2]
    bound = math.sqrt(6 / (32 * 25 + 32 * 25))
    weights = second.weight.detach().numpy()
    assert 0.99 * bound < np.abs(weights).max() <= bound
    assert weights.std() == pytest.approx(bound / math.sqrt(3), rel=0.02)
    assert all(not weights.any() for name, weights in network.named_parameters() if "bias" in name)


def test_the_same_seed_draws_the_same_weights_and_leaves_torchs_own_alone() -> None:
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    one, same, other = unet(), unet(), unet("YX", 1, 1, "seed=1")
    assert torch.rand(1) == expected
    assert torch.equal(one.last.weight, same.last.weight)
    assert not torch.equal(one.last.weight, other.last.weight)


@pytest.mark.parametrize(
    ("axes", "upsampling", "other"), [("YX", "Resize", "Expand"), ("ZYX", "Expand", "Resize")]
)
def test_upsampling_is_exported_as_what_runs_faster(axes: str, upsampling: str, other: str) -> None:
    network = unet(axes, 1, 1, "network.n_first=2", "network.depth=1").eval()
    weights = export_onnx(network, axes, 1, [2] * len(axes))
    kinds = {node.op_type for node in onnx.load_from_string(weights).graph.node}
    assert upsampling in kinds
    assert other not in kinds
