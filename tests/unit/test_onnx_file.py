"""What an ONNX file says of itself."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from care_bridge.errors import PackageFormatError, PackageIntegrityError, PackageNotRunError
from care_bridge.package import onnx_file
from care_bridge.package.onnx_file import as_one_file, read_onnx
from care_bridge.package.onnx_graph import check_network
from tests.packages import tiny_network


def test_facts_of_a_network():
    facts = read_onnx(tiny_network(dims=3, channels=2), "weights.onnx")
    assert (facts.opset, facts.ir_version) == (17, 8)
    assert facts.inputs == {"input": ("batch", 2, "z", "y", "x")}
    assert facts.outputs == {"output": ("batch", 2, "z", "y", "x")}
    assert facts.input_types == {"input": "float32"}
    assert {"Conv", "Expand", "MaxPool"} <= set(facts.operators)
    assert "Resize" not in facts.operators


TYPES = {
    TensorProto.FLOAT16: "float16",
    TensorProto.DOUBLE: "float64",
    TensorProto.UINT8: "uint8",
    TensorProto.BOOL: "bool",
    TensorProto.UNDEFINED: "",
    999: "",
}


@pytest.mark.parametrize("kind", TYPES)
def test_the_type_that_an_input_takes(kind):
    model = onnx.load_model_from_string(tiny_network())
    model.graph.input[0].type.tensor_type.elem_type = kind
    facts = read_onnx(model.SerializeToString(), "weights.onnx")
    assert facts.input_types == {"input": TYPES[kind]}


def with_external_weights():
    kernel = numpy_helper.from_array(np.ones((1, 1, 1, 1), np.float32), "kernel")
    kernel.data_location = TensorProto.EXTERNAL
    kernel.external_data.add(key="location", value="weights.onnx.data")
    sizes = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["b", 1, "y", "x"])
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 1, "y", "x"])
    node = helper.make_node("Conv", ["x", "kernel"], ["y"])
    return helper.make_model(
        helper.make_graph([node], "g", [sizes], [result], [kernel])
    ).SerializeToString()


def with_external_weights_in_a_branch():
    """An If whose branches take their values from another file."""
    value = numpy_helper.from_array(np.ones(1, np.float32))
    value.data_location = TensorProto.EXTERNAL
    value.external_data.add(key="location", value="secret.bin")
    result = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    branch = helper.make_graph(
        [helper.make_node("Constant", [], ["y"], value=value)], "branch", [], [result]
    )
    node = helper.make_node("If", ["x"], ["y"], then_branch=branch, else_branch=branch)
    condition = helper.make_tensor_value_info("x", TensorProto.BOOL, [])
    return helper.make_model(
        helper.make_graph([node], "g", [condition], [result])
    ).SerializeToString()


def of_another_domain():
    graph = helper.make_graph([helper.make_node("Own", ["x"], ["y"], domain="a.b")], "g", [], [])
    opsets = [helper.make_opsetid("a.b", 1)]
    return helper.make_model(graph, opset_imports=opsets).SerializeToString()


BAD = {
    "cut-short": (tiny_network()[:-200], "is cut short or no ONNX file"),
    "cut-to-a-stub": (tiny_network()[:3], "no ONNX file"),
    "text": (b"these are words, not a network", "no ONNX file"),
    "empty": (b"", "no ONNX file"),
    "another-domain": (of_another_domain(), "uses no operators of ONNX itself"),
    "no-graph": (onnx.ModelProto(ir_version=8).SerializeToString(), "no ONNX file"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_network_is_said_in_one_line(case):
    data, expected = BAD[case]
    with pytest.raises(PackageFormatError) as caught:
        read_onnx(data, "weights.onnx")
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "data", [with_external_weights(), with_external_weights_in_a_branch()], ids=["whole", "branch"]
)
def test_weights_in_another_file_are_not_run_but_facts_are_told(data):
    assert len(read_onnx(data, "weights.onnx").input_types) == 1
    with pytest.raises(PackageNotRunError, match="keeps its weights in another file"):
        check_network(data, "weights.onnx")


def beside(**place):
    """A network whose one weight, 2, lies in another file."""
    model = onnx.load_model_from_string(with_external_weights())
    (tensor,) = model.graph.initializer
    del tensor.external_data[:]
    for key, value in {"location": "weights.onnx.data", **place}.items():
        tensor.external_data.add(key=key, value=value)
    return model.SerializeToString()


OTHER_FILE = bytes(8) + np.float32(2).tobytes()


@pytest.mark.parametrize("place", [{"offset": "8"}, {"offset": "8", "length": "4"}], ids=str)
def test_weights_of_another_file_are_taken_in(place):
    whole = onnx.load_model_from_string(as_one_file(beside(**place), lambda name: OTHER_FILE))
    assert numpy_helper.to_array(whole.graph.initializer[0]).item() == 2
    read_onnx(whole.SerializeToString(), "weights.onnx")


@pytest.mark.parametrize(
    "place",
    [
        {"offset": "-1"},
        {"offset": "evil"},
        {"offset": "٨"},
        {"offset": "9" * 30},
        {"offset": "13"},
        {"offset": "8", "length": "5"},
        {"offset": "8", "length": "-4"},
    ],
    ids=str,
)
def test_weights_that_are_not_in_the_other_file_are_refused(place):
    with pytest.raises(PackageFormatError, match=r"weights lie at .*weights\.onnx\.data"):
        as_one_file(beside(**place), lambda name: OTHER_FILE)


def test_the_same_bytes_many_times_are_no_way_to_fill_the_memory(monkeypatch):
    monkeypatch.setattr(onnx_file, "LARGEST_FILE", 300)
    with pytest.raises(PackageIntegrityError, match="more than 300 bytes"):
        as_one_file(beside(), lambda name: bytes(300))
