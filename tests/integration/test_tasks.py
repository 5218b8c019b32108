"""Every task from images to restored images: train, interrupt, resume, export, check, restore."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile
import torch
import yaml

from care_bridge.cli.main import main
from care_bridge.errors import TrainingError
from care_bridge.package.package import load_package
from care_bridge.training import care
from care_bridge.training.config import load_config
from care_bridge.training.trainer import Trainer
from tests.interrupted_training import assert_an_interrupted_run_ends_as_a_whole_one
from tests.training_pairs import blobs, write_image

EVERY = (
    "patches.validation_batches=2",
    "network.kernel=3",
    "training.batch_size=2",
    "training.steps=12",
    "training.steps_per_epoch=6",
    "training.device=cpu",
)
"""Of every task, the others of U-Nets alone."""
SMALL = (*EVERY, "network.n_first=4")
SHAPES = {"YX": (48, 56), "ZYX": (12, 32, 40)}
PATCHES = {"YX": "patches.size=[16,16]", "ZYX": "patches.size=[8,16,16]"}


def noisy(truth: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return (100 + rng.poisson(truth / 60) * 5 + rng.normal(0, 3, truth.shape)).clip(0).astype("u2")


@dataclass(frozen=True)
class Case:
    """sides: the folders in DATA that get a noisy image of each scene; "" is DATA itself."""

    task: str
    axes: str
    channels: int
    sides: tuple[str, ...]

    def write(self, folder: Path, count: int = 3) -> Path:
        rng = np.random.default_rng(7)
        shape = SHAPES[self.axes]
        stack, axes = shape, self.axes
        if self.channels > 1:
            # The order of axes that ImageJ writes.
            stack = (*shape[:-2], self.channels, *shape[-2:])
            axes = f"{self.axes[:-2]}CYX"
        for index in range(count):
            truth = blobs(stack, rng)
            for side in self.sides:
                write_image(folder / side / f"im{index}.tif", noisy(truth, rng), axes)
        return folder


FIRST_AUTHORS = {
    "n2n": "Lehtinen",
    "n2v": "Krull",
    "n2v2": "Höck",
    "structn2v": "Broaddus",
}
CASES = {
    "n2n-2d": Case("n2n", "YX", 1, ("source", "target")),
    "n2n-3d-two-channels": Case("n2n", "ZYX", 2, ("source", "target")),
    "n2v-2d-two-channels": Case("n2v", "YX", 2, ("",)),
    "n2v-3d": Case("n2v", "ZYX", 1, ("",)),
    "n2v2-2d": Case("n2v2", "YX", 1, ("",)),
    "n2v2-3d-two-channels": Case("n2v2", "ZYX", 2, ("",)),
    "structn2v-2d": Case("structn2v", "YX", 1, ("",)),
    "structn2v-3d": Case("structn2v", "ZYX", 1, ("",)),
}


@pytest.mark.parametrize("name", CASES)
def test_a_task_from_images_to_restored_images(name: str, tmp_path: Path) -> None:
    case = CASES[name]
    data = case.write(tmp_path / "data")
    run, package, restored = (tmp_path / part for part in ("run", "model.zip", "restored"))
    words = ["train", data, "--out", run, "--task", case.task, "--set", *SMALL, PATCHES[case.axes]]
    assert main([str(word) for word in words]) == 0
    assert main(["export", str(run), "--out", str(package)]) == 0
    spec = load_package(package).spec
    assert spec.config["task"] == case.task
    with zipfile.ZipFile(package) as opened:
        cited = [paper["text"] for paper in yaml.safe_load(opened.read("rdf.yaml"))["cite"]]
    assert cited[0].startswith(FIRST_AUTHORS[case.task])
    assert cited[-1].startswith("Weigert")
    assert (spec.spatial_axes, spec.channels_in, spec.channels_out) == (
        case.axes,
        case.channels,
        case.channels,
    )
    assert main(["check", str(package)]) == 0
    image = sorted((data / case.sides[0]).glob("*.tif"))[0]
    words = ["restore", image, "--model", package, "--out", restored]
    assert main([str(word) for word in words]) == 0
    before, after = tifffile.imread(image), tifffile.imread(restored / image.name)
    assert after.shape == before.shape
    assert np.isfinite(after).all()


@pytest.mark.parametrize("task", ["n2n", "n2v", "n2v2", "structn2v"])
def test_an_interrupted_run_ends_as_if_it_had_not_been(
    task: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = next(case for case in CASES.values() if case.task == task and case.axes == "YX")
    data = case.write(tmp_path / "data")
    config = load_config(None, [f"task={task}", *SMALL, PATCHES["YX"]])
    assert_an_interrupted_run_ends_as_a_whole_one(data, config, tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("task", "slices", "depth", "refused"),
    [
        ("care", 8, 2, True),
        ("care", 4, 2, True),
        ("care", 4, 1, True),
        ("care", 2, 1, True),
        ("care", 8, 1, False),
        ("care", 12, 2, False),
        ("rcan", 8, 2, False),
        ("rcan", 2, 2, True),
    ],
)
def test_bf16_in_3d_is_right_or_refused(
    task: str, slices: int, depth: int, refused: bool, tmp_path: Path
) -> None:
    """Gradients against float32's, layer by layer, where the trainer takes the patch. RCAN has one
    level alone, whatever the depth."""
    data = Case(task, "ZYX", 1, ("source", "GT")).write(tmp_path / "data")
    settings = [f"task={task}", f"patches.size=[{slices},16,16]", "training.precision=bf16"]
    wide = ["network.n_first=8", f"network.depth={depth}"]
    if task == "rcan":
        wide = ["rcan.channels=8", "rcan.reduction=2"]
    config = load_config(None, [*EVERY, *settings, *wide])
    prepared = care.prepare(data, config, tmp_path / "scratch")
    if refused:
        least = 4 * 2**depth if task == "care" else 4
        with pytest.raises(TrainingError, match=rf"two on a level.* of {least} slices"):
            Trainer(prepared, tmp_path)
        return
    Trainer(prepared, tmp_path)
    network, gradients = prepared.network, []
    for bf16 in (False, True):
        network.zero_grad()
        source, target = map(torch.from_numpy, prepared.batch(0))
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            output = network(source)
        prepared.loss(output.float(), target).backward()
        gradients.append([weights.grad.clone() for weights in network.parameters()])
    for exact, rounded in zip(*gradients, strict=True):
        assert torch.linalg.vector_norm(rounded - exact) <= 0.4 * torch.linalg.vector_norm(exact)
