# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "psutil", "tifffile"]
# ///
"""ImageJ: pixels between numpy and Java, and the whole route of a macro against the command line.

uv run benchmarks/fiji.py [--quick] [--repeats N] [--json FILE]
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.arguments import arguments
from bench.contenders import Command, Worker, restoring
from bench.environments import python_of
from bench.interleaving import interleaved
from bench.materials import array, package, tiff
from bench.report import Row, report

WAYS = {"to": ("ours", "buffer", "slice"), "from": ("ours", "buffer", "view")}


def main() -> None:
    given = arguments(__doc__, repeats=5)
    stack_shape, movie_shape = ((10, 256, 256), (2, 256, 256))
    if not given.quick:
        stack_shape, movie_shape = (100, 1024, 1024), (20, 1024, 1024)
    file = array(*stack_shape)
    with ExitStack() as stack:
        workers = {
            f"{direction}-{way}": stack.enter_context(
                Worker("fiji", "run_conversion.py", f"{direction}-{way}", file)
            )
            for direction, ways in WAYS.items()
            for way in ways
        }
        conversions = interleaved(workers, given.repeats)
        versions = [version for worker in workers.values() for version in worker.versions]
    model, source = package(2), tiff(*movie_shape)
    with tempfile.TemporaryDirectory() as folder:
        by_macro = Path(folder) / "by_macro.tif"
        words = (f"input={source}", f"output={by_macro}", f"model={model}")
        run = (python_of("fiji"), "-m", "care_bridge", "fiji", "run", "Restore_Image", *words)
        routes = interleaved(
            {
                "care-bridge restore": restoring(
                    "fiji", model, source, Path(folder) / "by_command.tif", "--device", "cpu"
                ),
                "care-bridge fiji run": Command(run),
            },
            max(given.repeats // 2, 2),
        )
    rows = []
    for direction, ways in WAYS.items():
        seconds = {way: conversions[f"{direction}-{way}"].seconds for way in ways}
        what = "numpy to ImagePlus" if direction == "to" else "ImagePlus to numpy"
        rows.append(
            Row(f"{what} / the fastest way", seconds["ours"] / min(seconds.values()), 3, True)
        )
    macro, command = (
        routes[name].seconds for name in ("care-bridge fiji run", "care-bridge restore")
    )
    shape = " x ".join(map(str, movie_shape))
    rows.append(Row(f"macro / command line, {shape}, time", macro / command, 1.1, True))
    report("ImageJ", rows, conversions | routes, versions, given.json)


if __name__ == "__main__":
    main()
