"""Line charts as SVG: text that a browser draws, sharp at any size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

_WIDTH, _HEIGHT = 520, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 62, 150, 14, 44
_LINE = 18  # of the legend
_WIDEST = 7.5  # a letter, in the sans-serif fonts that browsers take
_TICKS = 5
_MOST_WRITTEN = 6
_COLOURS = ("#0b6e99", "#d9541e", "#2e8540", "#7a3e9d", "#b8860b", "#c2185b", "#555555", "#00897b")

Series = tuple[Sequence[float], Sequence[float]]
"""The points of a line: all x, all y."""


@dataclass(frozen=True)
class _Axis:
    """Maps values from low..high to pixels from start..end, evenly or in logarithms."""

    low: float
    high: float
    start: float
    end: float
    logarithmic: bool

    def at(self, value: float) -> float:
        place = log10(value) if self.logarithmic else value
        return self.start + (place - self.low) / (self.high - self.low) * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Values to be written along the axis: round numbers where it is even."""
        span = self.high - self.low
        if self.logarithmic:
            return [10 ** (self.low + i * span / (_TICKS - 1)) for i in range(_TICKS)]
        power = 10 ** floor(log10(span / _TICKS))
        step = next(power * round_ for round_ in (1, 2, 5, 10) if span <= _TICKS * power * round_)
        return [i * step for i in range(ceil(self.low / step), floor(self.high / step) + 1)]


def line_chart(
    lines: Mapping[str, Series],
    *,
    x_label: str,
    y_label: str,
    log_x: bool = False,
    log_y: bool = False,
    dots: bool = False,
) -> str:
    """An SVG element with a coloured line and a legend entry for each of `lines`.

    log_x, log_y: logarithmic axes, all values > 0. dots: mark the points and, where they are
    few, write their x. The element is as large as its legend needs.
    """
    across = _axis([x for xs, _ in lines.values() for x in xs], _LEFT, _WIDTH - _RIGHT, log_x)
    up = _axis([y for _, ys in lines.values() for y in ys], _HEIGHT - _BOTTOM, _TOP, log_y)
    left = _WIDTH - _RIGHT + 12
    longest = max(len(name) for name in lines)
    width = max(_WIDTH, ceil(left + 22 + _WIDEST * longest))
    height = max(_HEIGHT, _TOP + _LINE * (len(lines) + 1))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}" font-family="sans-serif" font-size="12" role="img">',
        '<rect width="100%" height="100%" fill="#fff"/>',
        f'<rect x="{_LEFT}" y="{_TOP}" width="{_WIDTH - _LEFT - _RIGHT}" '
        f'height="{_HEIGHT - _TOP - _BOTTOM}" fill="none" stroke="#999"/>',
    ]
    measured = sorted({x for xs, _ in lines.values() for x in xs})
    for tick in measured if dots and len(measured) <= _MOST_WRITTEN else across.ticks():
        x = across.at(tick)
        parts.append(f'<path d="M{x:.1f} {_HEIGHT - _BOTTOM}v5" stroke="#999"/>')
        parts.append(_text(x, _HEIGHT - _BOTTOM + 18, _number(tick), "middle"))
    for tick in up.ticks():
        y = up.at(tick)
        parts.append(f'<path d="M{_LEFT} {y:.1f}h-5" stroke="#999"/>')
        parts.append(_text(_LEFT - 8, y + 4, _number(tick), "end"))
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    parts.append(_text(middle, _HEIGHT - 8, x_label, "middle"))
    turned = (_TOP + _HEIGHT - _BOTTOM) / 2
    parts.append(
        f'<g transform="translate(14 {turned}) rotate(-90)">{_text(0, 0, y_label, "middle")}</g>'
    )
    for index, (name, (xs, ys)) in enumerate(lines.items()):
        colour = _COLOURS[index % len(_COLOURS)]
        places = [(across.at(x), up.at(y)) for x, y in zip(xs, ys, strict=True)]
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
        parts.append(
            f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="2"/>'
        )
        if dots:
            parts += [
                f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="{colour}"/>' for x, y in places
            ]
        top = _TOP + 14 + _LINE * index
        parts.append(f'<path d="M{left} {top - 4}h16" stroke="{colour}" stroke-width="2"/>')
        parts.append(_text(left + 22, top, name, "start"))
    return "".join([*parts, "</svg>"])


def _axis(values: Sequence[float], start: float, end: float, logarithmic: bool) -> _Axis:
    placed = [log10(value) for value in values] if logarithmic else list(values)
    low, high = min(placed), max(placed)
    if low == high:
        low, high = low - 0.5, high + 0.5
    return _Axis(low, high, start, end, logarithmic)


def _number(value: float) -> str:
    return f"{value:.0f}" if 100 <= abs(value) < 1e6 else f"{value:.3g}"


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'
