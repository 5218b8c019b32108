"""Fine-tuning: the trained networks that a run starts from instead of freshly drawn weights.

What a network is stays as it was trained: its layers, its normalisation in prediction, and how many
of them there are. All else is the new run's own, its task too where that has such a network.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from care_bridge.errors import ConfigError, TrainingError
from care_bridge.package.onnx_file import convolutions
from care_bridge.package.package import Package, load_package
from care_bridge.training.checkpoint import BEST, LAST, build_network, load_checkpoint
from care_bridge.training.config import TrainConfig, parse_config
from care_bridge.training.csbdeep import config_of
from care_bridge.training.defaults import PRESETS, laid_over
from care_bridge.training.network_config import NetworkConfig
from care_bridge.training.networks.mixture import Mixture
from care_bridge.training.networks.unet import BATCH_NORM_EPS
from care_bridge.training.task import Task

State = Mapping[str, Tensor]

_BATCH_NORMS = (nn.BatchNorm2d, nn.BatchNorm3d)

_KEPT = (
    *(f"network.{key}" for key in NetworkConfig.model_fields),
    *(f"rcan.{key}" for key in ("channels", "groups", "blocks", "reduction")),
    "projection.n_first",
    *(f"normalization.{key}" for key in ("mode", "low", "high", "eps")),
    "probabilistic",
    "members",
)
"""The keys that are the trained network's."""


@dataclass(frozen=True)
class Start:
    """Trained networks to go on from.

    name: what they were given as. config: resolved, that they were trained with. channels_in,
    channels_out: theirs. states: the weights of each network, one unless it is an ensemble; of a
    package without batch normalisation, which its convolutions do as well. told: of them, in a
    run's checkpoints.
    """

    name: str
    config: TrainConfig
    channels_in: int
    channels_out: int
    states: Sequence[State]
    told: Mapping[str, Any]

    def configuration(self, given: Mapping[str, Any]) -> TrainConfig:
        """`given`, nested data as of `parse_config`, over what the networks are. ConfigError where
        it asks for another network, or cannot be used."""
        task = given.get("task") or self.config.task
        if _kind(task) != _kind(self.config.task):
            raise ConfigError(
                f"task has the value {task}, whose network is of another kind than that of "
                f"{self.name}, trained for {self.config.task}: leave out --task, or --from"
            )
        known = self.config.model_dump(exclude_none=True)
        wanted = ["train_low", "train_high"]
        if task == self.config.task:  # else the task says whose scale targets lie on
            wanted.append("target")
        below: dict[str, Any] = {
            "task": task,
            "normalization": {key: known["normalization"][key] for key in wanted},
        }
        if task == "rcan":
            below["rcan"] = {"tile": known["rcan"]["tile"]}
        for key in _KEPT:
            *section, name = key.split(".")
            (below.setdefault(section[0], {}) if section else below)[name] = attrgetter(key)(
                self.config
            )
        preset = given.get("preset")
        asked = laid_over(PRESETS.get(preset, {}) if isinstance(preset, str) else {}, given)
        config = parse_config(laid_over(below, asked))
        for key in _KEPT:
            mine, theirs = attrgetter(key)(config), attrgetter(key)(self.config)
            if mine != theirs:
                raise ConfigError(
                    f"{key} has the value {mine}, that of {self.name}, which training starts from, "
                    f"is {theirs}: leave it out, or start without --from"
                )
        return config

    def check(self, task: Task) -> None:
        """TrainingError where the images have other channels than the networks."""
        for what, found, expected in (
            ("sources", task.channels_in, self.channels_in),
            ("targets", task.channels_out, self.channels_out),
        ):
            if found != expected:
                raise TrainingError(
                    f"the {what} have {found} channels, those that {self.name} was trained on "
                    f"{expected}: train on such images, or without --from"
                )

    def give(self, number: int, task: Task) -> None:
        """Give `task`'s network the weights of network `number`."""
        missing = task.network.load_state_dict(self.states[number], strict=False).missing_keys
        if missing:
            source = torch.from_numpy(task.validation[0][0])
            _normalize_as_measured(task.network, source)


def open_start(source: str | Path) -> Start:
    """What lies at `source`: a run, a member or a checkpoint file of one, or a package (its folder,
    .zip or name). CareBridgeError where it cannot be read, TrainingError where it does not say how
    its network is built."""
    path = Path(source)
    is_run = path.suffix == ".ckpt" or any(
        (path / name).exists() for name in (BEST, LAST, "member1")
    )
    if not is_run:
        return _of_package(load_package(source))
    checkpoint = load_checkpoint(path)
    network = checkpoint.network
    networks = list(network.members) if isinstance(network, Mixture) else [network]
    return Start(
        name=str(source),
        config=checkpoint.config,
        channels_in=checkpoint.channels_in,
        channels_out=checkpoint.channels_out,
        states=[each.state_dict() for each in networks],
        told={
            "run": path.resolve().name,
            "steps": checkpoint.step,
            "weights": _digest([each.state_dict() for each in networks]),
        },
    )


def _of_package(package: Package) -> Start:
    spec = package.spec
    config = _package_config(package)
    prefixes = [f"members.{number}." for number in range(spec.member_count)] or [""]
    found = dict(_weights(package))
    states = [_of_network(package, config, found, prefix) for prefix in prefixes]
    return Start(
        name=str(package.source),
        config=config,
        channels_in=spec.channels_in,
        channels_out=spec.channels_out,
        states=states,
        told={
            "package": spec.nickname or spec.name,
            "version": spec.version,
            "weights": spec.weights.sha256,
        },
    )


def _package_config(package: Package) -> TrainConfig:
    """What the package says that its networks were trained with; TrainingError where it does not,
    or not so that this version understands it."""
    told = package.spec.config.get("training")
    kept = told.get("config") if isinstance(told, Mapping) else None
    foreign = told.get("csbdeep") if isinstance(told, Mapping) else None
    try:
        if isinstance(foreign, Mapping):
            return config_of(foreign).resolved(package.spec.input.axes.removeprefix("BC"))
        if isinstance(kept, Mapping):
            return parse_config(kept).resolved(package.spec.input.axes.removeprefix("BC"))
    except (ConfigError, KeyError) as error:
        raise TrainingError(
            f"{package.source} describes its network as this version does not know it ({error}): "
            "start from the run that it was exported from"
        ) from None
    raise TrainingError(
        f"{package.source} does not say how its network is built: start from a package that "
        "care_bridge exported, or from a run"
    )


def _weights(package: Package) -> Iterator[tuple[str, Tensor]]:
    """Weight and bias of each convolution, as the network names them."""
    source = package.spec.weights.source
    for name, (kernel, bias) in convolutions(package.weights(), source).items():
        yield name, torch.from_numpy(kernel)
        yield f"{name.removesuffix('weight')}bias", torch.from_numpy(bias)


def _of_network(
    package: Package, config: TrainConfig, found: Mapping[str, Tensor], prefix: str
) -> State:
    """Those of the weights `found` whose names begin with `prefix` and go on as in such a network;
    TrainingError unless all of its convolutions are there. The file may hold more: a pooling that
    does not alias is a convolution in it."""
    with torch.device("meta"):  # shapes alone: no memory
        network = build_network(config, package.spec.channels_in, package.spec.channels_out)
    state = {}
    for place, layer in network.named_modules():
        if isinstance(layer, _BATCH_NORMS):
            continue
        for key, parameter in layer.named_parameters(recurse=False):
            tensor = found.get(f"{prefix}{place}.{key}")
            if tensor is None or tensor.shape != parameter.shape:
                raise TrainingError(
                    f"the weights in {package.source} are not those of the network that it "
                    "describes: start from the run that it was exported from"
                )
            state[f"{place}.{key}"] = tensor
    return state


def _normalize_as_measured(network: nn.Module, source: Tensor) -> None:
    """Set each batch normalisation of `network` to what it changes nothing by on `source`, as far
    as convolutions before it were exported with its work in them: then training, which normalises
    by batches, starts from the same outputs."""

    def measure(layer: nn.Module, inputs: tuple[Tensor, ...], _: Tensor) -> Tensor:
        (features,) = inputs
        variance, mean = torch.var_mean(features, dim=(0, *range(2, features.ndim)))
        layer.load_state_dict(
            {
                "weight": torch.sqrt(variance + BATCH_NORM_EPS),
                "bias": mean,
                "running_mean": mean,
                "running_var": variance,
                "num_batches_tracked": torch.tensor(0),
            }
        )
        return features

    layers = [layer for layer in network.modules() if isinstance(layer, _BATCH_NORMS)]
    hooks = [layer.register_forward_hook(measure) for layer in layers]
    network.eval()
    with torch.no_grad():
        network(source)
    for hook in hooks:
        hook.remove()


def _kind(task: object) -> object:
    """Of the network of a task."""
    return task if task in ("rcan", "projection") else "U-Net"


def _digest(states: Sequence[State]) -> str:
    """SHA-256 of all weights."""
    digest = hashlib.sha256()
    for state in states:
        for name, tensor in state.items():
            digest.update(name.encode())
            digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()
