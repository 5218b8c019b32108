"""Whether an ONNX file can be given to the engine: checked before it is loaded.

The engine runs no code of a file, but a file can be made to fill its memory, to keep it busy for
ever, or to have it read other files.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError, Message

from care_bridge.errors import PackageFormatError, PackageIntegrityError, PackageNotRunError
from care_bridge.package.printable import shown
from care_bridge.package.protobuf_parts import DamagedMessageError, count_parts

MOST_OPERATORS = 20_000
MOST_FUNCTIONS = 1_000
MOST_PARTS = 300_000
# Those that ONNX Runtime has built in; a model's own functions have others.
_DOMAINS = frozenset({"", "ai.onnx", "ai.onnx.ml", "com.microsoft"})
_ENDLESS = frozenset({"Loop", "Scan", "SequenceMap"})
_OF_OTHER_FILES = frozenset({"EPContext"})
# Of 4 bits there are two in a byte; all others take more.
_NUMBERS_A_BYTE = 2

_Function = tuple[str, str, str]  # its domain, name and overload


def check_network(data: bytes, name: str) -> None:
    """Raise where the ONNX file with these bytes, the file `name` of a package, is not to be run.

    PackageIntegrityError where sizes are lies or there are more parts than any network has,
    PackageFormatError where it is damaged, PackageNotRunError where it keeps weights elsewhere, or
    has operators that care_bridge does not run.
    """
    model = parsed_network(data, name)
    if not model.graph.node:
        raise PackageFormatError(f'"{name}" is no ONNX file: get the package again')
    functions = {(each.domain, each.name, each.overload) for each in model.functions}
    for part in _parts(model):
        if isinstance(part, onnx.TensorProto):
            _check_tensor(part, name)
        elif isinstance(part, onnx.SparseTensorProto):
            raise PackageNotRunError(
                f'"{name}" has sparse weights, care_bridge runs full ones: save them as such'
            )
        elif isinstance(part, onnx.NodeProto) and _called(part) not in functions:
            _check_operator(part, name)
    _check_size(model, name)


def parsed_network(data: bytes, name: str) -> onnx.ModelProto:
    """The ONNX file with these bytes, if it has no more parts than any network. Nothing else is
    checked: PackageFormatError and PackageIntegrityError as of `check_network`."""
    try:
        if count_parts(data, onnx.ModelProto.DESCRIPTOR, MOST_PARTS) > MOST_PARTS:
            raise _too_large(name, f"more than {MOST_PARTS} parts")
        return onnx.load_model_from_string(data)
    except (DecodeError, DamagedMessageError) as error:
        raise PackageFormatError(
            f'"{name}" is cut short or no ONNX file: get the package again'
        ) from error


def network_inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    """The inputs of a graph that are given to it: files of old versions list the weights, too."""
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _check_tensor(tensor: onnx.TensorProto, name: str) -> None:
    if tensor.external_data or tensor.data_location == onnx.TensorProto.EXTERNAL:
        raise PackageNotRunError(
            f'"{name}" keeps its weights in another file: save the ONNX model as one file'
        )
    said = math.prod(tensor.dims)
    if any(size < 0 for size in tensor.dims) or said > _NUMBERS_A_BYTE * tensor.ByteSize():
        raise PackageIntegrityError(
            f'the weights "{shown(tensor.name)}" in "{name}" have {tensor.ByteSize()} bytes and '
            f"say to be {' x '.join(map(str, tensor.dims))} numbers: do not use this package"
        )


def _check_operator(node: onnx.NodeProto, name: str) -> None:
    if node.domain not in _DOMAINS or node.op_type in _OF_OTHER_FILES:
        own = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise PackageNotRunError(
            f'"{name}" has the operator {shown(own)}, which is not ONNX\'s own: care_bridge runs '
            "none that needs other code or files"
        )
    if node.op_type in _ENDLESS:
        raise PackageNotRunError(
            f'"{name}" has the operator {node.op_type}, which may run for ever: care_bridge runs '
            "networks without loops"
        )


@dataclass(frozen=True)
class _Body:
    """The operators of a graph or function: how many, and which functions they call."""

    operators: int
    calls: Counter[_Function]


def _check_size(model: onnx.ModelProto, name: str) -> None:
    """Few functions that call each other can stand for more operators than any memory holds."""
    if len(model.functions) > MOST_FUNCTIONS:
        raise _too_large(name, f"{len(model.functions)} functions")
    keys = {(each.domain, each.name, each.overload) for each in model.functions}
    left = {(each.domain, each.name, each.overload): _body(each, keys) for each in model.functions}
    sizes: dict[_Function, int] = {}
    while left:
        known = [key for key, body in left.items() if body.calls.keys() <= sizes.keys()]
        if not known:
            raise PackageIntegrityError(
                f'a function in "{name}" calls itself: do not use this package'
            )
        for key in known:
            sizes[key] = _total(left.pop(key), sizes)
    total = _total(_body(model.graph, keys), sizes)
    if total > MOST_OPERATORS:
        raise _too_large(name, f"more than {MOST_OPERATORS} operators")


def _called(node: onnx.NodeProto) -> _Function:
    return node.domain, node.op_type, node.overload


def _body(graph: Message, functions: Iterable[_Function]) -> _Body:
    nodes = Counter(_called(part) for part in _parts(graph) if isinstance(part, onnx.NodeProto))
    calls = Counter({key: nodes[key] for key in functions if key in nodes})
    return _Body(nodes.total() - calls.total(), calls)


def _total(body: _Body, sizes: dict[_Function, int]) -> int:
    return body.operators + sum(count * sizes[key] for key, count in body.calls.items())


def _parts(message: Message) -> Iterator[Message]:
    """All messages in `message`, also in branches and functions."""
    for field, value in message.ListFields():
        if field.message_type:
            for part in [value] if isinstance(value, Message) else value:
                yield part
                yield from _parts(part)


def _too_large(name: str, what: str) -> PackageIntegrityError:
    return PackageIntegrityError(
        f'"{name}" has {what}, more than care_bridge runs: do not use this package'
    )
