# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "psutil", "tifffile"]
# ///
"""From a cold process to its first 256 x 256 result.

uv run benchmarks/startup.py [--quick] [--repeats N] [--json FILE]
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from bench.arguments import arguments
from bench.contenders import Command, restoring
from bench.environments import python_of
from bench.interleaving import interleaved
from bench.materials import CONTENDERS, array, package, tiff
from bench.report import Row, report


def main() -> None:
    given = arguments(__doc__, repeats=8)
    model, source = package(2), tiff(256, 256)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "restored.tif"
        command = restoring("ours", model, source, out, "--device", "cpu")
        first = CONTENDERS / "first_csbdeep.py"
        contenders = {
            "care-bridge restore": command,
            "csbdeep": Command((python_of("csbdeep"), first, array(256, 256))),
            "import careamics": Command((python_of("careamics"), "-c", "import careamics")),
        }
        for contender in contenders.values():
            contender.run()  # so that bytecode is compiled and files are read once
        best = interleaved(contenders, given.repeats)
    ours, csbdeep = best["care-bridge restore"].seconds, best["csbdeep"].seconds
    rows = [
        Row("care-bridge restore, seconds", ours, 0.7, True),
        Row("csbdeep / care-bridge restore, time", csbdeep / ours, 5.0),
        Row("import careamics / care-bridge restore", best["import careamics"].seconds / ours),
    ]
    report("Start-up", rows, best, [], given.json)


if __name__ == "__main__":
    main()
