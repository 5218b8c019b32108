"""A package of each task, trained for a few steps and exported with all weights."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile

from care_bridge.export.about import About
from care_bridge.export.builder import WEIGHTS, export_checkpoint
from care_bridge.training.checkpoint import load_checkpoint
from care_bridge.training.config import load_config
from care_bridge.training.run import train
from tests.training_pairs import blobs

_SMALL = (
    "patches.validation_batches=1",
    "network.kernel=3",
    "training.batch_size=2",
    "training.steps=3",
    "training.steps_per_epoch=3",
    "training.device=cpu",
)
_PLANE, _STACK = "patches.size=[16,16]", "patches.size=[8,16,16]"
_OPTICS = ("isotropic.numerical_aperture=0.8", "isotropic.wavelength=0.5")

CASES: dict[str, tuple[str, ...]] = {
    "care": (_PLANE,),
    "care-3d-fixed": (_STACK, "normalization.mode=fixed"),
    "n2n": ("task=n2n", "data.target=GT", _PLANE),
    "n2v": ("task=n2v", "data.source=source", _PLANE),
    "n2v2": ("task=n2v2", "data.source=source", _PLANE),
    "structn2v": ("task=structn2v", "data.source=source", _PLANE),
    "probabilistic": ("probabilistic=true", _PLANE),
    "ensemble": ("probabilistic=true", "members=2", _PLANE),
    "isotropic": ("task=isotropic", "data.source=source", _PLANE, *_OPTICS),
    "upsampling": ("task=upsampling", _STACK),
    "projection": ("task=projection", "patches.size=[32,32]", "projection.n_first=2"),
    "rcan": ("task=rcan", _PLANE, "rcan.channels=8", "rcan.groups=1", "rcan.blocks=1"),
}
"""What the configuration says of each."""

_VOLUMES = ("care-3d-fixed", "isotropic", "upsampling", "projection")


def task_package(case: str, folder: Path) -> Path:
    """The package of a case, a zip in `folder`, which is made; data and run are there too."""
    data, run, package = folder / "data", folder / "run", folder / f"{case}.zip"
    rng = np.random.default_rng(3)
    for index in range(2):
        truth = blobs((16, 48, 56), rng)
        source, target = truth, truth
        if case not in _VOLUMES:
            source, target = truth[8], truth[8]
        elif case == "upsampling":
            source, target = truth[::2], truth[:-1]
        elif case == "projection":
            target = truth.max(axis=0)
        spacing = {"isotropic": 0.5, "upsampling": 0.4}.get(case, 0.2)
        noisy = rng.poisson(source / 8).astype(np.uint16)
        _write(data / "source" / f"im{index}.tif", noisy, spacing)
        _write(data / "GT" / f"im{index}.tif", target, 0.2)
    narrow = [] if case == "rcan" else ["network.n_first=4"]
    train(data, run, load_config(None, [*_SMALL, *narrow, *CASES[case]]))
    about = About(
        f"Fresh {case}",
        "For a test",
        authors=("Ada",),
        license="CC0-1.0",
        modality="widefield",
        tags=("test",),
    )
    export_checkpoint(load_checkpoint(run), package, about, weights=WEIGHTS)
    return package


def _write(path: Path, pixels: np.ndarray, spacing: float) -> None:
    """Pixels of 0.2 micrometres, slices `spacing` apart."""
    path.parent.mkdir(parents=True, exist_ok=True)
    told = {"axes": "ZYX"[-pixels.ndim :], "spacing": spacing, "unit": "micron"}
    tifffile.imwrite(path, pixels, imagej=True, resolution=(5, 5), metadata=told)
