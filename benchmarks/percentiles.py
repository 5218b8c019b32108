"""Percentiles of three gigavoxels: are they exact, how long do they take, and in what memory?

    python benchmarks/percentiles.py                 3 gigavoxels made as they are read
    python benchmarks/percentiles.py --file BIG.tif  written to a file first (6 GiB), then read

The voxels are a plane of noise, to which each slice adds its number; so their values and how
often each comes are known without looking at them, and the percentiles follow from ranks.
"""

from __future__ import annotations

import argparse
import math
import resource
import time
from pathlib import Path

import numpy as np
import tifffile
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.images import open_source
from care_bridge.images.image import ImageInfo
from care_bridge.images.source import Box, ImageSource
from care_bridge.levels import Levels
from care_bridge.runtime.image_levels import image_levels

SLICES, SIZE = 192, 4096
PERCENTS = (0.0, 2.0, 50.0, 99.8, 100.0)


class Ramp:
    """An ImageSource of noise + slice number."""

    pieces = (1, 1, 1, 1, 64, SIZE)
    memory = 0

    def __init__(self, dtype: str) -> None:
        random = np.random.default_rng(0)
        rows = [random.gamma(2, 150, (256, SIZE)).astype(np.uint16) for _ in range(SIZE // 256)]
        step = np.asarray(1 if dtype == "uint16" else 0.37, dtype)
        self.plane: NDArray[np.generic] = np.concatenate(rows) * step
        shape = (SLICES, SIZE, SIZE)
        self.info = ImageInfo(axes=Axes("ZYX"), shape=shape, dtype=self.plane.dtype)

    def read(self, box: Box) -> NDArray[np.generic]:
        """The pixels of a box."""
        numbers = np.arange(box[3].start, box[3].stop).astype(self.plane.dtype)
        pixels = self.plane[box[4], box[5]] + numbers[:, np.newaxis, np.newaxis]
        return pixels[np.newaxis, np.newaxis, np.newaxis]


def expected(plane: NDArray[np.generic], percents: tuple[float, ...]) -> list[float]:
    """By ranks among all values, each with how often it comes."""
    values, counts = np.unique(plane, return_counts=True)
    numbers = np.arange(SLICES, dtype=plane.dtype)
    every = (values[np.newaxis] + numbers[:, np.newaxis]).ravel()
    order = np.argsort(every, kind="stable")
    last_rank = np.cumsum(np.tile(counts, SLICES)[order]) - 1
    found = []
    for percent in percents:
        rank = percent / 100 * int(last_rank[-1])
        ends = [np.searchsorted(last_rank, at) for at in (math.floor(rank), math.ceil(rank))]
        below, above = (float(every[order[end]]) for end in ends)
        found.append(below + (above - below) * (rank % 1))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--dtype", choices=("uint16", "float32"), default="uint16")
    parser.add_argument("--file", type=Path, help="a TIFF file to be written, and read from")
    arguments = parser.parse_args()
    source = Ramp(arguments.dtype)
    if arguments.file:
        planes = (source.plane + np.asarray(z, source.plane.dtype) for z in range(SLICES))
        tifffile.imwrite(
            arguments.file,
            planes,
            shape=source.info.shape,
            dtype=source.info.dtype,
            bigtiff=True,
            metadata={"axes": "ZYX"},
        )
    print(f"{math.prod(source.info.shape) / 2**30:.2f} Gi voxels of {source.info.dtype}")
    began = time.perf_counter()
    if arguments.file:
        with open_source(arguments.file) as stored:
            levels = measured(stored)
    else:
        levels = measured(source)
    seconds = time.perf_counter() - began
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    known = expected(source.plane, PERCENTS)
    print(f"measured {levels.percentiles}\nexpected {tuple(known)}")
    np.testing.assert_allclose(levels.percentiles, known, rtol=1e-12)
    rate = levels.counted / seconds / 1e6
    print(f"equal; {seconds:.1f} s, {rate:.0f} Mvoxel/s, peak of the process {peak:.0f} MiB")


def measured(source: ImageSource) -> Levels:
    """Of the one channel."""
    return image_levels(source, (0,), PERCENTS, per_frame=False, ignore_zeros=False)[0][0][0]


if __name__ == "__main__":
    main()
