"""How an output of a network lies on its input, from what an RDF says of their axes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

from care_bridge.package.refusal import RefusedError
from care_bridge.package.spec import Placement
from care_bridge.package.steps import Step
from care_bridge.tiling import AxisLimits

_SPACE = "ZYX"
_LARGEST_SCALE = 100


@dataclass(frozen=True)
class Stepped:
    """Sizes of min + k*step pixels."""

    min: int
    step: int


@dataclass(frozen=True)
class Following:
    """The size of another tensor's axis (its id and letter), times `scale`, plus `offset`."""

    tensor: str
    letter: str
    scale: Fraction = Fraction(1)
    offset: int = 0


@dataclass(frozen=True)
class Axis:
    """An axis of a tensor: its letter (BCZYX), its size in pixels, and the halo, in pixels of the
    output, that is to be cut off from it."""

    letter: str
    size: int | Stepped | Following
    halo: int = 0

    @property
    def is_sound(self) -> bool:
        """Whether an image can have such an axis; the library lets most numbers pass."""
        size = self.size
        if isinstance(size, Following):
            return self.halo >= 0 and 1 / _LARGEST_SCALE <= size.scale <= _LARGEST_SCALE
        if isinstance(size, Stepped):
            return self.halo >= 0 and size.min > 0 and size.step >= 0
        return self.halo >= 0 and size > 0


@dataclass(frozen=True)
class Tensor:
    """An input or output as an RDF describes it, in one form for all of its formats."""

    id: str
    axes: tuple[Axis, ...]
    channel_names: tuple[str, ...]
    test_tensor: str
    sample_tensor: str | None
    steps: tuple[Step, ...]

    @property
    def letters(self) -> str:
        """The letters of its axes, in order."""
        return "".join(axis.letter for axis in self.axes)

    def check_axes(self) -> None:
        """RefusedError unless it is an image."""
        letters = self.letters
        if not {"Y", "X"} <= set(letters) <= {*"BCZYX"} or len(set(letters)) < len(letters):
            raise RefusedError(
                f'its tensor "{self.id}" has the axes {letters}, care_bridge runs Y and X, and '
                "with them B, C and Z"
            )
        for axis in self.axes:
            if not axis.is_sound:
                raise RefusedError(
                    f'its tensor "{self.id}" has a size, a step, a halo or a scale along '
                    f"{axis.letter} that no image has"
                )


@dataclass(frozen=True)
class Geometry:
    """tiling, placement, depth: see ModelSpec."""

    tiling: Mapping[str, AxisLimits]
    placement: Mapping[str, Placement]
    depth: AxisLimits | None


def geometry_of(inputs: Sequence[Tensor], output: Tensor) -> Geometry:
    """How `output` lies on the first input, which the others equal in size; RefusedError where it
    cannot be told, or is no image of it."""
    source = inputs[0]
    for tensor in (*inputs, output):
        tensor.check_axes()
    sizes = {axis.letter: _input_size(axis, inputs) for axis in source.axes}
    for tensor in inputs[1:]:
        _check_same(tensor, source, sizes, inputs)
    outputs = {axis.letter: axis for axis in output.axes}
    tiling, placement, depth = {}, {}, None
    for letter in _SPACE:
        axis, size = outputs.get(letter), sizes.get(letter)
        if size is None and axis is not None:
            placement[letter] = _new_axis(axis)
        elif axis is None and size is not None:
            if letter != "Z":
                raise RefusedError(f'its tensor "{output.id}" is no image: it has no {letter}')
            depth = _limits(size, 0, 1)
        elif axis is not None and size is not None:
            place = _placement(axis, size, [tensor.id for tensor in inputs])
            tiling[letter] = _tiling(axis, size, place)
            if place != Placement():
                placement[letter] = place
    return Geometry(tiling, placement, depth)


def _input_size(axis: Axis, inputs: Sequence[Tensor]) -> int | Stepped:
    """The size of an axis of an input; where it follows another one, that one's."""
    size = axis.size
    for _ in range(len(_SPACE) * len(inputs)):
        if not isinstance(size, Following):
            return size
        followed = {(each.id, other.letter): other for each in inputs for other in each.axes}
        key = size.tensor, size.letter
        if key not in followed or size.scale != 1 or size.offset:
            break
        size = followed[key].size
    raise RefusedError(
        f"its input size along {axis.letter} is not that of another input's axis, which it follows"
    )


def _check_same(
    tensor: Tensor,
    source: Tensor,
    sizes: Mapping[str, int | Stepped],
    inputs: Sequence[Tensor],
) -> None:
    others = {
        axis.letter: _input_size(axis, inputs) for axis in tensor.axes if axis.letter in _SPACE
    }
    if others != {letter: size for letter, size in sizes.items() if letter in _SPACE}:
        raise RefusedError(
            f'its inputs "{source.id}" and "{tensor.id}" have other sizes, care_bridge runs inputs '
            "of one size"
        )


def _new_axis(axis: Axis) -> Placement:
    if axis.letter != "Z" or not isinstance(axis.size, int):
        raise RefusedError(f"its output has an axis {axis.letter}, which its input does not have")
    return Placement(up=0, offset=axis.size)


def _placement(axis: Axis, size: int | Stepped, tensors: Sequence[str]) -> Placement:
    """Where the output's pixels are along an axis."""
    if isinstance(axis.size, Following):
        if axis.size.tensor not in tensors or axis.size.letter != axis.letter:
            raise RefusedError(
                f"its output size along {axis.letter} follows {axis.size.letter} of "
                f'"{axis.size.tensor}", care_bridge runs outputs that follow the same axis of an '
                "input"
            )
        scale = axis.size.scale
        return Placement(scale.numerator, scale.denominator, axis.size.offset)
    if not isinstance(axis.size, int) or not isinstance(size, int):
        raise RefusedError(
            f"its output has one size along {axis.letter}, whatever its input's: it is no image of "
            "it"
        )
    # Of two numbers nothing says whether pixels are larger or left out: those that divide scale.
    if axis.size % size == 0 or size % axis.size == 0:
        scale = Fraction(axis.size, size)
        return Placement(scale.numerator, scale.denominator)
    return Placement(offset=axis.size - size)


def _tiling(axis: Axis, size: int | Stepped, place: Placement) -> AxisLimits:
    # Pixels that the network itself leaves out at an edge are those of a halo.
    lost = axis.halo + Fraction(max(-place.offset, 0), 2)
    limits = _limits(size, math.ceil(lost * place.down / place.up), place.down)
    if limits.most is not None and limits.smallest_tile > limits.most:
        raise RefusedError(
            f"its halo of {limits.halo} pixels leaves nothing of its {limits.most} along "
            f"{axis.letter}"
        )
    return limits


def _limits(size: int | Stepped, halo: int, multiple: int) -> AxisLimits:
    """multiple: tiles have to start on multiples of it."""
    if isinstance(size, int):
        return AxisLimits(step=multiple, min=size, halo=halo, most=size)
    if size.step == 0:
        return AxisLimits(step=multiple, min=size.min, halo=halo, most=size.min)
    return AxisLimits(step=math.lcm(size.step, multiple), min=size.min, halo=halo)
