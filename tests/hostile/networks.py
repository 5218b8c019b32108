"""Packages whose network is hostile or broken; their hashes are right."""

from __future__ import annotations

import hashlib
import io
import pickle
import zipfile
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from tests.hostile.case import COMPUTING, RUNNING, Case, good, in_folder, with_file
from tests.packages import tiny_package

_FUNCTIONS = "own"
_ONNX = helper.make_opsetid("", 17)
_OWN = helper.make_opsetid(_FUNCTIONS, 1)
FALSE = "say to be"
ELSEWHERE = "keeps its weights in another file"
ENDLESS = "may run for ever"
TOO_MANY = "more than care_bridge runs"
NO_MEMORY = "memory"
node = helper.make_node


def network(
    nodes: Sequence[onnx.NodeProto],
    weights: Sequence[onnx.TensorProto] = (),
    *,
    functions: Sequence[onnx.FunctionProto] = (),
    domain: str = _FUNCTIONS,
    sparse: Sequence[onnx.SparseTensorProto] = (),
    inputs: int = 1,
    size: int | str = "y",
    rank: int = 4,
    kind: int = TensorProto.FLOAT,
) -> bytes:
    """A network from "input" to "output", by default as the description of the good package says.
    rank: number of axes of the output, 0 for any."""
    sizes = ["batch", 1, size, "x"]
    given = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, sizes)
        for name in ("input", "other")[:inputs]
    ]
    out = helper.make_tensor_value_info("output", kind, (sizes * 2)[:rank] if rank else None)
    graph = helper.make_graph(nodes, "hostile", given, [out], weights)
    graph.sparse_initializer.extend(sparse)
    opsets = [_ONNX, helper.make_opsetid(domain, 1)]
    model = helper.make_model(graph, opset_imports=opsets, functions=functions, ir_version=8)
    return model.SerializeToString()


def of(weights: bytes | Callable[[], bytes]) -> Callable[[Path], Path]:
    return lambda folder: in_folder(
        folder, with_file("weights.onnx", weights if isinstance(weights, bytes) else weights())
    )


def kernel(sizes: Sequence[int], data: bytes = b"") -> onnx.TensorProto:
    return TensorProto(name="kernel", data_type=TensorProto.FLOAT, dims=sizes, raw_data=data)


def convolved(tensor: onnx.TensorProto, **attributes: object) -> bytes:
    return network([node("Conv", ["input", "kernel"], ["output"], **attributes)], [tensor])


def outside(location: str, **more: str) -> bytes:
    tensor = kernel([1, 1, 1, 1])
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in {"location": location, **more}.items():
        tensor.external_data.add(key=key, value=value)
    return convolved(tensor)


def outside_in_a_branch() -> bytes:
    tensor = kernel([1, 1, 1, 1])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="../../image.tif")
    branch = helper.make_graph(
        [node("Constant", [], ["c"], value=tensor), node("Add", ["input", "c"], ["o"])],
        "branch",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
    )
    return network(
        [node("If", ["yes"], ["output"], then_branch=branch, else_branch=branch)],
        [numpy_helper.from_array(np.array(True), "yes")],
    )


def added(nodes: Sequence[onnx.NodeProto], **values: np.ndarray) -> bytes:
    """The input and the largest of what `nodes` make as "much"."""
    ends = [
        node("ReduceMax", ["much"], ["most"], keepdims=0),
        node("Add", ["input", "most"], ["output"]),
    ]
    weights = [numpy_helper.from_array(np.asarray(each), name) for name, each in values.items()]
    return network([*nodes, *ends], weights)


_MUCH = np.array([10**12])


def endless() -> bytes:
    """A Loop that stops when "going", which it never changes, is false."""
    body = helper.make_graph(
        [node("Identity", ["going"], ["goes"]), node("Identity", ["x"], ["y"])],
        "body",
        [
            helper.make_tensor_value_info("count", TensorProto.INT64, []),
            helper.make_tensor_value_info("going", TensorProto.BOOL, []),
            helper.make_tensor_value_info("x", TensorProto.FLOAT, None),
        ],
        [
            helper.make_tensor_value_info("goes", TensorProto.BOOL, []),
            helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        ],
    )
    return network(
        [node("Loop", ["", "yes", "input"], ["output"], body=body)],
        [numpy_helper.from_array(np.array(True), "yes")],
    )


def scanning() -> bytes:
    body = helper.make_graph(
        [node("Identity", ["x"], ["y"])],
        "body",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, None)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
    )
    return network([node("Scan", ["input"], ["output"], body=body, num_scan_inputs=1)])


def function(name: str, *called: str) -> onnx.FunctionProto:
    """A function that calls others one after the other."""
    values = ["x", *(f"x{number}" for number in range(1, len(called))), "y"]
    nodes = [
        node(each, [values[number]], [values[number + 1]], domain=_FUNCTIONS)
        for number, each in enumerate(called)
    ]
    return helper.make_function(
        _FUNCTIONS, name, ["x"], ["y"], nodes or [node("Relu", ["x"], ["y"])], [_ONNX, _OWN]
    )


def calling(name: str, *functions: onnx.FunctionProto) -> bytes:
    return network([node(name, ["input"], ["output"], domain=_FUNCTIONS)], functions=functions)


def multiplying() -> bytes:
    """Twelve functions, each of which calls the one before ten times: 10^11 operators."""
    levels = [function(f"f{level}", *[f"f{level - 1}"] * 10) for level in range(1, 12)]
    return calling("f11", function("f0"), *levels)


def chain(length: int) -> bytes:
    names = ["input", *(f"x{number}" for number in range(length - 1)), "output"]
    return network([node("Relu", [a], [b]) for a, b in pairwise(names)])


def many_parts() -> bytes:
    """A graph of eight million empty operators, two bytes each."""
    nodes = b"\x0a\x00" * (8 << 20)
    size, varint = len(nodes), bytearray()
    while size:
        varint.append(size & 0x7F | (0x80 if size > 0x7F else 0))
        size >>= 7
    return b"\x3a" + bytes(varint) + nodes


def deep() -> bytes:
    """Branches in branches, a thousand deep, as bytes: the onnx library would not write them."""
    data = b""
    for _ in range(1000):
        for tag in (b"\x32", b"\x2a", b"\x0a"):  # graph of attribute of node
            data = tag + _varint(len(data)) + data
    return b"\x3a" + _varint(len(data)) + data


def _varint(number: int) -> bytes:
    groups = []
    while True:
        groups.append(number & 0x7F)
        number >>= 7
        if not number:
            break
    return bytes([*(group | 0x80 for group in groups[:-1]), groups[-1]])


def circle() -> bytes:
    nodes = [node("Add", ["input", "b"], ["a"]), node("Relu", ["a"], ["b"])]
    return network([*nodes, node("Relu", ["b"], ["output"])])


def sparse() -> bytes:
    value = helper.make_tensor("kernel", TensorProto.FLOAT, [1], [1.0])
    place = helper.make_tensor("place", TensorProto.INT64, [1], [0])
    tensor = helper.make_sparse_tensor(value, place, [1, 1, 1 << 20, 1 << 20])
    return network([node("Conv", ["input", "kernel"], ["output"])], sparse=[tensor])


def without_second_output(folder: Path) -> Path:
    """A network of one output, described as one that predicts distributions."""
    package = tiny_package(folder / "package", members=2)
    other = network([node("Relu", ["input"], ["output"])])
    rdf = (package / "rdf.yaml").read_text()
    for data in ((package / "weights.onnx").read_bytes(), other):
        digest = hashlib.sha256(data).hexdigest()
        rdf = rdf.replace(digest, "SHA256") if digest in rdf else rdf.replace("SHA256", digest)
    (package / "rdf.yaml").write_text(rdf)
    (package / "weights.onnx").write_bytes(other)
    return package


def torch_file() -> bytes:
    """As torch.save writes it: a zip with a pickle in it."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as opened:
        opened.writestr("archive/data.pkl", pickle.dumps(print))
    return stream.getvalue()


NETWORKS = {
    "network-empty": Case(of(b""), "no ONNX file", RUNNING),
    "network-words": Case(of(b"these are words"), "no ONNX file", RUNNING),
    "network-of-torch": Case(of(torch_file), "no ONNX file", RUNNING),
    "network-cut": Case(of(lambda: good()["weights.onnx"][:-200]), "no ONNX file", RUNNING),
    "network-with-a-name-that-is-no-text": Case(
        of(lambda: good()["weights.onnx"].replace(b"weights0", b"weight\xff\xfe")),
        "no ONNX file",
        RUNNING,
    ),
    "network-without-graph": Case(
        of(lambda: onnx.ModelProto(ir_version=8).SerializeToString()), "", RUNNING
    ),
    "network-deep": Case(of(deep), "no ONNX file", RUNNING),
    "network-of-parts": Case(of(many_parts), TOO_MANY, RUNNING),
    "network-of-operators": Case(of(lambda: chain(21_000)), TOO_MANY, RUNNING),
    "network-of-functions": Case(of(multiplying), TOO_MANY, RUNNING),
    "network-calls-itself": Case(
        of(lambda: calling("f", function("f", "f"))), "calls itself", RUNNING
    ),
    "network-calls-in-a-circle": Case(
        of(lambda: calling("f", function("f", "g"), function("g", "f"))), "calls itself", RUNNING
    ),
    "network-circle": Case(of(circle), "", COMPUTING),
    "network-endless": Case(of(endless), ENDLESS, RUNNING),
    "network-scanning": Case(of(scanning), ENDLESS, RUNNING),
    "network-of-own-operators": Case(
        of(lambda: network([node("Evil", ["input"], ["output"], domain="com.evil")])),
        "com.evil.Evil",
        RUNNING,
    ),
    "network-of-another-file": Case(
        of(
            lambda: network(
                [
                    node(
                        "EPContext",
                        ["input"],
                        ["output"],
                        domain="com.microsoft",
                        embed_mode=0,
                        ep_cache_context="../../image.tif",
                    )
                ],
                domain="com.microsoft",
            )
        ),
        "EPContext",
        RUNNING,
    ),
    "network-sparse": Case(of(sparse), "sparse weights", RUNNING),
    "network-weights-beside": Case(of(lambda: outside("sample_input.tif")), ELSEWHERE, RUNNING),
    "network-weights-above": Case(of(lambda: outside("../../image.tif")), ELSEWHERE, RUNNING),
    "network-weights-absolute": Case(of(lambda: outside("/etc/passwd")), ELSEWHERE, RUNNING),
    "network-weights-at-an-offset": Case(
        of(lambda: outside("cover.png", offset="-1", length="99999999999999")), ELSEWHERE, RUNNING
    ),
    "network-weights-at-no-number": Case(
        of(lambda: outside("cover.png", offset="evil")), ELSEWHERE, RUNNING
    ),
    "network-weights-above-in-a-branch": Case(of(outside_in_a_branch), ELSEWHERE, RUNNING),
    "network-weights-of-terabytes": Case(
        of(lambda: convolved(kernel([1, 1, 1 << 20, 1 << 20]))), FALSE, RUNNING
    ),
    "network-weights-negative": Case(
        of(lambda: convolved(kernel([1, 1, -1, -4], bytes(16)))), FALSE, RUNNING
    ),
    "network-weights-beyond-64-bits": Case(
        of(lambda: convolved(kernel([1 << 32, 1 << 32, 1, 1]))), FALSE, RUNNING
    ),
    "network-weights-cut": Case(
        of(lambda: convolved(kernel([1, 1, 3, 3], bytes(20)))), "", COMPUTING
    ),
    "network-makes-terabytes-of-a-constant": Case(
        of(lambda: added([node("ConstantOfShape", ["size"], ["much"])], size=_MUCH)),
        NO_MEMORY,
        COMPUTING,
    ),
    "network-draws-gigabytes": Case(
        of(
            lambda: added(
                [
                    node("ConstantOfShape", ["size"], ["zeros"]),
                    node("RandomUniformLike", ["zeros"], ["much"]),
                ],
                size=np.array([1 << 28]),
            )
        ),
        NO_MEMORY,
        ("check",),
    ),
    "network-repeats-to-terabytes": Case(
        of(
            lambda: added(
                [node("Expand", ["one", "size"], ["much"])], size=_MUCH, one=np.ones(1, np.float32)
            )
        ),
        NO_MEMORY,
        COMPUTING,
    ),
    "network-counts-to-terabytes": Case(
        of(
            lambda: added(
                [node("Range", ["first", "end", "step"], ["much"])],
                first=np.int64(0),
                end=np.int64(10**12),
                step=np.int64(1),
            )
        ),
        "",
        COMPUTING,
    ),
    "network-pads-to-terabytes": Case(
        of(
            lambda: added(
                [node("Pad", ["input", "by"], ["much"])],
                by=np.array([0, 0, 0, 0, 0, 0, 10**6, 10**6]),
            )
        ),
        NO_MEMORY,
        COMPUTING,
    ),
    "network-enlarges-to-terabytes": Case(
        of(
            lambda: added(
                [node("Resize", ["input", "", "by"], ["much"])],
                by=np.array([1, 1, 10**5, 10**5], np.float32),
            )
        ),
        NO_MEMORY,
        COMPUTING,
    ),
    "network-pads-a-convolution-to-terabytes": Case(
        of(
            lambda: convolved(
                numpy_helper.from_array(np.ones((1, 1, 3, 3), np.float32), "kernel"),
                pads=[10**6] * 4,
            )
        ),
        "",
        COMPUTING,
    ),
    "network-of-another-rank": Case(
        of(lambda: network([node("Flatten", ["input"], ["output"])], rank=2)), "", COMPUTING
    ),
    "network-of-other-channels": Case(
        of(lambda: network([node("Concat", ["input", "input"], ["output"], axis=1)], rank=0)),
        "",
        COMPUTING,
    ),
    "network-of-texts": Case(
        of(
            lambda: network(
                [node("Cast", ["input"], ["output"], to=TensorProto.STRING)],
                kind=TensorProto.STRING,
            )
        ),
        "",
        ("check",),
    ),
    "network-of-one-size": Case(
        of(lambda: network([node("Relu", ["input"], ["output"])], size=7)), "", COMPUTING
    ),
    "network-without-inputs": Case(
        of(
            lambda: network(
                [node("Constant", [], ["output"], value=kernel([1, 1, 4, 4], bytes(64)))], inputs=0
            )
        ),
        "",
        COMPUTING,
    ),
    "network-of-two-inputs": Case(
        of(lambda: network([node("Add", ["input", "other"], ["output"])], inputs=2)), "", COMPUTING
    ),
    "network-without-its-second-output": Case(without_second_output, "", ("check",)),
    "network-of-another-size": Case(
        of(
            lambda: network(
                [node("MaxPool", ["input"], ["output"], kernel_shape=[2, 2], strides=[2, 2])]
            )
        ),
        "",
        COMPUTING,
    ),
}
