"""Rules on the sizes of images and on halos."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from fractions import Fraction

from care_bridge.package.consumers.draft import (
    Described,
    Draft,
    axis_id,
    position,
    scale_of,
    space_axes,
)
from care_bridge.package.consumers.rule import CORE, DEEPIMAGEJ, Rule
from care_bridge.package.rdf_content import smallest_size
from care_bridge.tiling import round_up

_LARGEST_PART = 1000
"""Scales are taken for ratios with at most this denominator."""


def _stepped_axes(draft: Draft) -> Iterator[tuple[Described, Described, Described]]:
    """The inputs' axes of sizes min + n * step: the tensor, the axis and its size."""
    for tensor in draft.tensors("inputs"):
        for axis in space_axes(tensor):
            size = axis.get("size")
            if (
                isinstance(size, dict)
                and _is_count(size.get("min"))
                and _is_count(size.get("step"))
            ):
                yield tensor, axis, size


def _is_count(value: object) -> bool:
    return type(value) is int and value > 0


def _followers(
    draft: Draft, tensor: Described, axis: Described
) -> Iterator[tuple[Described, Fraction, int]]:
    """The outputs' axes that follow an input's axis: they have its pixels times a ratio, plus an
    offset."""
    followed = tensor.get("id"), axis_id(axis)
    for output in draft.tensors("outputs"):
        for other in space_axes(output):
            size = other.get("size")
            if isinstance(size, dict) and (size.get("tensor_id"), size.get("axis_id")) == followed:
                ratio = _scale(axis) / _scale(other)
                offset = size.get("offset")
                yield (
                    other,
                    ratio.limit_denominator(_LARGEST_PART) or ratio,
                    offset if type(offset) is int else 0,
                )


def _scale(axis: Described) -> Fraction:
    return Fraction(scale_of(axis))


def _halo(draft: Draft, tensor: Described, axis: Described) -> int:
    """The largest halo that an output asks for along an axis of an input, in pixels of that."""
    halos: list[int] = [
        math.ceil(other["halo"] / ratio)
        for other, ratio, _ in _followers(draft, tensor, axis)
        if type(other.get("halo")) is int
    ]
    return max([0, *halos])


def _smallest(draft: Draft, tensor: Described, axis: Described, halo: int, step: int) -> int:
    """The smallest size of an input, a multiple of the step, that leaves a pixel of every output
    between two halos."""
    needed = [
        math.ceil((1 - offset) / ratio) for _, ratio, offset in _followers(draft, tensor, axis)
    ]
    return smallest_size(halo, step, max([1, *needed]))


def declared_halo(draft: Draft) -> dict[str, int]:
    """The halo that others are told for the axes (x, y, z) along which they may tile, in pixels of
    the input."""
    return {
        axis_id(axis): _halo(draft, tensor, axis)
        for tensor, axis, _ in _stepped_axes(draft)
        if axis.get("concatenable") is True
    }


def declare_halo(draft: Draft, needed: Mapping[str, int]) -> None:
    """Tell others the halo that is needed, by axis, in pixels of the input.

    The description has it in pixels of each output, of which it must be a whole number: it is
    widened to that, and to whole steps. Where the test tensor is too small for two such halos and
    a step, others are told not to tile along that axis.
    """
    for tensor, axis, size in _stepped_axes(draft):
        least = needed.get(axis_id(axis))
        values = draft.test_tensor(tensor)
        if least is None or values is None or axis.get("concatenable") is not True:
            continue
        followers = list(_followers(draft, tensor, axis))
        whole = math.lcm(size["step"], *(ratio.denominator for _, ratio, _ in followers))
        halo = round_up(least, whole)
        smallest = _smallest(draft, tensor, axis, halo, size["step"])
        fits = values.shape[position(tensor, axis)] >= max(size["min"], smallest)
        for other, ratio, _ in followers:
            other.pop("halo", None)
            other.update({"halo": int(halo * ratio)} if halo and fits else {})
        axis["concatenable"] = fits
    _raise_min(draft)


def _uneven_min(draft: Draft) -> Iterator[str]:
    for tensor, axis, size in _stepped_axes(draft):
        if size["min"] % size["step"]:
            yield (
                f'the sizes of "{tensor.get("id")}" along {axis_id(axis)} start at {size["min"]}, '
                f"no multiple of their step {size['step']}, and it makes multiples of the step"
            )


def _halo_too_wide(draft: Draft) -> Iterator[str]:
    for tensor, axis, size in _stepped_axes(draft):
        halo = _halo(draft, tensor, axis)
        if size["min"] < _smallest(draft, tensor, axis, halo, 1):
            yield (
                f'"{tensor.get("id")}" may have {size["min"]} pixels along {axis_id(axis)}, of '
                f"which halos of {halo} leave none"
            )


def _raise_min(draft: Draft) -> None:
    """To a multiple of the step with a pixel between the halos, where the test tensor is one of
    the sizes that are left."""
    for tensor, axis, size in _stepped_axes(draft):
        halo, step = _halo(draft, tensor, axis), size["step"]
        smallest = max(round_up(size["min"], step), _smallest(draft, tensor, axis, halo, step))
        values = draft.test_tensor(tensor)
        if values is not None:
            given = values.shape[position(tensor, axis)]
            if given >= smallest and (given - smallest) % size["step"] == 0:
                size["min"] = smallest


def _not_concatenable(draft: Draft) -> Iterator[str]:
    if _sees_all(draft):
        return
    for tensor, axis, _ in _stepped_axes(draft):
        # A z without halo is one that is left whole, as thin stacks need it.
        tileable = axis_id(axis) in ("y", "x") or _halo(draft, tensor, axis) > 0
        if tileable and axis.get("concatenable") is not True:
            yield f'the axis {axis_id(axis)} of "{tensor.get("id")}" is not concatenable'


def _sees_all(draft: Draft) -> bool:
    """Does the output depend on all of the tile, so that others must not cut images?"""
    procedure = draft.config("care_bridge").get("procedure")
    return isinstance(procedure, dict) and "tile" in procedure


def make_concatenable(draft: Draft) -> None:
    """Let others tile along the axes along which a package is expected to be."""
    for tensor, axis, _ in _stepped_axes(draft):
        if axis_id(axis) in ("y", "x") or _halo(draft, tensor, axis):
            axis["concatenable"] = True


def _size_by_itself(draft: Draft) -> Iterator[str]:
    for tensor, axis in _by_itself(draft):
        halo = " and a halo" if axis.get("halo") else ""
        yield (
            f'the output "{tensor.get("id")}" has a size of its own{halo} along {axis_id(axis)}, '
            "where its input may have any"
        )


def _by_itself(draft: Draft) -> list[tuple[Described, Described]]:
    """The outputs' axes that do not follow their input, though that has sizes min + n * step or
    the output a halo."""
    stepped = {axis_id(axis) for _, axis, _ in _stepped_axes(draft)}
    return [
        (tensor, axis)
        for tensor in draft.tensors("outputs")
        for axis in space_axes(tensor)
        if not (isinstance(axis.get("size"), dict) and "tensor_id" in axis["size"])
        and (axis_id(axis) in stepped or axis.get("halo"))
    ]


def _refer_to_input(draft: Draft) -> None:
    """Where both test tensors have one size along the axis, and pixels of one extent."""
    sizes: dict[tuple[str, int, Fraction], str] = {}
    for tensor in draft.tensors("inputs"):
        values = draft.test_tensor(tensor)
        if values is not None:
            for axis in space_axes(tensor):
                key = axis_id(axis), values.shape[position(tensor, axis)], _scale(axis)
                sizes.setdefault(key, str(tensor.get("id")))
    for tensor, axis in _by_itself(draft):
        values = draft.test_tensor(tensor)
        if values is not None:
            key = axis_id(axis), values.shape[position(tensor, axis)], _scale(axis)
            if key in sizes:
                axis["size"] = {"tensor_id": sizes[key], "axis_id": key[0]}


SIZE_RULES = (
    Rule(
        "output-size",
        (CORE, DEEPIMAGEJ),
        "error",
        _size_by_itself,
        "write size: {tensor_id: …, axis_id: …}",
        _refer_to_input,
    ),
    Rule(
        "size-min-step",
        (DEEPIMAGEJ,),
        "error",
        _uneven_min,
        "let sizes start at a multiple of their step, which the test tensor fits",
        _raise_min,
    ),
    Rule(
        "size-min-halo",
        (CORE, DEEPIMAGEJ),
        "error",
        _halo_too_wide,
        "let sizes start at two halos and a step, and give a test tensor of such a size",
        _raise_min,
    ),
    # Mended by the run, which tells whether tiles may be: it changes what others make of images
    # where the output depends on all of them.
    Rule(
        "concatenable",
        (CORE, DEEPIMAGEJ),
        "warning",
        _not_concatenable,
        "write concatenable: true where tiles give what the whole image gives",
    ),
)
