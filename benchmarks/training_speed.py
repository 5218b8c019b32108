# /// script
# requires-python = ">=3.11"
# dependencies = ["numpy", "psutil", "tifffile"]
# ///
"""Training against csbdeep's: the same network, batches and loss, each in its own whole loop.

    uv run benchmarks/training_speed.py [--quick] [--repeats N] [--json FILE]

A run is an epoch of a few steps with a validation of one batch at its end. csbdeep takes its
patches from memory; care_bridge draws them from images on disk, writes its log and checkpoints.
"""

from __future__ import annotations

import csv
import tempfile
from contextlib import ExitStack
from pathlib import Path

from bench.arguments import arguments
from bench.contenders import Worker
from bench.interleaving import interleaved
from bench.report import Row, report

STEPS = 8


def main() -> None:
    given = arguments(__doc__, repeats=4)
    batch, side = (4, 64) if given.quick else (16, 128)
    sizes = (STEPS, batch, side)
    with ExitStack() as stack:
        runs = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        workers = {"csbdeep": stack.enter_context(Worker("csbdeep", "train_csbdeep.py", *sizes))}
        for precision in ("float32", "bf16"):
            workers[f"ours, {precision}"] = stack.enter_context(
                Worker("ours", "train_ours.py", runs, precision, *sizes)
            )
        best = interleaved(workers, given.repeats)
        versions = [version for worker in workers.values() for version in worker.versions]
        waiting = max(map(waiting_share, runs.glob("*/run*/log.csv")))
    peer = best["csbdeep"].seconds
    rows = [
        Row("ours / csbdeep, steps a second, float32", peer / best["ours, float32"].seconds, 0.8),
        Row("the same, bf16", peer / best["ours, bf16"].seconds, 1.6),
        Row("waiting for patches, share of the time, at most", waiting, 0.05, True),
    ]
    title = f"Training, 2D, {STEPS} steps of {batch} x {side} x {side}"
    report(title, rows, best, versions, given.json)


def waiting_share(log: Path) -> float:
    """What a run's log says of its epoch."""
    with log.open(newline="", encoding="utf-8") as stream:
        (row,) = csv.DictReader(stream)
    return float(row["waiting_share"])


if __name__ == "__main__":
    main()
