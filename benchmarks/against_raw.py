# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "psutil", "tifffile"]
# ///
"""2D: the engine in tiles, and the whole command, against bare ONNX Runtime on a whole image.

uv run benchmarks/against_raw.py [--quick] [--repeats N] [--json FILE]
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.arguments import arguments
from bench.contenders import Worker, restoring
from bench.interleaving import interleaved
from bench.materials import array, package, tiff
from bench.report import Row, report

RAW_SIDE = 1024


def main() -> None:
    given = arguments(__doc__, repeats=4)
    side = 1100 if given.quick else 4096
    memory = "400MiB" if given.quick else "1GiB"
    model = package(2)
    source = tiff(side, side)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        raw = stack.enter_context(Worker("ours", "run_raw.py", model, array(RAW_SIDE, RAW_SIDE)))
        tiles = stack.enter_context(
            Worker(
                "ours", "run_ours.py", model, source, "YX", "device=cpu",
                f"memory={memory}", "tiles_only=1",
            )
        )  # fmt: skip
        best = interleaved(
            {
                "raw ONNX Runtime, 1024 x 1024": raw,
                "care_bridge, tiles": tiles,
                "care-bridge restore": restoring(
                    "ours", model, source, folder / "out.tif", "--memory", memory, "--device", "cpu"
                ),
            },
            given.repeats,
        )
        versions, computed = [*raw.versions, *tiles.versions], tiles.figures["computed"]
    raw_speed = RAW_SIDE**2 / best["raw ONNX Runtime, 1024 x 1024"].seconds / computed
    speeds = [
        side**2 / best[name].seconds for name in ("care_bridge, tiles", "care-bridge restore")
    ]
    rows = [
        Row(f"computed / useful pixels, {side} x {side} with {memory}", computed, 1.125, True),
        Row("tiles / (raw / computed share), throughput", speeds[0] / raw_speed, 0.97),
        Row("whole command / (raw / computed share), throughput", speeds[1] / raw_speed, 0.94),
    ]
    report("2D against bare ONNX Runtime", rows, best, versions, given.json)


if __name__ == "__main__":
    main()
