"""Networks and images: the same for all contenders, made once."""

from __future__ import annotations

import math
import subprocess
from pathlib import Path

import numpy as np
import tifffile

from bench.environments import ROOT, WORK, child_environment, python_of

CONTENDERS = ROOT / "benchmarks" / "contenders"


def package(dims: int, filters: int = 32) -> Path:
    """A package of csbdeep's default network in 2D or 3D, with random weights and so many first
    filters, exported by care_bridge."""
    folder = WORK / "packages" / f"{dims}d-{filters}"
    if not folder.is_dir():
        script = CONTENDERS / "make_package.py"
        folder.parent.mkdir(parents=True, exist_ok=True)
        command: list[str | Path] = [python_of("ours"), script, str(dims), str(filters), folder]
        subprocess.run(command, env=child_environment(), check=True)
    return folder


def array(*shape: int) -> Path:
    """A .npy file of uint16 camera-like noise over a slope."""
    file = WORK / "images" / f"{'x'.join(map(str, shape))}.npy"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(1)
        slope = np.linspace(100, 1000, shape[-1])
        np.save(file, rng.poisson(np.broadcast_to(slope, shape)).astype(np.uint16))
    return file


def tiff(*shape: int, dtype: str = "uint16") -> Path:
    """A TIFF file of such an image, written in strips: it may be larger than the memory. Several
    planes are an ImageJ stack along Z."""
    file = WORK / "images" / f"{'x'.join(map(str, shape))}-{dtype}.tif"
    if not file.is_file():
        file.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng(1)
        noise = rng.poisson(np.broadcast_to(np.linspace(100, 1000, shape[-1]), (256, shape[-1])))
        noise = noise.astype(dtype)
        size = noise.itemsize * math.prod(shape)
        with tifffile.TiffWriter(file, bigtiff=size >= 1 << 32) as tif:
            offset, _ = tif.write(
                None,
                shape=shape,
                dtype=noise.dtype,
                metadata={"axes": "ZYX"[-len(shape) :]},
                returnoffset=True,
            )
        # Not through a memory map: a child begins with this process's peak, by Linux's count.
        with file.open("r+b") as raw:
            raw.seek(offset)
            for start in range(0, size, noise.nbytes):
                raw.write(noise.data.cast("B")[: size - start])
    return file
