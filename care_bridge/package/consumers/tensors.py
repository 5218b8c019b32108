"""Rules on the tensors: their axes, types and samples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.package.consumers.draft import (
    DATA_TYPES,
    Described,
    Draft,
    as_type,
    axis_id,
    axis_of_type,
    data_type,
    position,
    source_of,
    space_axes,
)
from care_bridge.package.consumers.rule import CORE, DEEPIMAGEJ, OLD_CORE, ZOO, Rule
from care_bridge.package.npy import npy_bytes

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


def _channel_words(draft: Draft) -> Iterator[str]:
    for tensor in _all(draft):
        wrong = [name for name in _channels(tensor) if not name.isidentifier()]
        if wrong:
            yield (
                f'the channel name "{wrong[0]}" of "{tensor.get("id")}" is not of letters, digits '
                "and _ alone"
            )


def _channels(tensor: Described) -> list[str]:
    axis = axis_of_type(tensor, "channel")
    names = axis.get("channel_names") if axis else None
    return [str(name) for name in names] if isinstance(names, list) else []


def _write_identifiers(draft: Draft) -> None:
    for tensor in _all(draft):
        names = [_identifier(name) for name in _channels(tensor)]
        axis = axis_of_type(tensor, "channel")
        if axis is not None and names and len(set(names)) == len(names):
            axis["channel_names"] = names


def _identifier(name: str) -> str:
    plain = re.sub(r"\W", "_", name)
    return plain if plain.isidentifier() else f"_{plain}"


def _fixed_batch(draft: Draft) -> Iterator[str]:
    facts = draft.onnx()
    for tensor, sizes in zip(
        draft.tensors("inputs"), facts.inputs.values() if facts else (), strict=False
    ):
        axis = axis_of_type(tensor, "batch")
        if axis is not None and len(sizes) == len(tensor["axes"]):
            fixed, told = sizes[position(tensor, axis)], axis.get("size")
            if isinstance(fixed, int) and fixed != told:
                yield (
                    f'the network takes batches of {fixed} only, "{tensor.get("id")}" is described '
                    f"as of {told or 'any'}; it is tested with 1 and 2"
                )


def _fix_batch(draft: Draft) -> None:
    """1 is the only size that a description may give; one of a network of others stays."""
    for tensor in _all(draft):
        axis = axis_of_type(tensor, "batch")
        if axis is not None:
            axis["size"] = 1


def _other_types(draft: Draft) -> Iterator[str]:
    for tensor in _of_float32(draft):
        values, kind = draft.test_tensor(tensor), data_type(tensor)
        if kind != "float32":
            yield f'the tensor "{tensor.get("id")}" is of type {kind}, it takes and gives float32'
        elif values is not None and values.dtype != np.float32:
            yield f'the test tensor of "{tensor.get("id")}" is of type {values.dtype}, not float32'


def _of_float32(draft: Draft) -> list[Described]:
    """The outputs, and the inputs of which the network takes float32: others are of its type."""
    taken = [tensor for tensor, kind in draft.network_inputs() if kind == "float32"]
    return [*taken, *draft.tensors("outputs")]


def _make_float32(draft: Draft) -> None:
    outputs = draft.tensors("outputs")
    for tensor in _of_float32(draft):
        # An output of integers is rounded to them, which one of float32 is not.
        if tensor in outputs and not data_type(tensor).startswith("float"):
            continue
        values = draft.test_tensor(tensor)
        converted = None if values is None else as_type(values, np.dtype(np.float32))
        if values is None or converted is None:
            continue
        tensor["data"] = _as_float32_data(tensor.get("data"))
        name = source_of(tensor.get("test_tensor"))
        if name and values.dtype != np.float32:
            draft.write(name, npy_bytes(converted))


def _as_float32_data(data: Any) -> Any:
    """What is said of a tensor's data, with another type: of all of it, or of each channel."""
    if isinstance(data, list):
        return [_as_float32_data(each) for each in data]
    return {**(data if isinstance(data, dict) else {}), "type": "float32"}


def _test_of_another_type(draft: Draft) -> Iterator[str]:
    for tensor in _all(draft):
        values, kind = draft.test_tensor(tensor), data_type(tensor)
        if values is not None and not _tests(values, kind):
            yield (
                f'the test tensor of "{tensor.get("id")}" is of type {values.dtype}, its data are '
                f"described as {kind}"
            )


def _tests(values: NDArray[Any], kind: str) -> bool:
    """Whether a test tensor may have this type for data of a `kind`: of floats any numbers do."""
    if kind.startswith("float"):
        return values.dtype.kind in "iuf" and values.dtype != np.float16
    return str(values.dtype) == kind


def _save_as_described(draft: Draft) -> None:
    for tensor in _all(draft):
        values, kind = draft.test_tensor(tensor), data_type(tensor)
        name = source_of(tensor.get("test_tensor"))
        if name and kind in DATA_TYPES and values is not None and not _tests(values, kind):
            converted = as_type(values, np.dtype(kind))
            if converted is not None:
                draft.write(name, npy_bytes(converted))


def _other_networks(draft: Draft) -> Iterator[str]:
    for tensor, kind in draft.network_inputs():
        if kind != "float32":
            yield f'the network takes {kind} as "{tensor.get("id")}", it gives float32'


def _several_inputs(draft: Draft) -> Iterator[str]:
    count = len(draft.tensors("inputs"))
    if count > 1:
        yield f"the model has {count} inputs, it runs models with one"


def _no_test(draft: Draft) -> Iterator[str]:
    for tensor in _all(draft):
        if not tensor.get("test_tensor"):
            yield f'"{tensor.get("id")}" has no test_tensor, so nobody can test the model'


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
        "have the model exported with these axes",
    ),
    Rule(
        "space-ids",
        (DEEPIMAGEJ,),
        "error",
        _unnamed_space,
        "write id: z, y or x to each space axis",
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
        "channel-words",
        (OLD_CORE,),
        "error",
        _channel_words,
        "write channel names of letters, digits and _, not beginning with a digit",
        _write_identifiers,
    ),
    Rule(
        "batch-size",
        (CORE,),
        "error",
        _fixed_batch,
        "export the network with a free batch, or of 1 and write size: 1 to the batch axis",
        _fix_batch,
    ),
    Rule(
        "test-tensor-type",
        (CORE,),
        "error",
        _test_of_another_type,
        "save the test tensors as their data are described",
        _save_as_described,
    ),
    Rule(
        "float32",
        (DEEPIMAGEJ,),
        "error",
        _other_types,
        "write data: {type: float32}, and save the test tensors so",
        _make_float32,
    ),
    Rule(
        "float32-network",
        (DEEPIMAGEJ,),
        "cannot",
        _other_networks,
        "have the network cast from float32 to its type",
    ),
    Rule(
        "one-input",
        (DEEPIMAGEJ,),
        "cannot",
        _several_inputs,
        "use it in care_bridge or bioimageio.core",
    ),
    Rule(
        "test-tensor",
        (CORE, ZOO),
        "error",
        _no_test,
        "save an input and what the network makes of it, and name them",
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
