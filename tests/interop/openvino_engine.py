"""Run inside an environment with the extra openvino: what its engine makes of a package.

    python openvino_engine.py PACKAGE IMAGE.npy AXES TILE RESULTS.npz

Writes the image restored whole and in tiles of TILE pixels a side, and what the session says;
prints what it says when memory runs out.
"""

import resource
import sys

import numpy as np
import psutil

from care_bridge import load_package
from care_bridge.errors import OutOfMemoryError
from care_bridge.runtime.precision import precision_error
from care_bridge.runtime.restorer import restore
from care_bridge.runtime.session import Session

source, image_file, axes, tile, results = sys.argv[1:]
package = load_package(source)
image = np.load(image_file)


def restored(tile):
    options = {"axes": axes, "package": package, "tile": tile, "dtype": "float32"}
    return restore(image, device="openvino", **options)


exact = Session(package.weights(), "openvino")
lowered = Session(package.weights(), "openvino", "bf16")
whole, tiled = restored(None), restored(dict.fromkeys("YX", int(tile)))
np.savez(
    results,
    whole=whole,
    tiled=tiled,
    engines=[Session(package.weights()).engine, exact.engine, lowered.engine],
    devices=[Session(package.weights()).device, exact.device],
    advice=exact.advice,
    memory_factors=[exact.memory_factor, lowered.memory_factor],
    error=precision_error(package, exact).largest,
    error_bf16=precision_error(package, lowered).largest,
)

# Last, since nothing is sure to work after it.
allowed = psutil.Process().memory_info().vms + (64 << 20)
resource.setrlimit(resource.RLIMIT_AS, (allowed, allowed))
large = np.zeros((1, 1, *([2048] * 2 if len(axes) == 2 else [128] * 3)), np.float32)
try:
    exact.run(large)
except OutOfMemoryError as error:
    print(error)
