# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "psutil", "tifffile"]
# ///
"""csbdeep, careamics and bioimageio.core against care_bridge: the same network on an open image.

    uv run benchmarks/peers.py [--quick] [--repeats N] [--json FILE]

In 2D care_bridge runs on ONNX Runtime, in 3D on OpenVINO (the extra openvino).
"""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

from bench.arguments import arguments
from bench.contenders import Worker
from bench.interleaving import interleaved
from bench.materials import array, package
from bench.report import Row, report

# Halos a side, rounded up to the step, of the networks of bench.materials.
HALO_2D, HALO_3D = 40, 24


@dataclass(frozen=True)
class Task:
    """A script of contenders/ with its arguments, in an environment."""

    environment: str
    script: str
    arguments: tuple[object, ...]


def main() -> None:
    given = arguments(__doc__, repeats=5)
    side, depth, width = (512, 16, 64) if given.quick else (1024, 32, 128)
    plane, volume = array(side, side), array(depth, width, width)
    halves, quarters = side // 2 + HALO_2D, side // 4 + 2 * HALO_2D
    half_3d = width // 2 + HALO_3D
    half, quarter = side // 2, side // 4
    tasks = {
        "ours 2D, 2 x 2 tiles": ours_2d(plane, halves),
        "csbdeep 2D, 2 x 2 tiles": csbdeep(plane, "YX", "2,2"),
        "ours 2D, 4 x 4 tiles": ours_2d(plane, quarters),
        "csbdeep 2D, 4 x 4 tiles": csbdeep(plane, "YX", "4,4"),
        "ours 2D, large tiles": ours_2d(plane, half),
        "careamics 2D, large tiles": careamics(plane, half),
        "ours 2D, small tiles": ours_2d(plane, quarter),
        "core 2D, small tiles": Task("core", "run_core.py", (package(2), plane, quarter)),
        "ours 3D, whole": ours_3d(volume, f"{width},{width}"),
        "csbdeep 3D, whole": csbdeep(volume, "ZYX", "1,1,1"),
        "ours 3D, 1 x 2 x 2 tiles": ours_3d(volume, f"{half_3d},{half_3d}"),
        "csbdeep 3D, 1 x 2 x 2 tiles": csbdeep(volume, "ZYX", "1,2,2"),
    }
    with ExitStack() as stack:
        workers = {
            name: stack.enter_context(Worker(task.environment, task.script, *task.arguments))
            for name, task in tasks.items()
        }
        best = interleaved(workers, given.repeats)
        versions = [version for worker in workers.values() for version in worker.versions]
    goals = {
        "csbdeep 2D, 2 x 2 tiles": ("ours 2D, 2 x 2 tiles", 1.3),
        "csbdeep 2D, 4 x 4 tiles": ("ours 2D, 4 x 4 tiles", 1.3),
        "csbdeep 3D, whole": ("ours 3D, whole", 1.0),
        "csbdeep 3D, 1 x 2 x 2 tiles": ("ours 3D, 1 x 2 x 2 tiles", 1.2),
        "careamics 2D, large tiles": ("ours 2D, large tiles", 3.0),
        "core 2D, small tiles": ("ours 2D, small tiles", 2.0),
    }
    title = (
        f"Peers, {side} x {side} in tiles up to {half} and {quarter}, {depth} x {width} x {width}"
    )
    rows = [
        Row(f"{peer} / ours, time", best[peer].seconds / best[ours].seconds, goal)
        for peer, (ours, goal) in goals.items()
    ]
    report(title, rows, best, versions, given.json)


def ours_2d(image: object, tile: int) -> Task:
    """care_bridge in tiles of so many pixels a side, halo included."""
    options = ("device=cpu", f"tile={tile},{tile}", "dtype=float32")
    return Task("ours", "run_ours.py", (package(2), image, "YX", *options))


def ours_3d(image: object, tile: str) -> Task:
    """care_bridge with OpenVINO, in tiles of Y,X."""
    options = ("device=openvino", "dtype=float32", f"tile={tile}")
    return Task("openvino", "run_ours.py", (package(3), image, "ZYX", *options))


def csbdeep(image: object, axes: str, tiles: str) -> Task:
    """csbdeep with so many tiles along each axis."""
    return Task("csbdeep", "run_csbdeep.py", (image, axes, tiles))


def careamics(image: object, tile: int) -> Task:
    """careamics in tiles of so many pixels a side that overlap by two halos."""
    return Task("careamics", "run_careamics.py", (image, "YX", tile, 2 * HALO_2D))


if __name__ == "__main__":
    main()
