"""Lists of sizes that an ONNX graph computes, found without the images that it is given.

Shape inference follows them through few operators. Those that it does not know are computed here,
as long as the lists are short and follow from sizes and constants alone.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SIZES_AT_MOST = 1024
"""How many numbers a list of sizes has at most."""

Shape = tuple[int, ...]

_Value = NDArray[np.generic]

_MOST_NUMBERS = 1 << 20
_OF_SIZES = frozenset(("Shape", "Size"))
_OF_VALUES = frozenset(
    (
        "Abs", "Add", "And", "Cast", "Ceil", "Concat", "Constant", "Div", "Equal", "Floor",
        "Gather", "Greater", "GreaterOrEqual", "Identity", "Less", "LessOrEqual", "Max", "Min",
        "Mod", "Mul", "Neg", "Not", "Or", "Pow", "Reciprocal", "ReduceMax", "ReduceMin",
        "ReduceProd", "ReduceSum", "Reshape", "Round", "Sign", "Slice", "Split", "Sqrt", "Squeeze",
        "Sub", "Sum", "Transpose", "Unsqueeze", "Where", "Xor",
    )
)  # fmt: skip
_STUMBLES = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)
"""What the reference raises of operators that no engine computes."""


def settle(model: onnx.ModelProto, shapes: Mapping[str, Shape], most: int) -> tuple[int, int]:
    """Replace operators whose results follow from the `shapes` of tensors by these results, and
    branches by the one that is taken; `most` are computed. Returns how many were replaced, and how
    many computed."""
    graph = model.graph
    known = {
        tensor.name: numpy_helper.to_array(tensor)
        for tensor in graph.initializer
        if math.prod(tensor.dims) <= SIZES_AT_MOST
    }
    settled = computed = 0
    left: list[onnx.NodeProto] = []
    for node in graph.node:
        given = _given(node, known, shapes) if computed < most else None
        computed += given is not None
        found = _computed(model, node, given) if given is not None else None
        if found is not None:
            known |= found
            graph.initializer.extend(numpy_helper.from_array(found[key], key) for key in found)
        elif _is_decided(node, known):
            left += _taken(graph, node, bool(known[node.input[0]].any()))
        else:
            left.append(node)
            continue
        settled += 1
    del graph.node[:]
    graph.node.extend(left)
    return settled, computed


def _is_decided(node: onnx.NodeProto, known: Mapping[str, _Value]) -> bool:
    """Whether it is known which branch an operator takes."""
    return bool(node.op_type == "If" and node.input and node.output and node.input[0] in known)


def _given(
    node: onnx.NodeProto, known: Mapping[str, _Value], shapes: Mapping[str, Shape]
) -> dict[str, _Value] | None:
    """What an operator takes, where it can be computed from that."""
    names = [name for name in node.input if name]
    if node.op_type in _OF_SIZES and names and names[0] in shapes:
        return {names[0]: np.broadcast_to(np.float32(0), shapes[names[0]])}
    if not all(name in known for name in names):
        return None
    try:
        few = _most_made(node, known) <= _MOST_NUMBERS
    except _STUMBLES:
        return None
    return {name: known[name] for name in names} if few else None


def _computed(
    model: onnx.ModelProto, node: onnx.NodeProto, given: Mapping[str, _Value]
) -> dict[str, _Value] | None:
    """The results of an operator by their names; None where there are none, or no lists."""
    ends = [name for name in node.output if name]
    graph = helper.make_graph([node], "", _untyped(given), _untyped(ends))
    one = helper.make_model(graph, opset_imports=model.opset_import)
    try:
        with np.errstate(all="ignore"):
            made = ReferenceEvaluator(one).run(ends, dict(given))
    except _STUMBLES:
        return None
    results = dict(zip(ends, map(np.asarray, made), strict=True))
    return results if all(each.size <= SIZES_AT_MOST for each in results.values()) else None


def _most_made(node: onnx.NodeProto, known: Mapping[str, _Value]) -> float:
    """How many numbers an operator makes at most, of inputs that are known."""
    given = [known[name] for name in node.input if name]
    if node.domain not in ("", "ai.onnx"):
        return math.inf
    if node.op_type == "Concat":
        return sum(each.size for each in given)
    if node.op_type in _OF_VALUES:
        return math.prod(max(each.size, 1) for each in given)
    if node.op_type == "ConstantOfShape":
        return float(math.prod(given[0].ravel().tolist()))
    if node.op_type in ("Expand", "Tile"):
        return float(given[0].size * math.prod(given[1].ravel().tolist()))
    if node.op_type == "Range":
        start, end, step = (float(each.item()) for each in given)
        return abs((end - start) / step) if step else math.inf
    return math.inf


def _untyped(names: Iterable[str]) -> list[onnx.ValueInfoProto]:
    return [helper.make_tensor_value_info(name, onnx.TensorProto.UNDEFINED, None) for name in names]


def _taken(
    graph: onnx.GraphProto, node: onnx.NodeProto, condition: bool
) -> Iterator[onnx.NodeProto]:
    """The operators of the branch that an If takes, with names of their own; its weights go to the
    graph."""
    branch = onnx.GraphProto()
    for attribute in node.attribute:
        if attribute.name == ("then_branch" if condition else "else_branch"):
            branch = attribute.g
    inside = [tensor.name for tensor in branch.initializer]
    inside += [name for each in branch.node for name in each.output if name]
    names = {name: f"{node.output[0]}/{name}" for name in inside}
    ends = dict(zip((value.name for value in branch.output), node.output, strict=False))
    names |= {name: end for name, end in ends.items() if name in names}
    for tensor in branch.initializer:
        tensor.name = names[tensor.name]
        graph.initializer.append(tensor)
    _rename(branch.node, names)
    yield from branch.node
    for name, end in ends.items():
        if name not in names:  # of the graph around it
            yield helper.make_node("Identity", [name], [end])


def _rename(nodes: Sequence[onnx.NodeProto], names: Mapping[str, str]) -> None:
    """Give tensors other `names` wherever operators, also those of branches in them, name them."""
    for node in nodes:
        for listed in (node.input, node.output):
            listed[:] = [names.get(name, name) for name in listed]
        for attribute in node.attribute:
            _rename(attribute.g.node, names)
            for value in attribute.g.output:
                value.name = names.get(value.name, value.name)
