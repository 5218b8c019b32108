# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "psutil", "tifffile"]
# ///
"""A stack, TIFF to TIFF, against engine compute alone; on an NVIDIA GPU, or on the CPU without one.

    uv run benchmarks/gpu.py [--quick] [--repeats N] [--json FILE] [--cpu]

Engine compute is one tile of the plan through the engine, as often as the plan has tiles, with its
way to the GPU and back.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.arguments import arguments
from bench.contenders import Worker, restoring
from bench.interleaving import interleaved
from bench.materials import package, tiff
from bench.report import Row, report


def main() -> None:
    given = arguments(__doc__, repeats=3)
    has_gpu = shutil.which("nvidia-smi") is not None
    environment, device = ("gpu", "cuda") if has_gpu else ("ours", "cpu")
    print(f"device: {device}", file=sys.stderr)
    shape = (8, 256, 256) if given.quick or not has_gpu else (100, 1024, 1024)
    source, model = tiff(*shape), package(3)
    with ExitStack() as stack:
        out = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "restored.tif"
        compute = stack.enter_context(
            Worker(
                environment, "run_ours.py", model, source, "ZYX", f"device={device}", "tiles_only=1"
            )
        )
        command = restoring(environment, model, source, out, "--device", device)
        best = interleaved(
            {"engine compute": compute, "care-bridge restore": command}, given.repeats
        )
        versions, figures = compute.versions, compute.figures
    whole, bare = best["care-bridge restore"].seconds, best["engine compute"].seconds
    size = " x ".join(map(str, shape))
    full = has_gpu and not given.quick
    rows = [
        Row(f"computed / useful pixels, {size}", figures["computed"]),
        Row("engine compute / whole command, time", bare / whole, 0.6 if full else None),
        Row("whole command, seconds", whole, 3.0 if full else None, True),
    ]
    report(f"A stack of {size} on {device}, TIFF to TIFF", rows, best, versions, given.json)


if __name__ == "__main__":
    main()
