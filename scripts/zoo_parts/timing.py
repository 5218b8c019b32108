"""How long restoring takes."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from care_bridge.axes import Axes
from care_bridge.images.image import Image
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer

_SIZES = {"YX": (1024, 1024), "ZYX": (16, 256, 256)}
_TIMES = 3


def cpu_seconds(package: Path) -> float:
    """Processor time, of all cores together, for a million pixels (of the image or of the result,
    whichever has more): the least of some runs. What else the machine does hardly matters to it."""
    restorer = Restorer(package, RestoreOptions(device="cpu"))
    axes = "ZYX" if restorer.package.spec.sees_volumes else "YX"
    pixels = np.random.default_rng(0).poisson(20, _SIZES[axes]).astype(np.uint16)
    image = Image(pixels, Axes(axes))
    taken = []
    for _ in range(_TIMES):
        start = time.process_time()
        restored = restorer.restore_image(image)
        taken.append(time.process_time() - start)
    return min(taken) / max(pixels.size, restored.pixels.size) * 1e6
