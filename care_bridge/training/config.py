"""The configuration of a training run: all sections together, read, checked and written again."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterator, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from care_bridge.errors import ConfigError
from care_bridge.plain_yaml import read_yaml_file, set_key
from care_bridge.training.data_config import DataConfig
from care_bridge.training.defaults import (
    ALONE_PATCHES,
    BLIND_SPOT_TASKS,
    HAVE_A_DIRECTION,
    KERNELS,
    NOT_PROBABILISTIC,
    PAIR_TASKS,
    PATCHES,
    PRESETS,
    PROBABILISTIC,
    PROJECTOR_POOLINGS,
    RCAN_TILES,
    TASKS,
    laid_over,
)
from care_bridge.training.learning_config import TrainingConfig
from care_bridge.training.network_config import NetworkConfig, ProjectionConfig, RcanConfig
from care_bridge.training.patch_config import BlindSpotConfig, NormalizationConfig, PatchConfig
from care_bridge.training.sampling_config import IsotropicConfig, UpsamplingConfig
from care_bridge.training.task_keys import keys_of_others

_MOST_MEMBERS = 32
_LEAST_MASKED = 2


class _Kind(BaseModel):
    """What decides on the defaults of everything else."""

    model_config = ConfigDict(frozen=True)

    task: Literal[
        "care", "n2n", "n2v", "n2v2", "structn2v", "isotropic", "upsampling", "projection", "rcan"
    ] = "care"
    preset: Literal["denoise", "deconvolve", "aberration", "resolution"] | None = None
    probabilistic: bool = False


class TrainConfig(_Kind):
    """All that a run is told; written beside it as config.yaml.

    task: "care" learns from pairs of a degraded and a good image, "upsampling" from pairs of a
    coarser and a finer one, "n2n" from pairs of noisy ones,
    "n2v", "n2v2" and "structn2v" from noisy ones alone, "isotropic" from volumes alone. preset: the
    problem that pairs are to solve. probabilistic: learn a Laplace distribution of each pixel
    instead of its value. These change defaults (defaults.py). members: how many probabilistic
    networks are trained, one after the other, to be one model.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: Annotated[int, Field(ge=1, le=_MOST_MEMBERS)] = 1
    seed: Annotated[int, Field(ge=0, lt=1 << 63)] = 0
    data: DataConfig = DataConfig()
    normalization: NormalizationConfig = NormalizationConfig()
    patches: PatchConfig = PatchConfig()
    n2v: BlindSpotConfig = BlindSpotConfig()
    isotropic: IsotropicConfig = IsotropicConfig()
    upsampling: UpsamplingConfig = UpsamplingConfig()
    projection: ProjectionConfig = ProjectionConfig()
    rcan: RcanConfig = RcanConfig()
    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()

    @property
    def size_step(self) -> int:
        """Pixels of which the network's sizes are multiples, along the axes of patches."""
        if self.task == "rcan":
            return 1
        depth = self.network.depth
        halvings = max(depth, PROJECTOR_POOLINGS) if self.task == "projection" else depth
        return 1 << halvings

    def resolved(self, axes: str) -> TrainConfig:
        """This configuration with what depends on the network's axes ("YX" or "ZYX") filled in.

        ConfigError where the patch does not suit the axes, the depth or the share of masked
        pixels, or there is no such axis as that of the noise.
        """
        if self.task == "structn2v" and self.n2v.axis not in axes:
            raise ConfigError(
                f"n2v.axis has the value {self.n2v.axis}, the network has the axes {axes}: name "
                "the one of them along which the noise is correlated"
            )
        if self.task == "projection" and axes != "ZYX":
            raise ConfigError(
                f"network.axes has the value {axes}, the task projection makes planes of stacks: "
                "leave it out"
            )
        if self.task == "isotropic" and axes != "YX":
            raise ConfigError(
                f"network.axes has the value {axes}, the task isotropic restores stacks plane by "
                "plane: leave it out"
            )
        sizes = PATCHES if self.task in PAIR_TASKS else ALONE_PATCHES
        size = self.patches.size or sizes[axes]
        plane = axes if self.task != "projection" else axes.removeprefix("Z")
        step = self.size_step
        if len(size) != len(plane) or any(pixels % step for pixels in size):
            raise ConfigError(
                f"patches.size {list(size)} does not suit a network with axes {axes}"
                + (f" and depth {self.network.depth}" if step > 1 else "")
                + f": give {len(plane)} "
                + (f"multiples of {step}" if step > 1 else "numbers of pixels")
            )
        masked = math.prod(size) * self.n2v.masked_percentage / 100
        if self.task in BLIND_SPOT_TASKS and masked < _LEAST_MASKED:
            raise ConfigError(
                f"patch too small for this share of masked pixels: {self.n2v.masked_percentage:g} "
                f"percent of patches.size {list(size)} are {masked:.2g}, at least {_LEAST_MASKED} "
                "are needed; set a larger patches.size or a larger n2v.masked_percentage"
            )
        rcan = {"tile": self._rcan_tile(axes, size)} if self.task == "rcan" else {}
        network = {"axes": axes, "kernel": self.network.kernel or KERNELS[plane]}
        return self.model_copy(
            update={
                "network": self.network.model_copy(update=network),
                "rcan": self.rcan.model_copy(update=rcan),
                "patches": self.patches.model_copy(update={"size": size}),
            }
        )

    def _rcan_tile(self, axes: str, patch: tuple[int, ...]) -> tuple[int, ...]:
        """The tile of restoring; ConfigError where it does not suit the axes or the patch."""
        if self.rcan.tile is None:
            return tuple(map(max, RCAN_TILES[axes], patch))
        tile = self.rcan.tile
        if len(tile) != len(axes):
            raise ConfigError(
                f"rcan.tile {list(tile)} does not suit a network with axes {axes}: give "
                f"{len(axes)} numbers of pixels"
            )
        if any(ours < trained for ours, trained in zip(tile, patch, strict=True)):
            raise ConfigError(
                f"rcan.tile {list(tile)} is smaller than the training patches {list(patch)}, but "
                "attention must see as much in restoring as it did in training: set a larger "
                "rcan.tile, or a smaller patches.size"
            )
        return tile


def load_config(path: Path | None, settings: Sequence[str] = ()) -> TrainConfig:
    """The configuration of a YAML file (None: the defaults), changed by "section.key=value" texts.

    ConfigError where a key is unknown (it names the nearest one) or for another task, or a value
    cannot be used.
    """
    values = read_values(path, settings)
    config = parse_config(values)
    check_given(values, config)
    return config


def read_values(path: Path | None, settings: Sequence[str] = ()) -> dict[str, Any]:
    """What a YAML file says (None: nothing), changed by "section.key=value" texts; not checked."""
    values = _read(path) if path else {}
    for setting in settings:
        set_key(values, setting)
    return values


def parse_config(values: Mapping[str, Any]) -> TrainConfig:
    """The configuration of plain nested data, be it a stored one; ConfigError as in `load_config`,
    but not for keys of other tasks."""
    known = TrainConfig.model_fields
    given = {key: value for key, value in values.items() if value is not None or key not in known}
    try:
        kind = _Kind.model_validate(given)
        below = laid_over(TASKS[kind.task], PRESETS[kind.preset] if kind.preset else {})
        below = laid_over(below, PROBABILISTIC if kind.probabilistic else {})
        config = TrainConfig.model_validate(laid_over(below, given))
    except ValidationError as error:
        raise ConfigError(_explain(error)) from None
    _check_task(config)
    return config


def check_given(values: Mapping[str, Any], config: TrainConfig) -> None:
    """ConfigError where somebody gave a key that changes nothing, because it is for another task
    than `config`'s. values: what was given. Its default may be given: complete configurations say
    it, too."""
    usual = parse_config({key: getattr(config, key) for key in _Kind.model_fields})
    for key, told in keys_of_others(config.task, values):
        value = attrgetter(key)(config)
        if value != attrgetter(key)(usual):
            raise ConfigError(f"{key} has the value {value}, {told}")


def differences(one: TrainConfig, other: TrainConfig) -> Iterator[tuple[str, Any, Any]]:
    """The keys ("section.key") that differ, with both values."""
    for key in _keys():
        mine, theirs = attrgetter(key)(one), attrgetter(key)(other)
        if mine != theirs and not isinstance(mine, BaseModel):
            yield key, mine, theirs


def dump_config(config: TrainConfig) -> str:
    """The configuration as YAML that `load_config` reads again."""
    text: str = yaml.safe_dump(config.model_dump(mode="json"), sort_keys=False)
    return text


def _check_task(config: TrainConfig) -> None:
    """ConfigError where keys are not for the task."""
    learns_from_pairs = config.task in PAIR_TASKS
    if config.members > 1 and not config.probabilistic:
        raise ConfigError(
            f"members has the value {config.members}, but a mixture is one of probabilistic "
            "networks: set probabilistic=true, too"
        )
    if config.probabilistic != (config.training.loss == "laplace"):
        raise ConfigError(
            f"training.loss has the value {config.training.loss}, probabilistic "
            f"{str(config.probabilistic).lower()}: probabilistic networks, and no others, are "
            "trained with laplace; leave the loss out"
        )
    if config.probabilistic and config.task in NOT_PROBABILISTIC:
        key = "members" if config.members > 1 else "probabilistic"
        reason = NOT_PROBABILISTIC[config.task]
        raise ConfigError(f"{key} does not suit the task {config.task} ({reason}): leave it out")
    if config.patches.augment is True and config.task in HAVE_A_DIRECTION:
        raise ConfigError(
            f"patches.augment has the value true, which turns patches, but the task {config.task} "
            "tells their axes apart: leave it out, or give flips"
        )
    keys = {
        "preset": not config.preset or learns_from_pairs,
        "data.target": (config.data.target is not None) == learns_from_pairs,
        "data.target_axes": config.data.target_axes is None or learns_from_pairs,
        "data.target_channels": config.data.target_channels is None or learns_from_pairs,
        "data.target_frames": config.data.target_frames == "each" or learns_from_pairs,
        "training.loss": config.training.loss != "mae+ssim" or learns_from_pairs,
    }
    for key, fits in keys.items():
        if not fits:
            given = "pairs" if learns_from_pairs else "images alone"
            raise ConfigError(
                f"{key} has the value {attrgetter(key)(config)}, which does not suit the task "
                f"{config.task}, learned from {given}: leave it out"
            )


def _read(path: Path) -> dict[str, Any]:
    values = read_yaml_file(path, f"the configuration {path}")
    if values is None:
        return {}
    if not isinstance(values, dict) or not all(isinstance(key, str) for key in values):
        raise ConfigError(f"the configuration {path} holds no keys: write lines like seed: 1")
    return values


def _explain(error: ValidationError) -> str:
    """One line for the first thing that is wrong."""
    first = error.errors()[0]
    # The numbers of a list have no keys of their own.
    where = ".".join(part for part in first["loc"] if isinstance(part, str))
    if first["type"] == "extra_forbidden":
        near = difflib.get_close_matches(where, _keys(), n=1, cutoff=0)
        return f'the configuration has no key "{where}": did you mean "{near[0]}"?'
    reason = first["msg"].removeprefix("Value error, ").replace("Input should", "it should")
    if first["type"] == "model_type":
        reason = f"this is a section, set its keys, e.g. {where}.KEY=VALUE"
    if first["type"] == "tuple_type":
        reason = "give a list, e.g. [1,2]"
    if isinstance(first["input"], Mapping) and first["type"] == "value_error":
        return f"{where}: {reason}"  # of several keys together
    return f"{where or 'the configuration'} has the value {first['input']!r}: {reason}"


def _keys(model: type[BaseModel] = TrainConfig, prefix: str = "") -> Iterator[str]:
    for name, field in model.model_fields.items():
        yield prefix + name
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _keys(field.annotation, f"{prefix}{name}.")
