"""The command line that all benchmarks share."""

from __future__ import annotations

import argparse
from pathlib import Path


def arguments(about: str | None, repeats: int) -> argparse.Namespace:
    """`quick` (small sizes, two repeats, no ratio to trust), `repeats` and `json`."""
    parser = argparse.ArgumentParser(
        description=about, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="small sizes, to see that it runs")
    parser.add_argument("--repeats", type=int, help=f"runs of each (default {repeats})")
    parser.add_argument("--json", type=Path, help="write all that was measured to this file")
    given = parser.parse_args()
    given.repeats = given.repeats or (2 if given.quick else repeats)
    return given
