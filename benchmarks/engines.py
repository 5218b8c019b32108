# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "psutil", "tifffile"]
# ///
"""Engines and precisions on a CPU: OpenVINO and ONNX Runtime in 2D and 3D, bf16 with its error.

uv run benchmarks/engines.py [--quick] [--repeats N] [--json FILE]
"""

from __future__ import annotations

from contextlib import ExitStack

from bench.arguments import arguments
from bench.contenders import Worker
from bench.interleaving import interleaved
from bench.materials import array, package
from bench.report import Row, report


def main() -> None:
    given = arguments(__doc__, repeats=5)
    side, depth, width = (256, 16, 64) if given.quick else (1024, 32, 128)
    images = {"2D": (array(side, side), "YX"), "3D": (array(depth, width, width), "ZYX")}
    engines = {
        "ONNX Runtime": ("ours", "device=cpu"),
        "OpenVINO": ("openvino", "device=openvino"),
        "OpenVINO bf16": ("openvino", "device=openvino", "precision=bf16"),
    }
    with ExitStack() as stack:
        workers = {
            f"{engine} {dims}": stack.enter_context(
                Worker(
                    where, "run_ours.py", package(len(axes)), image, axes, "dtype=float32",
                    *options,
                )
            )
            for dims, (image, axes) in images.items()
            for engine, (where, *options) in engines.items()
        }  # fmt: skip
        best = interleaved(workers, given.repeats)
        errors = {dims: workers[f"OpenVINO bf16 {dims}"].figures for dims in images}
        versions = [version for worker in workers.values() for version in worker.versions]
    seconds = {name: one.seconds for name, one in best.items()}
    rows = []
    for dims in images:
        exact = min(seconds[f"ONNX Runtime {dims}"], seconds[f"OpenVINO {dims}"])
        rows += [
            Row(
                f"ONNX Runtime / OpenVINO, {dims}, time",
                seconds[f"ONNX Runtime {dims}"] / seconds[f"OpenVINO {dims}"],
            ),
            Row(f"float32 / bf16, {dims}, time", exact / seconds[f"OpenVINO bf16 {dims}"], 1.9),
            Row(f"bf16's largest error, {dims}, of the range", errors[dims]["largest_error"]),
            Row(f"bf16's rms error, {dims}, of the range", errors[dims]["rms_error"]),
        ]
    report("Engines and precisions", rows, best, versions, given.json)


if __name__ == "__main__":
    main()
