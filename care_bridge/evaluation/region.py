"""A rectangular region of interest, in pixels."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL
from care_bridge.errors import ConfigError

_PART = re.compile(r"([A-Z])=(\d*):(\d*)")


@dataclass(frozen=True)
class Region:
    """First and behind-last pixel by axis letter; None: from the beginning, to the end. Axes that
    it does not name are kept whole."""

    ranges: tuple[tuple[str, int | None, int | None], ...] = ()

    @classmethod
    def parse(cls, text: str) -> Region:
        """The region of a text like "Y=10:200,X=:128"; ConfigError where it is none,
        empty, or names an axis twice."""
        ranges: list[tuple[str, int | None, int | None]] = []
        for part in text.upper().replace(" ", "").split(","):
            found = _PART.fullmatch(part)
            if not found or found[1] not in CANONICAL:
                raise ConfigError(
                    f'the region "{text}" cannot be read: write ranges like Y=10:200,X=0:128'
                )
            first, behind = (int(number) if number else None for number in found.groups()[1:])
            if behind is not None and behind <= (first or 0):
                raise ConfigError(f'the region "{text}" is empty along {found[1]}: widen it')
            if found[1] in [axis for axis, _, _ in ranges]:
                raise ConfigError(f'the region "{text}" names {found[1]} twice: give one range')
            ranges.append((found[1], first, behind))
        return cls(tuple(ranges))

    @property
    def axes(self) -> str:
        """The letters that are named."""
        return "".join(axis for axis, _, _ in self.ranges)

    def along(self, axes: str) -> Region:
        """Its ranges along these axes alone."""
        return Region(tuple(part for part in self.ranges if part[0] in axes))

    def times(self, axis: str, count: int) -> Region:
        """The region of an image that has `count` pixels along `axis` for each of this one's."""
        return Region(
            tuple(
                (letter, first and first * count, behind and behind * count)
                if letter == axis
                else (letter, first, behind)
                for letter, first, behind in self.ranges
            )
        )

    def cut(self, pixels: NDArray[np.generic], axes: str, name: str) -> NDArray[np.generic]:
        """The region of `pixels`, whose dimensions `axes` names.

        `name` tells the image in the ConfigError that is raised where the region reaches outside.
        """
        area = [slice(None)] * pixels.ndim
        for axis, first, behind in self.ranges:
            size = pixels.shape[axes.index(axis)] if axis in axes else 1
            if (first or 0) >= size or (behind or size) > size:
                raise ConfigError(
                    f"the region {axis}={'' if first is None else first}:"
                    f"{'' if behind is None else behind} is not inside {name}, "
                    f"which has {size} along {axis}: choose one inside"
                )
            if axis in axes:
                area[axes.index(axis)] = slice(first, behind)
        return pixels[tuple(area)]
