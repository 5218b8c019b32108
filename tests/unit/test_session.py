import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from care_bridge.errors import InferenceError
from care_bridge.runtime.session import Session


def adding(inputs):
    """The ONNX file of a network that adds its inputs."""
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in inputs]
    output = helper.make_tensor_value_info("sum", TensorProto.FLOAT, [None])
    graph = helper.make_graph([helper.make_node("Sum", inputs, ["sum"])], "g", values, [output])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def test_one_input_is_run():
    assert Session(adding(["a"]), "cpu").run(np.array([2.0], np.float32)) == 2


def test_more_than_one_input_is_refused():
    with pytest.raises(InferenceError, match="2 inputs and 1 outputs"):
        Session(adding(["a", "b"]), "cpu")


def test_a_wrong_shape_is_one_line():
    with pytest.raises(InferenceError, match=r"shape \(1, 1\)") as caught:
        Session(adding(["a"]), "cpu").run(np.ones((1, 1), np.float32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weights", [b"", b"no network", adding(["a"])[:40]])
def test_what_is_no_network_is_refused_in_one_line(weights):
    with pytest.raises(InferenceError, match="refuses the model") as caught:
        Session(weights, "cpu")
    assert "\n" not in str(caught.value)
