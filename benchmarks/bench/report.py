"""The ratios as a table on stdout, and all that was measured as JSON."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from bench.interleaving import Best


@dataclass(frozen=True)
class Row:
    """A figure and what it should be: at least `goal`, or at most where `at_most`."""

    what: str
    figure: float
    goal: float | None = None
    at_most: bool = False

    @property
    def verdict(self) -> str:
        """ "met", "missed", or nothing where there is no goal."""
        if self.goal is None:
            return ""
        met = self.figure <= self.goal if self.at_most else self.figure >= self.goal
        return "met" if met else "missed"


def report(
    title: str,
    rows: Sequence[Row],
    measured: Mapping[str, Best],
    versions: Iterable[str],
    out: Path | None,
) -> None:
    """Print the tables, and write everything to `out` as JSON."""
    print(f"\n## {title}\n\n{_machine()}\n")
    print("| | figure | goal | |\n|---|---|---|---|")
    for row in rows:
        sign = "" if row.goal is None else f"{'<=' if row.at_most else '>='} {row.goal:g}"
        print(f"| {row.what} | {row.figure:.3g} | {sign} | {row.verdict} |")
    print("\n| contender | s | s of all threads | clean runs |\n|---|---|---|---|")
    for name, best in measured.items():
        clean = f"{best.clean} of {len(best.runs)}"
        print(f"| {name} | {best.seconds:.3g} | {best.cpu:.3g} | {clean} |")
    told = sorted(set(versions))
    print("\n" + "; ".join(told))
    if out is not None:
        content = {
            "title": title,
            "machine": _machine(),
            "versions": told,
            "rows": [asdict(row) | {"verdict": row.verdict} for row in rows],
            "measured": {name: asdict(best) for name, best in measured.items()},
        }
        out.write_text(json.dumps(content, indent=1), "utf-8")


def _machine() -> str:
    cores = psutil.cpu_count(logical=False) or os.cpu_count()
    memory = psutil.virtual_memory().total / (1 << 30)
    return f"{_processor()}, {cores} cores, {memory:.0f} GiB, {platform.system()}"


def _processor() -> str:
    file = Path("/proc/cpuinfo")
    if not file.is_file():
        return platform.processor()
    lines = file.read_text("utf-8").split("\n\n")[0].splitlines()
    pairs = [line.partition(":") for line in lines]
    facts = {key.strip(): value.strip() for key, _, value in pairs}
    flags = facts.get("flags", "").split()
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    name = facts.get("model name", platform.machine())
    family = f"family {facts.get('cpu family')} model {facts.get('model')}"
    return f"{name} ({family}; {', '.join(known)})"
