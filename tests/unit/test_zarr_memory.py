"""The peak of a whole process that streams an image through, and what source and sink declare."""

import json
import subprocess
import sys

import pytest

# 256 MiB in boxes of a slice's 512 x 2048 pixels, which are no whole chunks in Z
STREAM = """
import json, sys
from pathlib import Path
import numpy as np
import zarr, numcodecs
from care_bridge.axes import Axes
from care_bridge.images import Calibration, ImageInfo, Storage, create_image, open_source

def kibibytes(key):
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith(key))

def boxes():
    for z in range(64):
        for y in range(0, 2048, 512):
            yield (slice(0, 1),) * 3 + (slice(z, z + 1), slice(y, y + 512), slice(0, 2048))

folder, step = Path(sys.argv[1]), sys.argv[2]
cubes = Calibration({"Z": 1.0, "Y": 1.0, "X": 1.0}, "µm")
info = ImageInfo(Axes("ZYX"), (64, 2048, 2048), np.dtype("u2"), cubes)
pixels = np.random.default_rng(0).poisson(300, (1, 1, 1, 1, 512, 2048)).astype("u2")
start = kibibytes("VmRSS")
if step == "write":
    with create_image(info, folder / "a.zarr") as sink:
        declared = sink.memory
        for box in boxes():
            sink.write(box, pixels)
else:
    with open_source(folder / "a.zarr") as source:
        storage = Storage(multiscale=True)
        with create_image(source.info, folder / "b.zarr", storage) as sink:
            declared = source.memory + sink.memory
            for box in boxes():
                sink.write(box, source.read(box))
print(json.dumps([(kibibytes("VmHWM") - start) / 1024, declared / 2**20]))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the peak comes from /proc")
def test_streaming_a_quarter_of_a_gibibyte(tmp_path):
    def peak_and_declared(step):
        ran = subprocess.run(
            [sys.executable, "-c", STREAM, str(tmp_path), step],
            check=True,
            stdout=subprocess.PIPE,
            text=True,
        )
        return json.loads(ran.stdout)

    peak, declared = peak_and_declared("write")
    assert peak < declared + 20
    peak, declared = peak_and_declared("copy")
    assert peak < declared + 60  # of the smaller copies
    assert peak < 160
