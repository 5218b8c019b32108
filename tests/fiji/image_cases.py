"""Images that are taken to ImageJ and back, by name."""

import numpy as np

from care_bridge.axes import Axes
from care_bridge.images import Calibration, Display, Image

_RNG = np.random.default_rng(11)
_LENGTHS = {"T": 2, "Z": 3, "C": 4, "Y": 5, "X": 7}


def image(axes, dtype, *, mode="", calibration=None, names=()):
    shape = tuple(_LENGTHS[axis] for axis in axes)
    pixels = _RNG.integers(0, 256, shape) if dtype == "uint8" else _RNG.uniform(0, 65535, shape)
    channels = _LENGTHS["C"] if "C" in axes else 1
    tables = _RNG.integers(0, 256, (channels, 256, 3)).astype(np.uint8)
    return Image(
        pixels.astype(dtype),
        Axes(axes),
        calibration or Calibration({"Y": 0.5, "X": 0.25}, "µm"),
        Display(
            tuple(tables), tuple((2.0 + c, 200.0 + c) for c in range(channels)), names, mode=mode
        ),
        history=("taken on Monday", "denoised on Tuesday"),
    )


VOXELS = {"Z": 2.0, "Y": 0.5, "X": 0.25}
CASES = {
    "plane-8": image("YX", "uint8"),
    "plane-16": image("YX", "uint16"),
    "plane-32": image("YX", "float32"),
    "uncalibrated": image("YX", "uint8", calibration=Calibration()),
    "stack-16": image("ZYX", "uint16", calibration=Calibration(VOXELS, "nm")),
    "movie-8": image("TYX", "uint8", calibration=Calibration({"Y": 1.0, "X": 1.0}, "mm", 90.0)),
    "channels-32": image("CYX", "float32", mode="grayscale"),
    "channels-8": image("CYX", "uint8", mode="color", names=("DAPI", "GFP", "RFP", "Cy5")),
    "hyperstack-16": image(
        "TZCYX", "uint16", mode="composite", calibration=Calibration(VOXELS, "µm", 0.25)
    ),
    "hyperstack-32": image("TZCYX", "float32", mode="color", calibration=Calibration(VOXELS, "µm")),
}
COLOUR = Image(
    _RNG.integers(0, 256, (3, 3, 5, 7)).astype(np.uint8), Axes("ZCYX"), Calibration(), rgb=True
)
