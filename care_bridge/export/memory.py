"""What the engine needs in memory for each pixel of a tile, measured on the exported network.

Run as a program (`python -m care_bridge.export.memory WEIGHTS SHAPE`) it is the child whose peak
is measured: a process of its own, because a peak is never forgotten.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from care_bridge.errors import ExportError
from care_bridge.runtime.session import Session

# Large, because the engine takes memory in ever larger pieces: small tiles look too cheap.
_PIXELS = (1 << 18, 1 << 20)


def measure_memory_per_pixel(weights: bytes, axes: str, channels: int, step: int) -> float:
    """Bytes that one more pixel of a tile costs on the CPU: the slope between two sizes.

    axes: "YX" or "ZYX". channels: of the input. step: sizes are multiples of this.
    """
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "weights.onnx"
        file.write_bytes(weights)
        peaks, pixels = [], []
        for count in _PIXELS:
            side = step * round(math.pow(count, 1 / len(axes)) / step)
            shape = (1, channels, *(side for _ in axes))
            pixels.append(math.prod(shape[2:]))
            peaks.append(_peak_of_child(file, shape))
    slope = (peaks[1] - peaks[0]) / (pixels[1] - pixels[0])
    if slope <= 0:
        raise ExportError(
            f"memory could not be measured (peaks of {peaks} bytes for {pixels} pixels): "
            "export again when the machine is less busy"
        )
    return round(slope, 1)


def _peak_of_child(weights: Path, shape: tuple[int, ...]) -> int:
    command = [sys.executable, "-P", "-m", __name__, str(weights), json.dumps(shape)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        reason = (ended.stderr.strip() or f"exit status {ended.returncode}").splitlines()[-1]
        raise ExportError(f"the exported network could not be run on shape {shape}: {reason}")
    return int(ended.stdout)


def _peak_memory() -> int:
    """The largest resident memory of this process so far, in bytes."""
    if sys.platform == "linux":
        # ru_maxrss starts with the peak of the process that started this one, VmHWM does not.
        status = Path("/proc/self/status").read_text("ascii")
        return 1024 * int(status.split("VmHWM:")[1].split()[0])
    if sys.platform == "win32":
        import psutil

        return int(psutil.Process().memory_info().peak_wset)
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


def _run_and_print_peak(weights: str, shape: str) -> None:
    session = Session(Path(weights).read_bytes(), "cpu")
    session.run(np.zeros(json.loads(shape), np.float32))
    print(_peak_memory())


if __name__ == "__main__":
    _run_and_print_peak(*sys.argv[1:])
