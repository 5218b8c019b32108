"""Packages as others make them, in the RDF's formats 0.4 and 0.5, with tiny networks."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from tests.packages import npy, write_package

Steps = Sequence[Mapping[str, Any]]

SIZES = {"b": 1, "z": 6, "y": 24, "x": 32}
OPSET = 17
_IDS = {"b": "batch", "c": "channel", "z": "z", "y": "y", "x": "x"}


@dataclass(frozen=True)
class Foreign:
    """What a package is like.

    axes, out_axes: letters (bczyx) of the tensors' axes; out_axes "": those of the input. channels:
    of input and output. before, after: processing steps as the RDF's format writes them. valid: the
    network leaves out a pixel at each edge. zoom: how many pixels it makes of one along Y and X.
    new_slices: planes that it makes of one. sizes: "stepped", "fixed", or "fixed-output" for a
    stepped input whose output is described by numbers. second: has it a second input "mask"?
    more: has it a second output "edges"? integers: the type of its input's data is uint8. channel
    order, names and numbers of the network are another's: they are taken by their place.
    """

    axes: str = "bcyx"
    out_axes: str = ""
    channels: tuple[int, int] = (2, 2)
    before: Steps = ()
    after: Steps = ()
    valid: bool = False
    zoom: float = 1
    new_slices: int = 0
    sizes: str = "stepped"
    halo: int = 1
    second: bool = False
    more: bool = False
    integers: bool = False
    seed: int = 0

    @property
    def axes_out(self) -> str:
        return self.out_axes or self.axes

    @property
    def space(self) -> str:
        return "".join(axis for axis in "zyx" if axis in self.axes)


def foreign_package(
    folder: Path, case: Foreign, version: str, change: Mapping[str, Any] | None = None
) -> Path:
    """Writes the package; `change`: top-level entries of the RDF that are others."""
    weights = network(case)
    image = foreign_image(case)
    tensors = {"input": npy(to_axes(image, case.axes))}
    if case.second:
        tensors["mask"] = npy(to_axes(image[:1] / 10, case.axes))
    files = {f"test_{name}.npy": data for name, data in tensors.items()} | {
        "weights.onnx": weights,
        "README.md": b"# A foreign model\n",
    }
    session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    given = [np.load(_stream(data)).astype(np.float32) for data in tensors.values()]
    names = [each.name for each in session.get_inputs()]
    outputs = session.run(None, dict(zip(names, given, strict=True)))
    for name, output in zip(("output", "edges"), outputs, strict=False):
        files[f"test_{name}.npy"] = npy(output)
    shapes = [output.shape for output in outputs]
    describe = _rdf_0_4 if version == "0.4" else _rdf_0_5
    rdf = describe(case, hashlib.sha256(weights).hexdigest(), shapes) | dict(change or {})
    write_package(folder, files, rdf)
    return folder


def foreign_image(case: Foreign, sizes: Mapping[str, int] | None = None) -> NDArray[np.float32]:
    """An image (C, Z, Y, X) of whole grey levels, other ones in each channel."""
    rng = np.random.default_rng(7)
    known = {**SIZES, **(sizes or {})}
    shape = [known[axis] if axis in case.axes else 1 for axis in "zyx"]
    levels = rng.poisson(20 + 60 * rng.random((case.channels[0], *shape)) ** 3)
    gains = np.arange(1, case.channels[0] + 1).reshape(-1, 1, 1, 1)
    return (levels * gains).astype(np.float32)


def to_axes(image: NDArray[Any], axes: str) -> NDArray[Any]:
    """An array (C, Z, Y, X) with other axes, those of length 1 left out or put in."""
    whole = image[np.newaxis]
    for dimension, axis in enumerate("bczyx"):
        assert axis in axes or whole.shape[dimension] == 1
    moved = whole.transpose(
        ["bczyx".index(axis) for axis in sorted(axes, key=axes.index)]
        + [dimension for dimension, axis in enumerate("bczyx") if axis not in axes]
    )
    return np.ascontiguousarray(moved.reshape(moved.shape[: len(axes)]))


def from_axes(array: NDArray[Any], axes: str) -> NDArray[Any]:
    """The inverse of `to_axes`."""
    whole = array.reshape(*array.shape, *[1] * (5 - len(axes)))
    order = axes + "".join(axis for axis in "bczyx" if axis not in axes)
    return np.asarray(whole.transpose([order.index(axis) for axis in "bczyx"])[0])


def by_hand(case: Foreign, image: NDArray[Any], *more: NDArray[Any]) -> NDArray[np.float32]:
    """The bare network's first output (C, Z, Y, X) for normalised images."""
    session = onnxruntime.InferenceSession(network(case), providers=["CPUExecutionProvider"])
    tensors = [to_axes(each.astype(np.float32), case.axes) for each in (image, *more)]
    names = [each.name for each in session.get_inputs()]
    return from_axes(session.run(None, dict(zip(names, tensors, strict=True)))[0], case.axes_out)


def _stream(data: bytes) -> Any:
    import io

    return io.BytesIO(data)


@cache
def _kernel(seed: int, into: int, out: int, dims: int) -> NDArray[np.float32]:
    rng = np.random.default_rng(seed)
    return rng.normal(0, 0.3, (out, into, *[3] * dims)).astype(np.float32)


def network(case: Foreign) -> bytes:
    """An ONNX file: a convolution of width 3, and what the case asks for, whatever its axes."""
    nodes: list[onnx.NodeProto] = []
    constants: list[onnx.TensorProto] = []

    def add(operator: str, inputs: list[str], **attributes: Any) -> str:
        name = f"{operator}{len(nodes)}"
        nodes.append(helper.make_node(operator, inputs, [name], **attributes))
        return name

    def constant(values: Any) -> str:
        constants.append(numpy_helper.from_array(np.asarray(values), f"c{len(constants)}"))
        return constants[-1].name

    def convolved(tensor: str, into: int, out: int, seed: int) -> str:
        pads = [0 if case.valid else 1] * 2 * dims
        kernel = constant(_kernel(seed, into, out, dims))
        return add("Conv", [tensor, kernel], pads=pads, kernel_shape=[3] * dims)

    def entered(tensor: str) -> str:
        """With the axes BC(Z)YX."""
        order = [axis for axis in "bczyx" if axis in case.axes]
        tensor = add("Transpose", [tensor], perm=[case.axes.index(axis) for axis in order])
        missing = [place for place, axis in enumerate("bc") if axis not in case.axes]
        return add("Unsqueeze", [tensor, constant(missing)]) if missing else tensor

    def left(tensor: str, output: str) -> None:
        """With the axes of the output."""
        axes = "bc" + ("z" if case.new_slices else "") + case.space
        if "z" in axes and "z" not in case.axes_out:
            tensor = add("ReduceMax", [tensor], axes=[2], keepdims=0)
            axes = axes.replace("z", "")
        missing = [place for place, axis in enumerate(axes) if axis not in case.axes_out]
        if missing:
            tensor = add("Squeeze", [tensor, constant(missing)])
        order = [axis for axis in axes if axis in case.axes_out]
        nodes.append(
            helper.make_node(
                "Transpose", [tensor], [output], perm=[order.index(a) for a in case.axes_out]
            )
        )

    dims = len(case.space)
    into, out = case.channels
    tensor = convolved(entered("input.1"), into, out, case.seed)
    if case.second:
        tensor = add("Add", [tensor, convolved(entered("2"), 1, out, case.seed + 1)])
    if case.zoom > 1:
        sizes = [1.0, 1.0, *[1.0] * (dims - 2), case.zoom, case.zoom]
        tensor = add("Resize", [tensor, "", constant(np.array(sizes, np.float32))], mode="nearest")
    if case.zoom < 1:
        window = [1] * (dims - 2) + [round(1 / case.zoom)] * 2
        tensor = add("AveragePool", [tensor], kernel_shape=window, strides=window)
    if case.new_slices:
        plane = add("Unsqueeze", [tensor, constant([2])])
        planes = [add("Mul", [plane, constant(np.float32(n + 1))]) for n in range(case.new_slices)]
        tensor = add("Concat", planes, axis=2)
    left(tensor, "out.7")
    if case.more:
        left(add("Abs", [convolved(entered("input.1"), into, out, case.seed + 2)]), "out.8")
    sizes = _sizes(case)
    inputs = [_value("input.1", case.axes, {**sizes, "c": into})]
    if case.second:
        inputs.append(_value("2", case.axes, {**sizes, "c": 1}))
    outputs = [
        helper.make_tensor_value_info(
            name, TensorProto.FLOAT, [f"{name}{a}" for a in case.axes_out]
        )
        for name in (["out.7", "out.8"] if case.more else ["out.7"])
    ]
    graph = helper.make_graph(nodes, "foreign", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _value(name: str, axes: str, sizes: Mapping[str, int]) -> onnx.ValueInfoProto:
    shape = [sizes.get(axis, axis) for axis in axes]
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def _sizes(case: Foreign) -> dict[str, int]:
    return dict(SIZES) if case.sizes == "fixed" else {}


def _smallest(case: Foreign) -> dict[str, tuple[int, int]]:
    """Smallest size and step of each axis."""
    return {"z": (6, 2), "y": (16, 4), "x": (16, 4)} | {"b": (1, 0), "c": (case.channels[0], 0)}


def _about(sha256: str, version: str) -> dict[str, Any]:
    return {
        "format_version": version,
        "type": "model",
        "name": "Foreign model",
        "description": "Made by a test as others make it",
        "authors": [{"name": "Somebody"}],
        "cite": [{"text": "Somebody (2020)", "doi": "10.1000/xyz123"}],
        "license": "MIT",
        "documentation": "README.md",
        "tags": ["test"],
        "timestamp": "2021-01-01T00:00:00",
        "weights": {"onnx": {"source": "weights.onnx", "sha256": sha256, "opset_version": OPSET}},
    }


def _scale(case: Foreign, axis: str) -> float:
    return case.zoom if axis in "yx" else 1.0


def _lost(case: Foreign, axis: str) -> float:
    """Pixels of the output that the network leaves out at each edge."""
    return _scale(case, axis) if case.valid and axis in case.space else 0


def _halo(case: Foreign, axis: str) -> int:
    """In pixels of the output."""
    return math.ceil(case.halo * _scale(case, axis))


def _rdf_0_4(case: Foreign, sha256: str, shapes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    smallest = _smallest(case)

    def described(name: str, channels: int, steps: Steps) -> dict[str, Any]:
        least = {axis: smallest[axis][0] for axis in case.axes} | {"c": channels}
        shape: Any = {
            "min": [least[axis] for axis in case.axes],
            "step": [smallest[axis][1] for axis in case.axes],
        }
        if case.sizes == "fixed":
            shape = [{**SIZES, "c": channels}[axis] for axis in case.axes]
        return {
            "name": name,
            "axes": case.axes,
            "data_type": "uint8" if case.integers else "float32",
            "data_range": [-1e9, 1e9],
            "shape": shape,
            **({"preprocessing": list(steps)} if steps else {}),
        }

    def made(name: str, steps: Steps, found: tuple[int, ...]) -> dict[str, Any]:
        scales, offsets = [], []
        for axis in case.axes_out:
            new = axis not in case.axes
            scales.append(None if new else 0.0 if axis == "c" else _scale(case, axis))
            fixed = {"z": case.new_slices, "c": case.channels[1], "b": 0}
            offsets.append(fixed[axis] / 2 if new or axis == "c" else -_lost(case, axis))
        shape: Any = {"reference_tensor": "input", "scale": scales, "offset": offsets}
        if case.sizes == "fixed":
            shape = list(found)
        return {
            "name": name,
            "axes": case.axes_out,
            "data_type": "float32",
            "data_range": [-1e9, 1e9],
            "shape": shape,
            "halo": [_halo(case, axis) if axis in case.space else 0 for axis in case.axes_out],
            **({"postprocessing": list(steps)} if steps else {}),
        }

    tensors = _tensors(case, described, made, shapes)
    return {
        **_about(sha256, "0.4.10"),
        **tensors,
        "test_inputs": [f"test_{each['name']}.npy" for each in tensors["inputs"]],
        "test_outputs": [f"test_{each['name']}.npy" for each in tensors["outputs"]],
    }


def _rdf_0_5(case: Foreign, sha256: str, shapes: Sequence[tuple[int, ...]]) -> dict[str, Any]:
    smallest = _smallest(case)

    def axis_of(axis: str, channels: int, size: Any) -> dict[str, Any]:
        if axis == "b":
            return {"type": "batch"}
        if axis == "c":
            names = [f"channel {number}" for number in range(channels)]
            return {"type": "channel", "channel_names": names}
        return {"type": "space", "id": axis, "size": size}

    def described(name: str, channels: int, steps: Steps) -> dict[str, Any]:
        sizes: dict[str, Any] = {
            axis: {"min": smallest[axis][0], "step": smallest[axis][1]} for axis in case.space
        }
        if case.sizes == "fixed":
            sizes = {axis: SIZES[axis] for axis in case.space}
        return {
            "id": name,
            "axes": [axis_of(axis, channels, sizes.get(axis)) for axis in case.axes],
            "data": {"type": "uint8" if case.integers else "float32"},
            "test_tensor": {"source": f"test_{name}.npy"},
            **({"preprocessing": list(steps)} if steps else {}),
        }

    def made(name: str, steps: Steps, found: tuple[int, ...]) -> dict[str, Any]:
        axes = []
        for axis, length in zip(case.axes_out, found, strict=True):
            offset = -round(2 * _lost(case, axis))
            size: Any = {"tensor_id": "input", "axis_id": axis, "offset": offset}
            if axis not in case.axes or case.sizes == "fixed":
                size = length
            described_axis = axis_of(axis, case.channels[1], size)
            if axis in case.space and isinstance(size, dict):
                described_axis["scale"] = 1 / _scale(case, axis)
                if case.halo:
                    described_axis["halo"] = _halo(case, axis)
            axes.append(described_axis)
        return {
            "id": name,
            "axes": axes,
            "test_tensor": {"source": f"test_{name}.npy"},
            **({"postprocessing": list(steps)} if steps else {}),
        }

    return {**_about(sha256, "0.5.4"), **_tensors(case, described, made, shapes)}


def _tensors(
    case: Foreign,
    described: Callable[[str, int, Steps], dict[str, Any]],
    made: Callable[[str, Steps, tuple[int, ...]], dict[str, Any]],
    shapes: Sequence[tuple[int, ...]],
) -> dict[str, Any]:
    """All inputs, as `described`, and outputs, as `made` with their shapes."""
    inputs = [described("input", case.channels[0], case.before)]
    if case.second:
        inputs.append(described("mask", 1, ()))
    outputs = [made("output", case.after, shapes[0])]
    if case.more:
        outputs.append(made("edges", (), shapes[1]))
    return {"inputs": inputs, "outputs": outputs}


def image_axes(axes: str) -> str:
    """The axes that an image for a tensor with these has in care_bridge."""
    return "".join(axis for axis in "CZYX" if axis.lower() in axes)
