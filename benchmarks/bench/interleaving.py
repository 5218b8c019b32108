"""A B C A B C …, so that a slow minute of the machine slows all; the best clean run counts."""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import psutil

from bench.contenders import Run

_CLEAN_SHARE = 0.05
# Threads of a contender that has answered spin for a while.
_PAUSE = 0.5


class Contender(Protocol):
    """A Worker or a Command."""

    def run(self) -> Run:
        """Run once."""
        ...


@dataclass(frozen=True)
class Best:
    """The fastest of the clean runs, in seconds, and the least time of its threads; of all runs
    where none was clean."""

    seconds: float
    cpu: float
    clean: int
    runs: tuple[Run, ...]


def interleaved(contenders: Mapping[str, Contender], repeats: int) -> dict[str, Best]:
    """Each contender `repeats` times in turn. A run is clean where other processes took less than
    a twentieth of the machine."""
    runs: dict[str, list[Run]] = {name: [] for name in contenders}
    for number in range(repeats):
        for name, contender in contenders.items():
            time.sleep(_PAUSE)
            before = _busy()
            run = contender.run()
            whole = run.seconds * (psutil.cpu_count() or 1)
            others = max(0.0, (_busy() - before - run.cpu) / whole)
            runs[name].append(replace(run, others=others))
            print(
                f"{number + 1}/{repeats} {name}: {run.seconds:.3f} s, others {others:.0%}",
                file=sys.stderr,
            )
    return {name: _best(done) for name, done in runs.items()}


def _best(runs: list[Run]) -> Best:
    clean = [run for run in runs if run.others < _CLEAN_SHARE]
    taken = clean or runs
    seconds, cpu = min(run.seconds for run in taken), min(run.cpu for run in taken)
    return Best(seconds, cpu, len(clean), tuple(runs))


def _busy() -> float:
    """Seconds that all processors have been busy since the start of the machine."""
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))
