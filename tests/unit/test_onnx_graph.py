"""Which ONNX files are given to the engine; those that are not are among the hostile packages."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from care_bridge.package.checked_weights import check_once
from care_bridge.package.onnx_graph import check_network
from care_bridge.package.protobuf_parts import DamagedMessageError, count_parts
from tests.hostile.networks import calling, function, network
from tests.packages import tiny_network


def with_a_branch():
    branch = helper.make_graph(
        [helper.make_node("Relu", ["input"], ["o"])],
        "branch",
        [],
        [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
    )
    choice = helper.make_node("If", ["yes"], ["output"], then_branch=branch, else_branch=branch)
    return network([choice], [numpy_helper.from_array(np.array(True), "yes")])


GOOD = {
    "2d": tiny_network,
    "3d": lambda: tiny_network(dims=3, channels=2),
    "distributions": lambda: tiny_network(members=3),
    "functions": lambda: calling("g", function("f"), function("g", "f", "f")),
    "functions-in-another-order": lambda: calling("g", function("g", "f"), function("f")),
    "branches": with_a_branch,
    "of-microsoft": lambda: network(
        [helper.make_node("Gelu", ["input"], ["output"], domain="com.microsoft")],
        domain="com.microsoft",
    ),
}


@pytest.mark.parametrize("name", GOOD)
def test_what_the_engine_runs_is_taken(name):
    check_network(GOOD[name](), "weights.onnx")


@pytest.mark.parametrize("kind", [np.float32, np.float16, np.float64, np.int64, np.uint8, np.bool_])
@pytest.mark.parametrize("raw", [True, False], ids=["raw", "typed"])
def test_weights_of_any_type_are_taken(kind, raw):
    values = np.zeros((3, 5), kind)
    code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
    data = values.tobytes() if raw else values.ravel().tolist()
    tensor = helper.make_tensor("w", code, values.shape, data, raw=raw)
    nodes = [
        helper.make_node("Identity", ["input"], ["output"]),
        helper.make_node("Identity", ["w"], ["other"]),
    ]
    check_network(network(nodes, [tensor]), "weights.onnx")


def test_parts_are_counted_without_parsing():
    """By hand: a graph; two operators of four texts; a tensor, its list and 64 bytes in that."""
    nodes = [
        onnx.NodeProto(op_type="Add", input=["a", "b"], output=["c"]),
        onnx.NodeProto(op_type="Add", input=["c", "b"], output=["d"]),
    ]
    packed = onnx.TensorProto(int32_data=[1] * 64)
    model = onnx.ModelProto(graph=onnx.GraphProto(node=nodes, initializer=[packed]))
    by_hand = 1 + 2 * (1 + 4) + (1 + 1 + 64 // 16)
    data = model.SerializeToString()
    assert count_parts(data, onnx.ModelProto.DESCRIPTOR, 1000) == by_hand
    assert count_parts(data, onnx.ModelProto.DESCRIPTOR, 3) == 4


@pytest.mark.parametrize(
    "data",
    [b"\x3a\x05\x0a", b"\x3a\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x3b", b"\x0d\x00"],
    ids=["cut", "endless-number", "group", "cut-number"],
)
def test_what_is_no_message_is_said(data):
    with pytest.raises(DamagedMessageError):
        count_parts(data, onnx.ModelProto.DESCRIPTOR, 1000)


def test_a_network_that_passed_is_not_checked_again(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    sha256 = "ab" * 32
    check_once(tiny_network(), sha256, "weights.onnx")
    check_once(b"not looked at: what has this hash is what passed", sha256, "weights.onnx")
