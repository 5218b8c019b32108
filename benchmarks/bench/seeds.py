"""Trainings over several seeds, each kept when it is done, so that a script may be interrupted."""

from __future__ import annotations

import argparse
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any


def add_arguments(parser: argparse.ArgumentParser, steps: int) -> None:
    """--out, --seeds and --steps, with a default for the last."""
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--steps", type=int, default=steps)


def of_all_seeds(
    given: argparse.Namespace, name: str, measure: Callable[[int, Path], dict[str, Any]]
) -> list[dict[str, Any]]:
    """What `measure` gives for each seed, read where an earlier call kept it as JSON.

    measure: takes the seed and an empty place for its files, of which `data` is removed after.
    """
    given.out.mkdir(parents=True, exist_ok=True)
    results = []
    for seed in given.seeds:
        kept = given.out / f"{name}-seed{seed}-steps{given.steps}.json"
        if not kept.is_file():
            folder = kept.with_suffix("")
            shutil.rmtree(folder, ignore_errors=True)
            kept.write_text(json.dumps(measure(seed, folder), indent=1))
            shutil.rmtree(folder / "data")
        results.append(json.loads(kept.read_text()))
    return results
