"""Checkpoints: what a run folder keeps of a network in training, and reading it back safely.

A run folder holds config.yaml, best.ckpt and last.ckpt, example.npz, log.csv, tensorboard/, and
start.ckpt where its network was not freshly drawn.
That of an ensemble holds config.yaml, example.npz, the members' folders member1, member2, … with
the others, and ensemble.json when all of them are trained.
Checkpoints are read with weights_only: no code in them is ever run.
"""

from __future__ import annotations

import io
import json
import pickle
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from care_bridge.atomic import replacing
from care_bridge.errors import TrainingError
from care_bridge.normalization import Scale
from care_bridge.training.architecture import architecture
from care_bridge.training.config import TrainConfig, parse_config
from care_bridge.training.networks.mixture import Mixture
from care_bridge.training.pixel_sizes import PixelSizes
from care_bridge.training.scales import Intensities

BEST = "best.ckpt"
LAST = "last.ckpt"
START = "start.ckpt"
_EXAMPLE = "example.npz"
_ENSEMBLE = "ensemble.json"
_FORMAT = 1


@dataclass(frozen=True)
class Example:
    """A validation image (or a part of it) in grey levels: source (C_in, [Z,] Y, X) and target
    (C_out, [Z,] Y, X)."""

    source: NDArray[np.generic]
    target: NDArray[np.generic]


@dataclass(frozen=True)
class Checkpoint:
    """A trained network and what is known of it.

    network: in eval mode, float32, on the CPU; a Mixture where it is probabilistic. axes: "YX" or
    "ZYX". step: batches it has learned from. validation: figures on the validation patches (loss,
    psnr and psnr_input in dB in the paper's metric, calibration_error). intensities: of the
    training images, for the fixed mode. images: names of the files trained and validated on.
    versions: of the libraries it was trained with. imported: what another program's configuration
    says, where that trained it: then the config knows of the network alone, and validation and
    images are empty. start: what its training started from (start.py), None where that was a
    freshly drawn network. pixel_size: of the training images, where all of them tell it. noise: of
    the training images (Task.noise), 0 where it is not known. spread: of an ensemble's members
    about their mean, with which its intervals hold on the validation patches (Laplaces.spread).
    """

    config: TrainConfig
    network: torch.nn.Module
    axes: str
    channels_in: int
    channels_out: int
    step: int
    validation: Mapping[str, float]
    example: Example
    intensities: Intensities
    images: Mapping[str, list[str]]
    versions: Mapping[str, str]
    imported: Mapping[str, Any] | None = None
    start: Mapping[str, Any] | None = None
    pixel_size: PixelSizes = field(default_factory=dict)
    noise: tuple[float, float] = (0.0, 0.0)
    spread: float = 1.0

    @property
    def members(self) -> int:
        """How many distributions the network predicts for each pixel; 0 where it predicts none."""
        return self.config.members if self.config.probabilistic else 0

    @property
    def validated_on(self) -> str:
        """What its figures were measured on, in words."""
        images = self.images["validation"]
        if set(images) & set(self.images["training"]):  # there was one field of view only
            return "the part of the training image that training did not see"
        return f"{len(images)} image{'s' * (len(images) != 1)} that training did not see"


def member_folders(run: Path, config: TrainConfig) -> list[Path]:
    """Where a run keeps each network that it trains."""
    if config.members == 1:
        return [run]
    return [run / f"member{number}" for number in range(1, config.members + 1)]


def build_network(config: TrainConfig, channels_in: int, channels_out: int) -> nn.Module:
    """The freshly drawn network of a resolved configuration; the same for the same seed."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return architecture(config, channels_in, channels_out).network()


def load_checkpoint(path: Path) -> Checkpoint:
    """The checkpoint at `path`: a run folder (its best one; of an ensemble the best one of each
    member), the folder of a member, or a checkpoint file in one of these. TrainingError where there
    is none, it cannot be read, or an ensemble is not complete."""
    folder = path if path.is_dir() else path.parent
    files, validation, spread = [path / BEST if path.is_dir() else path], None, 1.0
    if path.is_dir() and (path / "member1").is_dir():
        files, validation, spread = _read_ensemble(path)
    states = [read_state(file) for file in files]
    state = states[0]
    config = parse_config(state["config"]).model_copy(update={"members": len(states)})
    networks = [load_network(config, each) for each in states]
    network = Mixture(networks) if config.probabilistic else networks[0]
    network.requires_grad_(False).eval()
    example = folder / _EXAMPLE
    return Checkpoint(
        config=config,
        network=network,
        axes=config.network.axes,
        channels_in=state["channels_in"],
        channels_out=state["channels_out"],
        step=state["step"],
        validation=state["validation"] if validation is None else validation,
        example=_load_example(example if example.is_file() else folder.parent / _EXAMPLE),
        intensities=Intensities(
            **{
                side: tuple(Scale(gain=gain, offset=offset) for gain, offset in scales)
                for side, scales in state["intensities"].items()
            }
        ),
        images=state["images"],
        versions=state["versions"],
        start=state.get("start"),
        pixel_size=state.get("pixel_size", {}),
        noise=tuple(state.get("noise", (0.0, 0.0))),
        spread=spread,
    )


def load_network(config: TrainConfig, state: Mapping[str, Any]) -> nn.Module:
    """The network in a checkpoint's state."""
    network = build_network(config, state["channels_in"], state["channels_out"])
    network.load_state_dict(state["network"])
    return network


def write_ensemble(run: Path, members: int, validation: Mapping[str, float], spread: float) -> None:
    """Say that an ensemble is complete, its figures, and its members' spread."""
    told = {"members": members, "validation": validation, "spread": spread}
    with replacing(run / _ENSEMBLE) as partial:
        partial.write_text(json.dumps(told), "utf-8")


def forget_ensemble(run: Path) -> None:
    """Say that an ensemble, if it is one, is not complete: its members will be trained on."""
    (run / _ENSEMBLE).unlink(missing_ok=True)


def _read_ensemble(run: Path) -> tuple[list[Path], dict[str, float], float]:
    """The best checkpoint of each member, the ensemble's figures, and its members' spread."""
    try:
        told = json.loads((run / _ENSEMBLE).read_text("utf-8"))
        members, validation = int(told["members"]), dict(told["validation"])
        spread = float(told["spread"])
    except FileNotFoundError:
        raise TrainingError(
            f"the ensemble {run} is not trained to its end: go on with it by --resume, or take the "
            "folder of one of its members"
        ) from None
    except (ValueError, KeyError, TypeError):
        raise TrainingError(
            f"{run / _ENSEMBLE} is damaged: go on with the run by --resume"
        ) from None
    files = [run / f"member{number}" / BEST for number in range(1, members + 1)]
    return files, validation, spread


def read_state(file: Path) -> dict[str, Any]:
    """The plain data and tensors of a checkpoint file, on the CPU; TrainingError if unreadable."""
    if not file.is_file():
        raise TrainingError(
            f"there is no checkpoint {file}: give the folder of a run that care-bridge train made"
        )
    try:
        # torch does not compare the checksums, and takes changed weights for the network's.
        with zipfile.ZipFile(file) as archive:
            whole = archive.testzip() is None
        state = torch.load(file, map_location="cpu", weights_only=True) if whole else None
    except (
        *(zipfile.BadZipFile, zlib.error, NotImplementedError),
        *(RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError),
    ):
        whole = False
    if not whole:
        raise TrainingError(
            f"{file} is no checkpoint, or is damaged: train again, or export the run's other "
            "checkpoint or train on from it (--from)"
        )
    if not isinstance(state, dict) or state.get("format") != _FORMAT:
        raise TrainingError(f"{file} is no checkpoint that this version of care_bridge can read")
    return state


def write_state(state: Mapping[str, Any], file: Path) -> None:
    """Write plain data and tensors to `file`, whole or not at all."""
    # torch tells a full disk as an error of its own; the file system's is better.
    buffer = io.BytesIO()
    torch.save({"format": _FORMAT, **state}, buffer)
    with replacing(file) as partial:
        partial.write_bytes(buffer.getbuffer())


def write_example(example: Example, run: Path) -> None:
    """Keep the example in a run folder."""
    with replacing(run / _EXAMPLE) as partial, partial.open("wb") as stream:
        np.savez_compressed(stream, source=example.source, target=example.target)


def _load_example(file: Path) -> Example:
    if not file.is_file():
        raise TrainingError(f"{file} is missing: keep a checkpoint in the folder of its run")
    try:
        with np.load(file, allow_pickle=False) as arrays:
            return Example(source=arrays["source"], target=arrays["target"])
    except (zipfile.BadZipFile, zlib.error, EOFError, ValueError, KeyError):
        raise TrainingError(
            f"{file} is damaged: bring the run's own one back, or train again"
        ) from None
