"""Every task takes every layout that makes sense for it: made ready, and a batch drawn."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from care_bridge.axes import Axes
from care_bridge.images import Image, write_image
from care_bridge.images.image import Calibration
from care_bridge.training import care, isotropic, n2v
from care_bridge.training.config import load_config
from tests.training_pairs import blobs

RCAN = ("rcan.channels=2", "rcan.reduction=2", "rcan.groups=1", "rcan.blocks=1")
SMALL = (
    "training.batch_size=2",
    "patches.validation_batches=1",
    "patches.background=0",
)
PAIRS = ("care", "n2n", "rcan", "upsampling", "projection")
PATCH = {"YX": "[16,16]", "ZYX": "[8,16,16]"}
MODULES = {"n2v": n2v, "n2v2": n2v, "structn2v": n2v, "isotropic": isotropic}
FIELDS, VALIDATED = range(4), 3


def images(task: str, axes: str, rng: np.random.Generator) -> tuple[Image, Image]:
    """A source and its target for a task."""
    shape = {"YX": (32, 40), "ZYX": (9, 32, 40)}[axes]
    truth = blobs(shape, rng)
    noisy = truth + rng.normal(0, 20, shape).astype(np.float32)
    voxel = dict.fromkeys(axes, 0.2)
    coarse = voxel
    if task == "upsampling":
        noisy, coarse = noisy[..., ::2], {**voxel, "X": 0.4}
    if task == "isotropic":
        coarse = {**voxel, "Z": 0.8}
    target = Image(truth, Axes(axes), Calibration(voxel, "micron"))
    if task == "projection":
        target = Image(
            truth.max(axis=0), Axes("YX"), Calibration(dict.fromkeys("YX", 0.2), "micron")
        )
    return Image(noisy, Axes(axes), Calibration(coarse, "micron")), target


def put(image: Image, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_image(image, path)


def two_folders(root: Path, task: str, axes: str, rng: np.random.Generator) -> Path:
    for field in FIELDS:
        source, target = images(task, axes, rng)
        name = f"im{field}.tif"
        put(source, root / ("source" if task in PAIRS else "") / name)
        if task in PAIRS:
            put(target, root / ("target" if task == "n2n" else "GT") / name)
    return root


def with_validation(root: Path, task: str, axes: str, rng: np.random.Generator) -> Path:
    for field in FIELDS:
        source, target = images(task, axes, rng)
        part = root / ("val" if field == VALIDATED else "train")
        put(source, part / ("source" if task == "n2n" else "raw") / f"im{field}.tif")
        if task in PAIRS:
            put(target, part / ("target" if task == "n2n" else "gt") / f"im{field}.tif")
    return root


def listed_zarr(root: Path, task: str, axes: str, rng: np.random.Generator) -> Path:
    lines = ["source,target,split"]
    for field in FIELDS:
        source, target = images(task, axes, rng)
        put(source, root / f"{field}.ome.zarr")
        put(target, root / f"good{field}.ome.zarr")
        lines.append(f"{field}.ome.zarr,good{field}.ome.zarr,{'val' * (field == VALIDATED)}")
    (root / "pairs.csv").write_text("\n".join(lines))
    return root / "pairs.csv"


def several_exposures(root: Path, task: str, axes: str, rng: np.random.Generator) -> Path:
    for field in FIELDS:
        source, target = images(task, axes, rng)
        for number in (1, 2):
            put(source, root / f"source_{number}" / f"im{field}.tif")
        put(target, root / ("target" if task == "n2n" else "GT") / f"im{field}.tif")
    return root


ALONE = ("n2v", "n2v2", "structn2v", "isotropic")
CASES = [
    *((task, make) for task in PAIRS for make in (two_folders, with_validation, listed_zarr)),
    *((task, several_exposures) for task in PAIRS),
    *((task, make) for task in ALONE for make in (two_folders, with_validation, listed_zarr)),
]


@pytest.mark.parametrize(
    ("task", "make"), CASES, ids=[f"{task}-{make.__name__}" for task, make in CASES]
)
def test_a_task_takes_a_layout(
    task: str, make: Callable[[Path, str, str, np.random.Generator], Path], tmp_path: Path
) -> None:
    axes = "ZYX" if task in ("projection", "isotropic", "rcan", "n2v") else "YX"
    root = tmp_path / "data"
    root.mkdir()
    data = make(root, task, axes, np.random.default_rng(3))
    plane = task in ("projection", "isotropic")
    size = PATCH["YX" if plane else axes]
    narrow = RCAN if task == "rcan" else ("network.n_first=2",)
    config = load_config(None, [f"task={task}", f"patches.size={size}", *SMALL, *narrow])
    made = MODULES.get(task, care).prepare(data, config, tmp_path / "scratch")
    source, target = made.batch(0)
    inner = tuple(int(pixels) for pixels in size[1:-1].split(","))
    assert target.shape == (2, 1, *inner)
    assert source.shape == ((2, 1, 9, *inner) if task == "projection" else target.shape)
    assert np.isfinite(source).all()
    names = {side: {Path(name).name for name in found} for side, found in made.images.items()}
    assert len(names["training"]) == len(FIELDS) - 1
    if make in (with_validation, listed_zarr):
        assert [name.strip("im")[0] for name in names["validation"]] == [str(VALIDATED)]
    assert not names["training"] & names["validation"]
