"""Pairs of small images written as files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tifffile
from scipy.ndimage import gaussian_filter

from care_bridge.training.config import load_config
from care_bridge.training.dataset import open_fields
from care_bridge.training.stacks import Stack


def write_image(path: Path, pixels: np.ndarray, axes: str | None = None) -> Path:
    """An ImageJ TIFF; axes by default the last of CZYX."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tifffile.imwrite(path, pixels, imagej=True, metadata={"axes": axes or "CZYX"[-pixels.ndim :]})
    return path


def blobs(shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    """Bright spots of several sizes on a dark ground, float32, grey levels 100 to about 3000."""
    scene = gaussian_filter((rng.random(shape) > 0.995).astype(np.float32), 2.5)
    return (100 + 3000 * scene / scene.max()).astype(np.float32)


def write_pairs(folder: Path, count: int, shape: tuple[int, ...], seed: int = 0) -> Path:
    """`count` pairs im0.tif, im1.tif, …: uint16, the sources with photon and read noise."""
    rng = np.random.default_rng(seed)
    for index in range(count):
        truth = blobs(shape, rng)
        noisy = 100 + rng.poisson(truth / 60) * 5 + rng.normal(0, 3, shape)
        write_image(folder / "GT" / f"im{index}.tif", truth.astype(np.uint16))
        write_image(folder / "source" / f"im{index}.tif", noisy.clip(0).astype(np.uint16))
    return folder


def opened_stacks(
    data: Path, axes: str, patch: tuple[int, ...], settings: tuple[str, ...] = ()
) -> list[Stack]:
    """All stacks of DATA, their pixels kept beside it."""
    sizes = f"patches.size={list(patch)}"
    config = load_config(None, [sizes, "network.depth=1", f"network.axes={axes}", *settings])
    opened = open_fields(data, config, data.with_name(f"{data.name}-scratch"))
    return opened.of(opened.pairing.fields)
