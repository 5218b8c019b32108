"""Trainings over several seeds, each kept when it is done, so that a script may be interrupted."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from care_bridge.atomic import replacing

Measure = Callable[[int, Path], dict[str, Any]]
"""Takes the seed and an empty place for its files, of which `data` is removed after."""


def add_arguments(parser: argparse.ArgumentParser, steps: int | None) -> None:
    """--out, --seeds and --steps, with a default for the last (None: one for each measurement)."""
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3])
    parser.add_argument("--steps", type=int, default=steps)


def of_seed(
    given: argparse.Namespace,
    name: str,
    steps: int,
    seed: int,
    configuration: object,
    measure: Measure,
) -> dict[str, Any]:
    """What `measure` gives for a seed, read where an earlier call kept it as JSON.

    configuration: all else that the result depends on, of plain data; a result of another one is
    not taken for it.
    """
    given.out.mkdir(parents=True, exist_ok=True)
    digest = hashlib.sha256(json.dumps(configuration, sort_keys=True).encode()).hexdigest()
    kept = given.out / f"{name}-{digest[:8]}-seed{seed}-steps{steps}.json"
    if not kept.is_file():
        folder = kept.with_suffix("")
        shutil.rmtree(folder, ignore_errors=True)
        found = measure(seed, folder)
        with replacing(kept) as partial:
            partial.write_text(json.dumps(found, indent=1))
        shutil.rmtree(folder / "data")
    result: dict[str, Any] = json.loads(kept.read_text())
    return result


def of_all_seeds(
    given: argparse.Namespace, name: str, configuration: object, measure: Measure
) -> list[dict[str, Any]]:
    """What `measure` gives for each seed; the arguments of `of_seed`."""
    return [of_seed(given, name, given.steps, seed, configuration, measure) for seed in given.seeds]
