"""Axes of images and tensors: the only place where axis letters are parsed and converted.

Letters: S sample, T time, C channel, Z, Y, X. The order STCZYX is the canonical one. ImageJ
stores hyperstacks as TZCYX; an RDF names axes batch, channel, time, z, y, x.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from care_bridge.errors import AxesError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

CANONICAL = "STCZYX"
IMAGEJ = "TZCYX"
_RDF_IDS = {
    "batch": "B",
    "channel": "C",
    "time": "T",
    "z": "Z",
    "y": "Y",
    "x": "X",
}


class Axes(str):
    """The axes of an array, a letter each, in the array's order; always with Y and X.

    `Axes("zyx")` equals `"ZYX"`. Raises AxesError for unknown or repeated letters, or where Y or
    X is missing.
    """

    def __new__(cls, letters: str) -> Axes:
        """The axes named by `letters`, in either case."""
        upper = str(letters).upper()
        unknown = sorted(set(upper) - set(CANONICAL))
        if unknown:
            raise AxesError(
                f'axes "{letters}" have the unknown letter "{unknown[0]}": use '
                f"letters of {CANONICAL}"
            )
        if len(set(upper)) < len(upper):
            raise AxesError(f'axes "{letters}" name an axis twice: name each once')
        if not {"Y", "X"} <= set(upper):
            raise AxesError(f'axes "{letters}" lack Y or X: an image needs both')
        return super().__new__(cls, upper)

    def check(self, array_shape: tuple[int, ...]) -> None:
        """Raise AxesError unless an array of this shape can have these axes."""
        if len(array_shape) != len(self):
            raise AxesError(
                f"axes {self} name {len(self)} dimensions, but the image has {len(array_shape)} "
                f"(shape {array_shape}): give one letter for each"
            )

    def sizes(self, array_shape: tuple[int, ...]) -> dict[str, int]:
        """Sizes by letter of an array of this shape."""
        self.check(array_shape)
        return dict(zip(self, array_shape, strict=True))

    def to(self, array: NDArray[np.generic], target: str) -> NDArray[np.generic]:
        """A view of `array` (with these axes) transposed to `target`; axes it lacks get length 1.

        Axes that `target` lacks must have length 1; else AxesError.
        """
        self.check(array.shape)
        for letter, size in self.sizes(array.shape).items():
            if letter not in target and size != 1:
                raise AxesError(f"axis {letter} of length {size} does not fit into axes {target}")
        kept = [letter for letter in self if letter in target]
        squeezed = array.reshape([self.sizes(array.shape)[letter] for letter in kept])
        order = [kept.index(letter) for letter in target if letter in kept]
        moved = squeezed.transpose(order)
        return moved[tuple(slice(None) if letter in kept else None for letter in target)]


def by_letter(sizes: Mapping[str, float]) -> str:
    """Sizes as messages tell them: {"Y": 28, "X": 30} gives "Y=28, X=30"."""
    return ", ".join(f"{letter}={size:.7g}" for letter, size in sizes.items())


def axes_from_rdf(axis_ids: Mapping[str, str] | list[str]) -> str:
    """Letters of an RDF's axis ids, in order: ["batch", "channel", "y", "x"] gives "BCYX"."""
    letters = []
    for axis_id in axis_ids:
        if axis_id not in _RDF_IDS:
            raise AxesError(
                f'the model has an axis "{axis_id}": only {", ".join(_RDF_IDS)} can be run'
            )
        letters.append(_RDF_IDS[axis_id])
    return "".join(letters)


def rdf_id(letter: str) -> str:
    """The RDF's axis id of a letter: "Y" gives "y", "C" gives "channel"."""
    return {value: key for key, value in _RDF_IDS.items()}[letter]
