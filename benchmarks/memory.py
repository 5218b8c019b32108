# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "psutil", "tifffile"]
# ///
"""The peak of the whole process against the cap that was given, for small and large images.

    uv run benchmarks/memory.py [--quick] [--json FILE]

A network of 4 first filters keeps it short. The large image takes 4 GiB of disk, and its results
as much again.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.arguments import arguments
from bench.contenders import restoring
from bench.interleaving import interleaved
from bench.materials import package, tiff
from bench.report import Row, report

MIB = 1 << 20
SHAPES = {"0.25 GiB": (8192, 8192), "4 GiB": (16, 8192, 8192)}  # float32
CAPS = {"0.5 GiB": 512, "1 GiB": 1024, "2 GiB": 2048}  # MiB


def main() -> None:
    given = arguments(__doc__, repeats=1)
    shapes = {"16 MiB": (2048, 2048)} if given.quick else SHAPES
    model = package(2, filters=4)
    rows, measured = [], {}
    for size, shape in shapes.items():
        source = tiff(*shape, dtype="float32")
        for cap, mebibytes in CAPS.items():
            for form, name in {"imagej": "out.tif", "zarr": "out.ome.zarr"}.items():
                what = f"{size} to {form}, cap {cap}"
                with tempfile.TemporaryDirectory(dir=source.parent) as folder:
                    out = Path(folder) / name
                    options = ["--memory", f"{mebibytes}MiB", "--device", "cpu", "--format", form]
                    command = restoring("ours", model, source, out, *options)
                    best = interleaved({what: command}, 1)[what]
                measured[what] = best
                share = best.runs[0].peak / (mebibytes * MIB)
                rows.append(Row(f"peak / cap, {what}", share, 1.1, True))
    report("Memory against the cap", rows, measured, [], given.json)


if __name__ == "__main__":
    main()
