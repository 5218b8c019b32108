"""The same training by care_bridge and by a peer, on the same simulated images."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import mean
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.environments import child_environment, python_of
from bench.materials import CONTENDERS
from care_bridge.evaluation.metrics import care_psnr
from care_bridge.export.about import About
from care_bridge.export.builder import export_checkpoint
from care_bridge.images import open_image, write_image
from care_bridge.package.package import Package, load_package
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer
from care_bridge.simulation.recipe import Recipe
from care_bridge.simulation.simulated_pair import simulate_pair
from care_bridge.training.checkpoint import load_checkpoint
from care_bridge.training.config import load_config
from care_bridge.training.run import train


@dataclass(frozen=True)
class Job:
    """What is trained, for the scripts quality_*.py of contenders/.

    data: a folder with source/, GT/ to train on, and test/, images to restore. out: where they
    put NAME.npy for each of those. validation_batches: batches that are validated on after each
    epoch of `steps_per_epoch`. filters: of the network's first level.
    """

    data: str
    out: str
    axes: str
    patch: tuple[int, ...]
    batch: int
    steps: int
    filters: int
    seed: int
    steps_per_epoch: int = 100
    validation_batches: int = 8

    @property
    def settings(self) -> tuple[str, ...]:
        """The same as settings of care_bridge."""
        return (
            f"seed={self.seed}",
            f"patches.size={list(self.patch)}",
            f"patches.validation_batches={self.validation_batches}",
            f"network.n_first={self.filters}",
            f"training.batch_size={self.batch}",
            f"training.steps={self.steps}",
            f"training.steps_per_epoch={self.steps_per_epoch}",
        )


def write_pairs(folder: Path, recipe: Recipe, trained: int, tested: int) -> None:
    """Simulated pairs: the first `trained` in folder/source and folder/GT, the next `tested` in
    folder/test and folder/truth."""
    for index in range(trained + tested):
        pair = simulate_pair(recipe, index)
        source, target = ("source", "GT") if index < trained else ("test", "truth")
        write_image(pair.sources[0], folder / source / f"{index}.tif")
        write_image(pair.target, folder / target / f"{index}.tif")


def trained_package(data: Path, out: Path, settings: Sequence[str]) -> Package:
    """The package of a training by care_bridge; the run stays in out/run."""
    train(data, out / "run", load_config(None, settings))
    export_checkpoint(load_checkpoint(out / "run"), out / "package", About("Benchmark", "For one"))
    return load_package(out / "package")


def psnr_of_package(package: Package, data: Path) -> float:
    """PSNR of what a package makes of data/test."""
    restorer = Restorer(package, RestoreOptions(device="cpu", dtype="float32"))
    restored = {
        file.stem: restorer.restore_image(open_image(file)).pixels
        for file in sorted((data / "test").iterdir())
    }
    return psnr_of_test(restored, data)


def psnr_of_test(restored: Mapping[str, NDArray[np.generic]], data: Path) -> float:
    """Mean PSNR in the CARE paper's metric of images by name against data/truth."""
    return mean(
        care_psnr(image, open_image(data / "truth" / f"{name}.tif").pixels)
        for name, image in restored.items()
    )


def psnr_of_input(data: Path) -> float:
    """PSNR before restoration."""
    files = sorted((data / "test").iterdir())
    return psnr_of_test({file.stem: open_image(file).pixels for file in files}, data)


def measured_ours(job: Job, settings: Sequence[str]) -> dict[str, Any]:
    """Train by care_bridge, `settings` over the job's."""
    package = trained_package(Path(job.data), Path(job.out), (*job.settings, *settings))
    versions = [f"{name} {version(name)}" for name in ("care-bridge", "torch")]
    return {
        "psnr": psnr_of_package(package, Path(job.data)),
        "input": psnr_of_input(Path(job.data)),
        "versions": versions,
    }


def measured_peer(job: Job, environment: str) -> dict[str, Any]:
    """Train by a peer, in its environment, with its script quality_ENVIRONMENT.py."""
    out = Path(job.out)
    out.mkdir(parents=True, exist_ok=True)
    script = CONTENDERS / f"quality_{environment}.py"
    with (out / "log.txt").open("w") as words:
        subprocess.run(
            [python_of(environment), script, json.dumps(asdict(job))],
            env=child_environment(),
            stdout=words,
            stderr=subprocess.STDOUT,
            check=True,
        )
    restored = {file.stem: np.load(file) for file in sorted(out.glob("*.npy"))}
    versions = json.loads((out / "versions.json").read_text("utf-8"))
    return {"psnr": psnr_of_test(restored, Path(job.data)), "versions": versions}
