"""Rules on axes, sizes and types of the tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from care_bridge.package.consumers.draft import (
    Described,
    Draft,
    as_float32,
    axis_id,
    axis_of_type,
    position,
    source_of,
    space_axes,
)
from care_bridge.package.consumers.rule import CORE, DEEPIMAGEJ, Rule
from care_bridge.package.npy import npy_bytes
from care_bridge.tiling import round_up

_SIDES = ("inputs", "outputs")


def _all(draft: Draft) -> list[Described]:
    return [tensor for side in _SIDES for tensor in draft.tensors(side)]


def _no_batch(draft: Draft) -> Iterator[str]:
    for tensor in _all(draft):
        missing = [kind for kind in ("batch", "channel") if axis_of_type(tensor, kind) is None]
        if missing:
            yield f'the tensor "{tensor.get("id")}" has no {" and no ".join(missing)} axis'


def _unnamed_space(draft: Draft) -> Iterator[str]:
    for tensor in _all(draft):
        if any("id" not in axis for axis in space_axes(tensor)):
            yield f'a space axis of the tensor "{tensor.get("id")}" has no id'


def _name_space(draft: Draft) -> None:
    for tensor in _all(draft):
        for axis in space_axes(tensor):
            axis.setdefault("id", axis_id(axis))


def _unnamed_channels(draft: Draft) -> Iterator[str]:
    for tensor in _all(draft):
        axis = axis_of_type(tensor, "channel")
        if axis is not None and not axis.get("channel_names"):
            yield f'the channels of the tensor "{tensor.get("id")}" have no channel_names'


def _name_channels(draft: Draft) -> None:
    for tensor in _all(draft):
        axis, values = axis_of_type(tensor, "channel"), draft.test_tensor(tensor)
        if axis is not None and values is not None and not axis.get("channel_names"):
            count = values.shape[position(tensor, axis)]
            axis["channel_names"] = [f"channel{index}" for index in range(count)]


def _steps(draft: Draft) -> Iterator[tuple[Described, Described, Described]]:
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


def _halos(draft: Draft) -> dict[tuple[str, str], int]:
    """The largest halo that an output asks for along an axis of an input."""
    halos: dict[tuple[str, str], int] = {}
    for tensor in draft.tensors("outputs"):
        for axis in space_axes(tensor):
            size, halo = axis.get("size"), axis.get("halo")
            if isinstance(size, dict) and type(halo) is int:
                key = str(size.get("tensor_id")), str(size.get("axis_id"))
                halos[key] = max(halo, halos.get(key, 0))
    return halos


def declared_halo(draft: Draft) -> dict[str, int]:
    """The halo that others are told for the axes (x, y, z) along which they may tile."""
    halos = _halos(draft)
    return {
        axis_id(axis): _halo(halos, tensor, axis)
        for tensor, axis, _ in _steps(draft)
        if axis.get("concatenable") is True
    }


def declare_halo(draft: Draft, needed: Mapping[str, int]) -> None:
    """Tell others the halo that is needed, by axis. Where the test tensor is too small for two such
    halos and a step, they are told not to tile along that axis."""
    for tensor, axis, size in _steps(draft):
        halo = needed.get(axis_id(axis))
        values = draft.test_tensor(tensor)
        if halo is None or values is None or axis.get("concatenable") is not True:
            continue
        smallest = max(size["min"], round_up(2 * halo + 1, size["step"]))
        fits = values.shape[position(tensor, axis)] >= smallest
        for output in draft.tensors("outputs"):
            for other in space_axes(output):
                told = other.get("size")
                if isinstance(told, dict) and (told.get("tensor_id"), told.get("axis_id")) == (
                    tensor.get("id"),
                    axis_id(axis),
                ):
                    other.pop("halo", None)
                    other.update({"halo": halo} if halo and fits else {})
        axis["concatenable"] = fits
    _raise_min(draft)


def _uneven_min(draft: Draft) -> Iterator[str]:
    for tensor, axis, size in _steps(draft):
        if size["min"] % size["step"]:
            yield (
                f'the sizes of "{tensor.get("id")}" along {axis_id(axis)} start at {size["min"]}, '
                f"no multiple of their step {size['step']}, and it makes multiples of the step"
            )


def _halo_too_wide(draft: Draft) -> Iterator[str]:
    halos = _halos(draft)
    for tensor, axis, size in _steps(draft):
        halo = _halo(halos, tensor, axis)
        if size["min"] - 2 * halo < 1:
            yield (
                f'"{tensor.get("id")}" may have {size["min"]} pixels along {axis_id(axis)}, of '
                f"which halos of {halo} leave none"
            )


def _halo(halos: Mapping[tuple[str, str], int], tensor: Described, axis: Described) -> int:
    return halos.get((str(tensor.get("id")), axis_id(axis)), 0)


def _raise_min(draft: Draft) -> None:
    """To a multiple of the step with a pixel between the halos, where the test tensor is one of
    the sizes that are left."""
    halos = _halos(draft)
    for tensor, axis, size in _steps(draft):
        least = max(size["min"], 2 * _halo(halos, tensor, axis) + 1)
        smallest = round_up(least, size["step"])
        values = draft.test_tensor(tensor)
        if values is not None:
            given = values.shape[position(tensor, axis)]
            if given >= smallest and (given - smallest) % size["step"] == 0:
                size["min"] = smallest


def _not_concatenable(draft: Draft) -> Iterator[str]:
    if _sees_all(draft):
        return
    halos = _halos(draft)
    for tensor, axis, _ in _steps(draft):
        # A z without halo is one that is left whole, as thin stacks need it.
        tileable = axis_id(axis) in ("y", "x") or _halo(halos, tensor, axis) > 0
        if tileable and axis.get("concatenable") is not True:
            yield f'the axis {axis_id(axis)} of "{tensor.get("id")}" is not concatenable'


def _sees_all(draft: Draft) -> bool:
    """Does the output depend on all of the tile, so that others must not cut images?"""
    procedure = draft.config("care_bridge").get("procedure")
    return isinstance(procedure, dict) and "tile" in procedure


def _make_concatenable(draft: Draft) -> None:
    halos = _halos(draft)
    for tensor, axis, _ in _steps(draft):
        if axis_id(axis) in ("y", "x") or _halo(halos, tensor, axis):
            axis["concatenable"] = True


def _fixed_batch(draft: Draft) -> Iterator[str]:
    facts = draft.onnx()
    for tensor, sizes in zip(
        draft.tensors("inputs"), facts.inputs.values() if facts else (), strict=False
    ):
        axis = axis_of_type(tensor, "batch")
        if axis is not None and "size" not in axis:
            fixed = sizes[position(tensor, axis)] if len(sizes) == len(tensor["axes"]) else ""
            if isinstance(fixed, int):
                yield (
                    f'the network takes batches of {fixed} only, "{tensor.get("id")}" is described '
                    "as of any; it is tested with 1 and 2"
                )


def _fix_batch(draft: Draft) -> None:
    for tensor in _all(draft):
        axis = axis_of_type(tensor, "batch")
        if axis is not None:
            axis["size"] = 1


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
    stepped = {axis_id(axis) for _, axis, _ in _steps(draft)}
    return [
        (tensor, axis)
        for tensor in draft.tensors("outputs")
        for axis in space_axes(tensor)
        if not (isinstance(axis.get("size"), dict) and "tensor_id" in axis["size"])
        and (axis_id(axis) in stepped or axis.get("halo"))
    ]


def _refer_to_input(draft: Draft) -> None:
    """Where both test tensors have one size along the axis."""
    sizes: dict[tuple[str, int], str] = {}
    for tensor in draft.tensors("inputs"):
        values = draft.test_tensor(tensor)
        if values is not None:
            for axis in space_axes(tensor):
                key = axis_id(axis), values.shape[position(tensor, axis)]
                sizes.setdefault(key, str(tensor.get("id")))
    for tensor, axis in _by_itself(draft):
        values = draft.test_tensor(tensor)
        if values is not None:
            key = axis_id(axis), values.shape[position(tensor, axis)]
            if key in sizes:
                axis["size"] = {"tensor_id": sizes[key], "axis_id": key[0]}


def _other_types(draft: Draft) -> Iterator[str]:
    for tensor in _all(draft):
        values, kind = draft.test_tensor(tensor), _type(tensor)
        if kind != "float32":
            yield f'the tensor "{tensor.get("id")}" is of type {kind}, networks take float32'
        elif values is not None and values.dtype != np.float32:
            yield f'the test tensor of "{tensor.get("id")}" is of type {values.dtype}, not float32'


def _type(tensor: Described) -> Any:
    data = tensor.get("data")
    return data.get("type", "float32") if isinstance(data, dict) else "float32"


def _make_float32(draft: Draft) -> None:
    for tensor in _all(draft):
        values = draft.test_tensor(tensor)
        converted = None if values is None else as_float32(values)
        if values is None or converted is None:
            continue
        data = tensor.get("data")
        tensor["data"] = {**(data if isinstance(data, dict) else {}), "type": "float32"}
        name = source_of(tensor.get("test_tensor"))
        if name and values.dtype != np.float32:
            draft.write(name, npy_bytes(converted))


def _several_inputs(draft: Draft) -> Iterator[str]:
    count = len(draft.tensors("inputs"))
    if count > 1:
        yield f"the model has {count} inputs, it runs models with one"


def _no_sample(draft: Draft) -> Iterator[str]:
    for tensor in (*draft.tensors("inputs"), *draft.tensors("outputs")[:1]):
        if not tensor.get("sample_tensor"):
            yield f'"{tensor.get("id")}" has no sample_tensor, which its check runs'


TENSOR_RULES = (
    Rule(
        "batch-and-channel",
        (CORE, DEEPIMAGEJ),
        "warning",
        _no_batch,
        "export the model again with these axes",
    ),
    Rule(
        "space-ids",
        (DEEPIMAGEJ,),
        "error",
        _unnamed_space,
        "write id: z, y or x to each",
        _name_space,
    ),
    Rule(
        "channel-names",
        (CORE, DEEPIMAGEJ),
        "error",
        _unnamed_channels,
        "write a name for each channel",
        _name_channels,
    ),
    Rule(
        "size-min-step",
        (DEEPIMAGEJ,),
        "error",
        _uneven_min,
        "start them at a multiple of the step, which the test tensor fits",
        _raise_min,
    ),
    Rule(
        "size-min-halo",
        (CORE, DEEPIMAGEJ),
        "error",
        _halo_too_wide,
        "start them at two halos and a step, and give a test tensor of such a size",
        _raise_min,
    ),
    Rule(
        "concatenable",
        (CORE, DEEPIMAGEJ),
        "warning",
        _not_concatenable,
        "write concatenable: true, so that large images are run in tiles",
        _make_concatenable,
    ),
    Rule(
        "batch-size",
        (CORE,),
        "error",
        _fixed_batch,
        "export it with a free batch, or write size: 1 to the batch axis",
        _fix_batch,
    ),
    Rule(
        "output-size",
        (CORE, DEEPIMAGEJ),
        "error",
        _size_by_itself,
        "write size: {tensor_id: …, axis_id: …}",
        _refer_to_input,
    ),
    Rule(
        "float32",
        (CORE, DEEPIMAGEJ),
        "error",
        _other_types,
        "write data: {type: float32}, and save the test tensors so",
        _make_float32,
    ),
    Rule(
        "one-input",
        (DEEPIMAGEJ,),
        "note",
        _several_inputs,
        "use it in care_bridge or bioimageio.core",
    ),
    # Mended by the run, which writes images.
    Rule(
        "sample-tensors",
        (DEEPIMAGEJ,),
        "warning",
        _no_sample,
        "save the test tensor's pixels as an image and name it",
    ),
)
