"""Two tools at the same seeds: the difference, and how sure it is."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import mean, stdev


@dataclass(frozen=True)
class Difference:
    """Mean of one minus the other over the seeds, and the mean's standard error (of pairs: what
    the seeds' data have in common cancels). error: NaN for a single seed."""

    mean: float
    error: float


def difference(one: Sequence[float], other: Sequence[float]) -> Difference:
    """The difference of figures at the same seeds."""
    pairs = [a - b for a, b in zip(one, other, strict=True)]
    error = stdev(pairs) / math.sqrt(len(pairs)) if len(pairs) > 1 else math.nan
    return Difference(mean(pairs), error)


def print_figures(
    title: str, seeds: Sequence[int], figures: Mapping[str, Sequence[float]], digits: int = 2
) -> None:
    """A table: a row a tool, a column a seed, their mean."""
    print(f"\n### {title}\n")
    print("| | " + " | ".join(f"seed {seed}" for seed in seeds) + " | mean |")
    print("|---" * (len(seeds) + 2) + "|")
    for name, row in figures.items():
        cells = " | ".join(f"{figure:.{digits}f}" for figure in row)
        print(f"| {name} | {cells} | {mean(row):.{digits}f} |")


def print_verdict(what: str, found: Difference, aim: float) -> None:
    """The difference and whether it reaches `aim`."""
    told = "met" if found.mean >= aim else "missed"
    print(f"\n{what}: {found.mean:+.3g} +- {found.error:.2g}, aim at least {aim:+.3g}: {told}")
