"""Ranges: values of a recipe that are drawn anew for each pair or each object.

A range is (lowest, highest); both are the same where the value is fixed. Its default, its limits
and whether it is drawn on a logarithmic scale are said once, where the field is declared.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

Range = tuple[float, float]


def ranged(
    low: float,
    high: float | None = None,
    *,
    least: float = 0.0,
    most: float = float("inf"),
    log: bool = False,
) -> Any:
    """A dataclass field of type Range with the default low … high (None: `low` itself).

    least, most: what its values may be. log: drawn evenly on a logarithmic scale, else evenly.
    """
    default = (float(low), float(low if high is None else high))
    metadata = {"least": least, "most": most, "log": log}
    return dataclasses.field(default=default, metadata=metadata)


def draw(section: object, name: str, rng: np.random.Generator) -> float:
    """One value from the range of field `name` of `section`, a dataclass."""
    return float(draw_many(section, name, 1, rng)[0])


def draw_many(
    section: object, name: str, count: int, rng: np.random.Generator
) -> NDArray[np.float64]:
    """`count` values from a range. As many random numbers are used up where the value is fixed,
    so that fixing it leaves everything else as it was."""
    low, high = cast(Range, getattr(section, name))
    share = rng.uniform(0, 1, count)
    if low == high:
        return np.full(count, low)
    if is_logarithmic(section, name) and low > 0:
        return np.asarray(low * (high / low) ** share)
    return low + (high - low) * share


def is_logarithmic(section: object, name: str) -> bool:
    """Whether a field is drawn on a logarithmic scale."""
    fields = {field.name: field for field in dataclasses.fields(cast(Any, section))}
    return bool(fields[name].metadata["log"])
