"""Models that csbdeep trained, read without TensorFlow: config.json and Keras' weights in HDF5."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from care_bridge.errors import TrainingError
from care_bridge.images import Image
from care_bridge.training.checkpoint import Checkpoint, Example
from care_bridge.training.config import TrainConfig, parse_config
from care_bridge.training.networks.mixture import Mixture
from care_bridge.training.networks.unet import UNet
from care_bridge.training.scales import Intensities

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""A convolution's kernel, in Keras' order of axes, and its bias."""

_CONFIG = "config.json"
_WEIGHTS = ("weights_best.h5", "weights_last.h5", "weights_now.h5")
_CONVOLUTIONS = 2
_KEYS = {
    "axes": (str, 0),
    "n_channel_in": (int, 1),
    "n_channel_out": (int, 1),
    "unet_residual": (bool, 0),
    "unet_n_depth": (int, 1),
    "unet_kern_size": (int, 1),
    "unet_n_first": (int, 1),
    "unet_last_activation": (str, 0),
}
"""What describes the network: of which type, and at least how much."""


def import_csbdeep(folder: Path, example: Image | None = None) -> Checkpoint:
    """The network that csbdeep's CARE keeps in `folder`, as a checkpoint in memory.

    example: an image of the kind that it restores, its first frame is taken; None: simulated spots.
    TrainingError where the folder holds no such network, or one that is built in another way.
    """
    told = _read_config(folder)
    axes = _network_axes(told)
    network = _network(told, axes)
    layers = _read_weights(folder)
    kernel_axes = told["axes"].replace("C", "")
    try:
        network.load_state_dict(_state(network, layers, [kernel_axes.index(axis) for axis in axes]))
    except (KeyError, RuntimeError, ValueError) as error:
        raise TrainingError(
            f"the weights in {folder} are not those of its {_CONFIG}: "
            f"{' '.join(str(error).split())[:200]}"
        ) from None
    probabilistic = bool(told.get("probabilistic"))
    whole = Mixture([network]) if probabilistic else network
    channels_in = told["n_channel_in"]
    shown = _frame(example, axes, channels_in) if example else _spots(axes, channels_in)
    return Checkpoint(
        config=config_of(told),
        network=whole.requires_grad_(False).eval(),
        axes=axes,
        channels_in=channels_in,
        channels_out=told["n_channel_out"],
        step=0,
        validation={},
        example=Example(shown, shown),
        intensities=Intensities((), ()),
        images={"training": [], "validation": []},
        versions={},
        imported=told,
    )


def config_of(told: Mapping[str, Any]) -> TrainConfig:
    """What csbdeep's configuration, read by `import_csbdeep`, says of the network."""
    return parse_config(
        {
            "network": {
                "axes": _network_axes(told),
                "depth": told["unet_n_depth"],
                "kernel": told["unet_kern_size"],
                "n_first": told["unet_n_first"],
                "convolutions": _CONVOLUTIONS,
                "residual": told["unet_residual"],
            },
            "probabilistic": bool(told.get("probabilistic")),
        }
    )


def _network_axes(told: Mapping[str, Any]) -> str:
    return "".join(axis for axis in "ZYX" if axis in told["axes"])


def _frame(image: Image, axes: str, channels: int) -> NDArray[np.generic]:
    """The first frame (in 2D: the middle slice) of `image`, (C, [Z,] Y, X)."""
    volume: NDArray[np.generic] = image.axes.to(image.pixels, "STCZYX")[0, 0]
    if len(volume) != channels or ("Z" in axes and volume.shape[1] == 1):
        raise TrainingError(
            f"the example has the axes {image.axes} and {len(volume)} channels, the model expects "
            f"{channels} channels and the axes {axes}: give such an image"
        )
    middle: NDArray[np.generic] = volume[:, volume.shape[1] // 2]
    return volume if "Z" in axes else middle


def _spots(axes: str, channels: int) -> NDArray[np.uint16]:
    """A noisy image of spots, (C, [Z,] Y, X)."""
    generator = np.random.default_rng(0)
    shape = {"YX": (128, 128), "ZYX": (32, 96, 96)}[axes]
    spots = (generator.random((channels, *shape)) > 0.998) * generator.lognormal(0, 1, shape)
    blurred = np.stack([gaussian_filter(channel, 2.5) for channel in spots])
    light: NDArray[np.float64] = 20 + 400 * blurred / blurred.max()
    return generator.poisson(light).astype(np.uint16)


def _read_config(folder: Path) -> dict[str, Any]:
    """The configuration, with the keys that describe the network; TrainingError where it is none,
    or of a network that UNet cannot be."""
    file = folder / _CONFIG
    try:
        told = json.loads(file.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise TrainingError(
            f"{file} cannot be read ({error}): give the folder of a model that csbdeep trained, "
            f"with {_CONFIG} and {_WEIGHTS[0]} in it"
        ) from None
    if not isinstance(told, dict):
        raise TrainingError(f"{file} is no configuration of csbdeep's: it holds no keys")
    for key, (kind, least) in _KEYS.items():
        value = told.get(key)
        if not isinstance(value, kind) or (isinstance(value, int) and value < least):
            raise TrainingError(
                f"{file} has {key} = {value!r}, which describes no network: only models of "
                "csbdeep's CARE can be imported"
            )
    if sorted(told["axes"]) not in (["C", "X", "Y"], ["C", "X", "Y", "Z"]):
        raise TrainingError(f"{file} has the axes {told['axes']}: only YX and ZYX can be imported")
    if told["unet_last_activation"] != "linear":
        raise TrainingError(
            f"{file} has the last activation {told['unet_last_activation']}: only linear can be "
            "imported"
        )
    projecting = sorted(key for key in told if key.startswith("proj_"))
    if projecting:
        raise TrainingError(
            f"{file} is of a model that projects ({projecting[0]}): only models whose images keep "
            "their axes can be imported"
        )
    return told


def _network(told: Mapping[str, Any], axes: str) -> UNet:
    return UNet(
        dimensions=len(axes),
        channels_in=told["n_channel_in"],
        channels_out=told["n_channel_out"],
        depth=told["unet_n_depth"],
        kernel=told["unet_kern_size"],
        n_first=told["unet_n_first"],
        convolutions=_CONVOLUTIONS,
        residual=told["unet_residual"],
        probabilistic=bool(told.get("probabilistic")),
    )


def _read_weights(folder: Path) -> dict[str, Layer]:
    """The convolutions in the first of the folder's weight files, by Keras' names."""
    file = next((folder / name for name in _WEIGHTS if (folder / name).is_file()), None)
    if file is None:
        raise TrainingError(f"{folder} has no weights: expected {' or '.join(_WEIGHTS)} in it")
    try:
        with h5py.File(file, "r") as opened:
            kept = opened.get("model_weights", opened)  # there in files of whole models
            if "layer_names" not in kept.attrs:
                raise TrainingError(
                    f"{file} lists no layers: it is not as Keras 2 writes weights; save the model "
                    "again with csbdeep and tf-keras (TF_USE_LEGACY_KERAS=1)"
                )
            return dict(_layers(kept))
    except (OSError, KeyError, ValueError) as error:
        raise TrainingError(f"{file} cannot be read: {error}") from None


def _layers(kept: h5py.Group) -> Iterator[tuple[str, Layer]]:
    for name in map(_text, kept.attrs["layer_names"]):
        arrays = {
            _text(entry).rsplit("/", 1)[-1].split(":")[0]: kept[name][_text(entry)]
            for entry in kept[name].attrs["weight_names"]
        }
        if "kernel" in arrays:
            yield name, (arrays["kernel"][()], arrays["bias"][()])


def _text(name: str | bytes) -> str:
    return name.decode("utf-8") if isinstance(name, bytes) else name


def _state(network: UNet, layers: Mapping[str, Layer], order: list[int]) -> dict[str, torch.Tensor]:
    """The network's weights. order: of Keras' spatial axes as the network has them."""
    depth = len(network.encoder)
    names = {}
    for level in range(depth):
        for index in range(_CONVOLUTIONS):
            # A convolution and its activation are two entries of a block.
            names[f"encoder.{level}.{2 * index}"] = f"down_level_{level}_no_{index}"
        # csbdeep numbers a decoder's levels downwards, and its last convolutions one too high.
        for index, number in enumerate((*range(_CONVOLUTIONS - 1), _CONVOLUTIONS)):
            names[f"decoder.{depth - 1 - level}.{2 * index}"] = f"up_level_{level}_no_{number}"
    for index, number in enumerate((*range(_CONVOLUTIONS - 1), _CONVOLUTIONS)):
        names[f"bottleneck.{2 * index}"] = f"middle_{number}"
    # The last ones have no names of their own: Keras numbers them as they were made.
    unnamed = sorted(set(layers) - set(names.values()), key=lambda name: (len(name), name))
    names |= dict(zip(("last", "scale"), unnamed, strict=False))
    state = {}
    for ours, theirs in names.items():
        kernel, bias = layers[theirs]
        spatial = kernel.ndim - 2
        moved = kernel.transpose(spatial + 1, spatial, *order)
        state[f"{ours}.weight"] = torch.from_numpy(np.ascontiguousarray(moved))
        state[f"{ours}.bias"] = torch.from_numpy(bias)
    return state
