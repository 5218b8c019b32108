"""What a network takes, told from its ONNX file before it is run."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError, TopologicalSorter

import numpy as np
import onnx
from onnx import helper, inliner

from care_bridge.errors import PackageFormatError, PackageNotRunError
from care_bridge.package.onnx_graph import network_inputs, parsed_network
from care_bridge.package.onnx_products import (
    OWN_NUMBERS,
    PRODUCTS,
    RECURRENT,
    Attributes,
    of_states,
)
from care_bridge.package.onnx_values import SIZES_AT_MOST, Shape, settle
from care_bridge.package.printable import shown

_ROUNDS = 32
_MOST_SETTLED = 2000
# Of ONNX Runtime, with results of the shape of their first input.
_KEEPING = frozenset(("BiasGelu", "FastGelu", "Gelu", "QuickGelu", "SkipLayerNormalization"))
# Their results are lists of tensors or one of two: shapes are not told, though they are honest.
_OF_NO_TENSOR = frozenset(
    ("If", "OptionalGetElement", "SequenceAt", "SequenceConstruct", "SplitToSequence")
)
_OF_PIXELS = frozenset(("Compress", "NonMaxSuppression", "NonZero", "Unique"))
_KNOWN = frozenset(onnx.TensorProto.DataType.values()) - {onnx.TensorProto.UNDEFINED}

_HELD = ("raw_data", "float_data", "double_data", "int32_data", "int64_data", "uint64_data")

_MISSING: tuple[Shape, ...] = ((), (), (), ())


@dataclass(frozen=True)
class Cost:
    """What a network takes for inputs of some shapes. memory: bytes that its tensors, and operators
    for themselves, take at most at a time, besides its weights. operations: products, and numbers
    that are made without."""

    memory: int
    operations: int


@dataclass(frozen=True)
class _Tensor:
    """The sizes of a tensor, and the bytes that it takes."""

    shape: Shape
    size: int


def cost_of(data: bytes, name: str, shapes: Sequence[Sequence[int]]) -> Cost:
    """What the ONNX file with these bytes, the file `name` of a package, takes where its inputs
    have these `shapes`; where it has operators of ONNX Runtime's own, lists of tensors or branches
    that pixels choose, what is known of it.

    PackageFormatError where its operators do not go together, or not with such inputs;
    PackageNotRunError where the sizes of its tensors do not follow from those of its inputs, or it
    computes texts.
    """
    model = parsed_network(data, name)
    if model.functions:
        model = inliner.inline_local_functions(model)
    _prepare(model.graph, shapes)
    _sort(model.graph, name)
    left = _MOST_SETTLED
    for _ in range(_ROUNDS):
        tensors = _tensors(_inferred(model, name, shapes))
        unknown = [node for node in model.graph.node if not _is_known(node, tensors)]
        if not unknown:
            return _cost(model.graph, tensors)
        shapes_known = {key: each.shape for key, each in tensors.items()}
        settled, computed = settle(model, shapes_known, left)
        left -= computed
        if not settled:
            break
    first = [node for node in unknown if all(name in tensors for name in node.input if name)]
    strange = [node for node in first or unknown if not _tells_nothing(node)]
    if not strange:
        return _cost(model.graph, tensors)
    kind = strange[0].op_type
    if kind not in _OF_PIXELS:
        _inferred(model, name, shapes, strict_mode=True)  # says why, where there is another reason
    raise PackageNotRunError(
        f'how much the operator {shown(kind)} in "{name}" makes does not follow from the size of '
        "its input alone, so it is not run for this: use a model without it"
    )


def _cost(graph: onnx.GraphProto, tensors: Mapping[str, _Tensor]) -> Cost:
    operations = sum(_operations(node, tensors) for node in graph.node)
    return Cost(_memory(graph, tensors), operations)


def _prepare(graph: onnx.GraphProto, shapes: Sequence[Sequence[int]]) -> None:
    """Give the inputs of a graph these shapes, and leave out what need not be true, or known."""
    for value, shape in zip(network_inputs(graph), shapes, strict=False):
        value.type.tensor_type.shape.CopyFrom(_shape_of(shape))
    for value in graph.output:
        value.type.tensor_type.ClearField("shape")
    del graph.value_info[:]
    for tensor in graph.initializer:
        if math.prod(tensor.dims) > SIZES_AT_MOST:  # large ones would only be copied
            for held in _HELD:
                tensor.ClearField(held)
    for node in graph.node:
        if node.domain == "com.microsoft" and node.op_type in _KEEPING:
            node.CopyFrom(helper.make_node("Identity", node.input[:1], node.output[:1]))


def _sort(graph: onnx.GraphProto, name: str) -> None:
    """Put the operators into an order in which they can be computed."""
    nodes = dict(enumerate(graph.node))
    makers = {made: place for place, node in nodes.items() for made in node.output}
    needed = {
        place: sorted({makers[used] for used in _used(node) if used in makers})
        for place, node in nodes.items()
    }
    try:
        order = list(TopologicalSorter(needed).static_order())
    except CycleError as error:
        raise PackageFormatError(
            f'the operators of "{name}" need each other\'s results: get the package again'
        ) from error
    copies = [onnx.NodeProto.FromString(nodes[place].SerializeToString()) for place in order]
    del graph.node[:]
    graph.node.extend(copies)


def _used(node: onnx.NodeProto) -> Iterator[str]:
    """The tensors that an operator reads, in its branches too."""
    yield from node.input
    for attribute in node.attribute:
        for inside in attribute.g.node:
            yield from _used(inside)
        yield from (value.name for value in attribute.g.output)


def _inferred(
    model: onnx.ModelProto,
    name: str,
    shapes: Sequence[Sequence[int]],
    *,
    strict_mode: bool = False,
) -> onnx.GraphProto:
    """The graph with the shapes of its tensors, as far as they are known."""
    try:
        inferred = onnx.shape_inference.infer_shapes(model, strict_mode=strict_mode, data_prop=True)
    except onnx.shape_inference.InferenceError as error:
        reason = shown(" ".join(str(error).split()))
        given = " and ".join(str(tuple(shape)) for shape in shapes)
        raise PackageFormatError(
            f'"{name}" is no network that can be run on inputs of the shape {given} ({reason}): '
            "get the package again"
        ) from error
    return inferred.graph


def _shape_of(sizes: Sequence[int]) -> onnx.TensorShapeProto:
    dimensions = [onnx.TensorShapeProto.Dimension(dim_value=size) for size in sizes]
    return onnx.TensorShapeProto(dim=dimensions)


def _tensors(graph: onnx.GraphProto) -> dict[str, _Tensor]:
    """The tensors of a graph whose sizes are known, by their names."""
    found = {
        tensor.name: _tensor(tensor.data_type, tuple(tensor.dims)) for tensor in graph.initializer
    }
    for value in (*graph.input, *graph.value_info, *graph.output):
        described = value.type.tensor_type
        sizes = described.shape.dim
        if described.HasField("shape") and all(each.HasField("dim_value") for each in sizes):
            shape = tuple(each.dim_value for each in sizes)
            found[value.name] = _tensor(described.elem_type, shape)
    return found


def _tensor(kind: int, shape: Shape) -> _Tensor:
    if kind == onnx.TensorProto.STRING:
        raise PackageNotRunError(
            "the network computes texts, whose size nothing tells: use a model without them"
        )
    width = helper.tensor_dtype_to_np_dtype(kind).itemsize if kind in _KNOWN else 0
    return _Tensor(shape, max(math.prod(shape), 0) * width)


def _is_known(node: onnx.NodeProto, tensors: Mapping[str, _Tensor]) -> bool:
    """Whether it is known how much an operator makes."""
    return node.op_type != "If" and all(name in tensors for name in node.output if name)


def _tells_nothing(node: onnx.NodeProto) -> bool:
    """Whether an operator is an honest one of which no sizes are told."""
    return node.domain not in ("", "ai.onnx") or node.op_type in _OF_NO_TENSOR


def _memory(graph: onnx.GraphProto, tensors: Mapping[str, _Tensor]) -> int:
    last = {used: place for place, node in enumerate(graph.node) for used in node.input}
    most = held = 0
    last |= {value.name: len(graph.node) for value in graph.output}
    ends: dict[int, int] = Counter()
    for place, node in enumerate(graph.node):
        for made in tensors.keys() & set(node.output):
            held += tensors[made].size
            ends[last.get(made, place)] += tensors[made].size
        most = max(most, held + _own_memory(node, tensors))
        held -= ends[place]
    return most


def _operations(node: onnx.NodeProto, tensors: Mapping[str, _Tensor]) -> int:
    """The products that an operator computes, or the numbers that it makes or reads."""
    given, attributes = _given(node, tensors)
    made = sum(math.prod(tensors[name].shape) for name in node.output if name in tensors)
    if node.op_type in RECURRENT:  # all states are computed, though the last may be asked for
        made = of_states(given, attributes)
    each = PRODUCTS[node.op_type](given, attributes) if node.op_type in PRODUCTS else 1
    return max(made * each, *map(math.prod, given))


def _own_memory(node: onnx.NodeProto, tensors: Mapping[str, _Tensor]) -> int:
    """Bytes that an operator takes while it computes."""
    if node.op_type not in OWN_NUMBERS:
        return 0
    return OWN_NUMBERS[node.op_type](*_given(node, tensors)) * np.dtype(np.float32).itemsize


def _given(node: onnx.NodeProto, tensors: Mapping[str, _Tensor]) -> tuple[list[Shape], Attributes]:
    """The shapes of an operator's inputs and its attributes; those that may be left out are
    empty."""
    given = [tensors[name].shape if name in tensors else () for name in node.input]
    named = {attribute.name: attribute for attribute in node.attribute}
    return [*given, *_MISSING], defaultdict(onnx.AttributeProto, named)
