"""What an ONNX file says of its inputs, outputs and operators."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from google.protobuf.message import Message
from numpy.typing import NDArray
from onnx.numpy_helper import to_array

from care_bridge.errors import PackageFormatError, PackageIntegrityError, PackageNotRunError
from care_bridge.package.archive import LARGEST_FILE
from care_bridge.package.onnx_graph import network_inputs, parsed_network
from care_bridge.package.printable import shown

_NUMBER = re.compile(r"[0-9]{1,18}", re.ASCII)
_TYPES = {"UNDEFINED": "", "FLOAT": "float32", "DOUBLE": "float64"}
"""Those that numpy calls otherwise."""


@dataclass(frozen=True)
class OnnxFacts:
    """An ONNX file: its opset and IR version, the names of its graph's inputs and outputs, their
    sizes (an int where fixed, a name or "" where free), the types of numbers that the inputs take
    (as numpy calls them, "" where none is told), and its operators, each once."""

    opset: int
    ir_version: int
    inputs: dict[str, tuple[int | str, ...]]
    outputs: dict[str, tuple[int | str, ...]]
    input_types: dict[str, str]
    operators: tuple[str, ...]


def read_onnx(data: bytes, name: str) -> OnnxFacts:
    """The facts of the ONNX file with these bytes; `name` is used in messages.

    PackageFormatError where it is cut short or no ONNX file, PackageNotRunError where it uses no
    operators of ONNX itself.
    """
    model = parsed_network(data, name)
    if not model.graph.node or not model.opset_import:
        raise PackageFormatError(f'"{name}" is no ONNX file: get the package again')
    opsets = [entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if not opsets:
        raise PackageNotRunError(
            f'"{name}" uses no operators of ONNX itself: care_bridge cannot run it'
        )
    inputs = network_inputs(model.graph)
    return OnnxFacts(
        opset=max(opsets),
        ir_version=model.ir_version,
        inputs={value.name: _sizes(value) for value in inputs},
        outputs={value.name: _sizes(value) for value in model.graph.output},
        input_types={value.name: _type(value) for value in inputs},
        operators=tuple(sorted({node.op_type for node in model.graph.node})),
    )


def external_files(data: bytes, name: str) -> tuple[str, ...]:
    """Names of the files in which the ONNX file with these bytes keeps weights, each once;
    PackageFormatError where it is cut short or no ONNX file."""
    tensors = _external_tensors(parsed_network(data, name))
    return tuple(dict.fromkeys(_external(tensor)["location"] for tensor in tensors))


def as_one_file(data: bytes, read: Callable[[str], bytes]) -> bytes:
    """The ONNX file with the weights in it that it keeps in others; `read` gives their bytes.
    PackageFormatError where they are not in them, PackageIntegrityError where they are larger
    together than an ONNX file can be."""
    model = onnx.load_model_from_string(data)
    size = len(data)
    for tensor in list(_external_tensors(model)):
        kept = _external(tensor)
        values = _cut_out(read(kept["location"]), kept)
        size += len(values)
        if size > LARGEST_FILE:
            raise PackageIntegrityError(
                f"the network's weights take more than {LARGEST_FILE} bytes, the most that an ONNX "
                "file has: do not use this package"
            )
        tensor.raw_data = values
        tensor.ClearField("external_data")
        tensor.ClearField("data_location")
    return bytes(model.SerializeToString())


def _cut_out(data: bytes, kept: dict[str, str]) -> bytes:
    """The part of a file's bytes that is a tensor's."""
    offset, length = kept.get("offset", "0"), kept.get("length")
    if not all(_NUMBER.fullmatch(each) for each in (offset, length or "0")):
        raise PackageFormatError(
            f'weights lie at offset "{shown(offset)}" of "{shown(kept["location"])}", a number of '
            "bytes was expected: get the package again"
        )
    start = int(offset)
    end = start + int(length) if length else len(data)
    if not start <= end <= len(data):
        raise PackageFormatError(
            f'weights lie at the bytes {start} to {end} of "{shown(kept["location"])}", which has '
            f"{len(data)}: get the package again"
        )
    return data[start:end]


def with_ir_version(data: bytes, ir_version: int) -> bytes:
    """The ONNX file stamped with another IR version; its graph is the same."""
    model = onnx.load_model_from_string(data)
    model.ir_version = ir_version
    return bytes(model.SerializeToString())


def _external_tensors(message: Message) -> Iterator[onnx.TensorProto]:
    """The tensors anywhere in `message`, also in a branch or a function, that are in a file."""
    if isinstance(message, onnx.TensorProto):
        if message.external_data or message.data_location == onnx.TensorProto.EXTERNAL:
            yield message
        return
    for field, value in message.ListFields():
        if field.message_type:
            for part in [value] if isinstance(value, Message) else value:
                yield from _external_tensors(part)


def _external(tensor: onnx.TensorProto) -> dict[str, str]:
    """What is said of the file that holds a tensor: location, offset, length."""
    return {"location": "", **{entry.key: entry.value for entry in tensor.external_data}}


def _sizes(value: onnx.ValueInfoProto) -> tuple[int | str, ...]:
    return tuple(
        size.dim_value if size.HasField("dim_value") else size.dim_param
        for size in value.type.tensor_type.shape.dim
    )


def _type(value: onnx.ValueInfoProto) -> str:
    kind = value.type.tensor_type.elem_type
    known = onnx.TensorProto.DataType.values()
    name = onnx.TensorProto.DataType.Name(kind) if kind in known else "UNDEFINED"
    return _TYPES.get(name, name.lower())


def convolutions(
    data: bytes, name: str
) -> dict[str, tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """Kernel and bias of each convolution in the ONNX file with these bytes, by the kernel's name.
    Errors as of `read_onnx`."""
    read_onnx(data, name)
    graph = onnx.load_model_from_string(data).graph
    kept = {tensor.name: tensor for tensor in graph.initializer}
    found = {}
    for node in graph.node:
        if node.op_type == "Conv" and all(each in kept for each in node.input[1:]):
            kernel, *bias = (to_array(kept[each]).astype(np.float32) for each in node.input[1:])
            found[node.input[1]] = (kernel, bias[0] if bias else np.zeros(len(kernel), np.float32))
    return found
