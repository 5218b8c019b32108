"""The numbers of a recipe: their limits, and ranges that are drawn anew for each pair or object.

A range is (lowest, highest); both are the same where the value is fixed. The default of a number,
its limits and whether it is drawn on a logarithmic scale are said once, where the field is
declared; `check_limits` holds a whole recipe against them.
"""

from __future__ import annotations

import dataclasses
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ConfigError

Range = tuple[float, float]


def ranged(
    low: float, high: float | None = None, *, least: float = 0.0, most: float, log: bool = False
) -> Any:
    """A dataclass field of type Range with the default low … high (None: `low` itself).

    least, most: what its values may be. log: drawn evenly on a logarithmic scale, else evenly.
    """
    default = (float(low), float(low if high is None else high))
    metadata = {"least": least, "most": most, "log": log}
    return dataclasses.field(default=default, metadata=metadata)


def limited(default: Any, *, least: float, most: float) -> Any:
    """A dataclass field for a number, or several of them, that is not drawn.

    least, most: what its values may be.
    """
    return dataclasses.field(default=default, metadata={"least": least, "most": most})


def is_range(field: dataclasses.Field[Any]) -> bool:
    """Whether a field was declared by `ranged`."""
    return "log" in field.metadata


def check_limits(section: object, where: str = "") -> None:
    """Raise ConfigError where a number in a dataclass, or in a section inside it, is outside its
    limits; NaN is. where: the section's name and a dot."""
    for field in dataclasses.fields(cast(Any, section)):
        name, value = f"{where}{field.name}", getattr(section, field.name)
        if dataclasses.is_dataclass(value):
            check_limits(value, f"{name}.")
        elif "least" in field.metadata:
            _check(name, value, field)


def _check(name: str, value: Any, field: dataclasses.Field[Any]) -> None:
    numbers = value if isinstance(value, tuple) else (value,)
    least, most = field.metadata["least"], field.metadata["most"]
    between = " … " if is_range(field) else ", "
    told = between.join(f"{number:.12g}" for number in dict.fromkeys(numbers))
    if not all(least <= number <= most for number in numbers):
        raise ConfigError(
            f"{name} has the value {told}: give a number from {least:.12g} to {most:.12g}"
        )
    if is_range(field):
        low, high = numbers
        if low > high:
            raise ConfigError(f"{name} has the value {told}: give the lowest number first")
        if field.metadata["log"] and low == 0 < high:
            raise ConfigError(f"{name} has the value {told}: give a range that starts above 0")


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


def mean(section: object, name: str) -> float:
    """The mean of the values that `draw` gives."""
    low, high = cast(Range, getattr(section, name))
    if is_logarithmic(section, name) and low < high:
        return float((high - low) / np.log(high / low))
    return (low + high) / 2


def is_logarithmic(section: object, name: str) -> bool:
    """Whether a field is drawn on a logarithmic scale."""
    fields = {field.name: field for field in dataclasses.fields(cast(Any, section))}
    return bool(fields[name].metadata["log"])
