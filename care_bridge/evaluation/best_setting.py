"""The setting of a method that suits the truth best, looked for from coarse to fine."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

_FIRST_STRIDE = 4


@dataclass(frozen=True)
class Dial:
    """A number that a method is set by. values: all that it can be, ascending. coarse: places in
    `values` that are tried first."""

    values: tuple[float, ...]
    coarse: range


def octaves(least: float, most: float, coarse: tuple[float, float], *, steps: int = 8) -> Dial:
    """A dial from `least` to about `most` with `steps` values to a doubling. Tried first is every
    octave of the range `coarse`."""
    values = [least]
    while values[-1] < most:
        values.append(least * 2 ** (len(values) / steps))
    first, last = (
        min(range(len(values)), key=lambda place: abs(values[place] - end)) for end in coarse
    )
    return Dial(tuple(values), range(first, last + 1, steps))


def best_setting(score: Callable[..., float], dials: Sequence[Dial]) -> tuple[float, ...]:
    """A value for each dial with the highest score.

    Starts from the best of all coarse combinations and goes on to better neighbours, beyond the
    coarse values, too; the steps are halved when there is none. Finds the highest of several tops
    where the coarse values show it.
    """
    scores: dict[tuple[int, ...], float] = {}

    def score_at(places: tuple[int, ...]) -> float:
        if places not in scores:
            scores[places] = score(*_values(dials, places))
        return scores[places]

    best = max(product(*(dial.coarse for dial in dials)), key=score_at)
    stride = _FIRST_STRIDE
    while stride:
        neighbours = [
            (*best[:number], place, *best[number + 1 :])
            for number, dial in enumerate(dials)
            for place in (best[number] - stride, best[number] + stride)
            if 0 <= place < len(dial.values)
        ]
        better = max((best, *neighbours), key=score_at)
        if better == best:
            stride //= 2
        best = better
    return _values(dials, best)


def _values(dials: Sequence[Dial], places: Sequence[int]) -> tuple[float, ...]:
    return tuple(dial.values[place] for dial, place in zip(dials, places, strict=True))
