"""The rule on the sizes of test tensors: the description has to allow them."""

from __future__ import annotations

from collections.abc import Iterator

from care_bridge.package.consumers.draft import Described, Draft, axis_id, scale_of
from care_bridge.package.consumers.rule import CORE, ZOO, Rule

_Key = tuple[str, str]
"""The ids of a tensor and of its axis."""

_Tested = dict[_Key, tuple[Described, int]]
"""The axes, each with its size in its test tensor."""


def _misfits(draft: Draft) -> Iterator[str]:
    tested = _tested(draft)
    for (tensor, along), (axis, size) in tested.items():
        if not _fits(size, axis, tested):
            yield (
                f'the test tensor of "{tensor}" has {size} pixels along {along}, the description '
                f"says {_said(axis, tested)}"
            )


def _tested(draft: Draft) -> _Tested:
    tested = {}
    for tensor in (*draft.tensors("inputs"), *draft.tensors("outputs")):
        values = draft.test_tensor(tensor)
        # Another number of axes is told when the tensor is read.
        if values is not None and values.ndim == len(tensor["axes"]):
            for axis, size in zip(tensor["axes"], values.shape, strict=True):
                tested[str(tensor.get("id")), axis_id(axis)] = axis, size
    return tested


def _followed(axis: Described) -> _Key | None:
    """The axis whose size that of this one refers to."""
    size = axis.get("size")
    if isinstance(size, dict) and "tensor_id" in size:
        return str(size["tensor_id"]), str(size.get("axis_id"))
    return None


def _numbers(axis: Described) -> dict[str, int]:
    """The whole numbers by which an axis gives its size: min, step, …; exact where it is one."""
    size = axis.get("size")
    named = size if isinstance(size, dict) else {"exact": size}
    return {key: value for key, value in named.items() if type(value) is int}


def _expected(axis: Described, tested: _Tested) -> float | None:
    """The one size that an axis has; None where it may have several, or nothing tells it. In
    floating point, as bioimageio.core computes it."""
    followed = _followed(axis)
    if followed is None:
        return _numbers(axis).get("exact")
    if followed not in tested:
        return None
    other, size = tested[followed]
    return size * scale_of(other) / scale_of(axis) + _numbers(axis).get("offset", 0)


def _fits(size: int, axis: Described, tested: _Tested) -> bool:
    expected = _expected(axis, tested)
    if expected is not None:
        return size == expected
    numbers = _numbers(axis)
    least, most, step = numbers.get("min", 1), numbers.get("max", size), numbers.get("step", 1)
    return step < 1 or (least <= size <= most and (size - least) % step == 0)


def _said(axis: Described, tested: _Tested) -> str:
    expected = _expected(axis, tested)
    if expected is not None:
        return f"{expected:g}"
    numbers = _numbers(axis)
    least = numbers.get("min", 1)
    if "step" in numbers:
        return f"{least} + n * {numbers['step']}"
    return f"{least} to {numbers['max']}" if "max" in numbers else f"{least} or more"


TESTED_SIZE_RULES = (
    Rule(
        "test-tensor-size",
        (CORE, ZOO),
        "error",
        _misfits,
        "let the size be that of the test tensors, or save such as have it",
    ),
)
