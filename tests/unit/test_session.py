import sys
import threading

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from care_bridge.errors import DeviceError, InferenceError, MissingExtraError, OutOfMemoryError
from care_bridge.runtime.binding import DeviceTensors
from care_bridge.runtime.session import Session
from tests.packages import tiny_network


def onnx_file(nodes, inputs, output, constants=(), shape=(None,)):
    """The bytes of an ONNX file of float tensors."""
    values = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in (*inputs, output)
    ]
    graph = helper.make_graph(nodes, "g", values[:-1], values[-1:], list(constants))
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    return model.SerializeToString()


def adding(inputs):
    """A network that adds its inputs."""
    return onnx_file([helper.make_node("Sum", inputs, ["sum"])], inputs, "sum")


def slow(layers):
    """A network of so many sines, one after the other."""
    nodes = [helper.make_node("Sin", [f"x{i}"], [f"x{i + 1}"]) for i in range(layers)]
    return onnx_file(nodes, ["x0"], f"x{layers}")


def filling(count):
    """A network that repeats its input `count` times."""
    times = numpy_helper.from_array(np.array([count]), "count")
    return onnx_file([helper.make_node("Expand", ["a", "count"], ["b"])], ["a"], "b", [times])


def test_one_input_is_run():
    assert Session(adding(["a"]), "cpu").run(np.array([2.0], np.float32)) == 2


def test_inputs_are_taken_by_their_place():
    session = Session(adding(["b", "a"]), "cpu")
    assert session.tensors == (2, 1)
    assert session.run(np.array([2.0], np.float32), np.array([3.0], np.float32)) == 5


@pytest.mark.parametrize("kind", [TensorProto.FLOAT16, TensorProto.DOUBLE, TensorProto.UINT8])
def test_an_input_gets_its_own_type(kind):
    source = helper.make_tensor_value_info("a", kind, ["n"])
    result = helper.make_tensor_value_info("b", TensorProto.FLOAT, ["n"])
    node = helper.make_node("Cast", ["a"], ["b"], to=TensorProto.FLOAT)
    graph = helper.make_graph([node], "g", [source], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    session = Session(model.SerializeToString(), "cpu")
    assert session.run(np.array([3.0], np.float32)) == 3


def test_an_input_of_texts_is_refused():
    source = helper.make_tensor_value_info("a", TensorProto.STRING, ["n"])
    result = helper.make_tensor_value_info("b", TensorProto.STRING, ["n"])
    graph = helper.make_graph([helper.make_node("Identity", ["a"], ["b"])], "g", [source], [result])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    with pytest.raises(
        InferenceError, match=r'input "a" is tensor\(string\), numbers are expected'
    ):
        Session(model.SerializeToString(), "cpu")


def test_an_operator_that_nobody_has_is_named():
    node = helper.make_node("Invented", ["a"], ["b"], domain="somewhere")
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, ["n"]) for name in "ab"]
    graph = helper.make_graph([node], "g", values[:1], values[1:])
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid("somewhere", 1)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    with pytest.raises(
        InferenceError, match="uses the operator somewhere:Invented, which"
    ) as error:
        Session(model.SerializeToString(), "cpu")
    assert "\n" not in str(error.value)


def test_a_wrong_shape_is_one_line():
    with pytest.raises(InferenceError, match=r"shape \(1, 1\)") as caught:
        Session(adding(["a"]), "cpu").run(np.ones((1, 1), np.float32))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("weights", [b"", b"no network", adding(["a"])[:40]])
def test_what_is_no_network_is_refused_in_one_line(weights):
    with pytest.raises(InferenceError, match="refuses the model") as caught:
        Session(weights, "cpu")
    assert "\n" not in str(caught.value)


def test_it_says_what_it_took_and_why():
    version = onnxruntime.__version__
    named, found = Session(adding(["a"]), "cpu"), Session(adding(["a"]), "auto")
    assert (named.device, named.engine) == ("cpu", f"ONNX Runtime {version}, CPU")
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        assert found.device == "cpu"
        assert found.engine.endswith("; no CUDA in this build")


def test_openvino_is_advised_for_3d_on_a_plain_cpu_only():
    if "OpenVINOExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has OpenVINO")
    assert "openvino" in Session(tiny_network(3), "cpu").advice
    assert Session(tiny_network(2), "cpu").advice == ""


def test_a_precision_that_the_cpu_lacks_is_refused():
    with pytest.raises(DeviceError, match="tf32"):
        Session(adding(["a"]), "cpu", "tf32")


def test_memory_that_is_not_there_is_an_error_of_its_own():
    petabytes = Session(filling(1 << 48), "cpu")
    with pytest.raises(OutOfMemoryError, match=r"shape \(1,\).*: free some memory$"):
        petabytes.run(np.ones(1, np.float32))


def test_a_run_is_cancelled_from_another_thread():
    session = Session(slow(2000), "cpu")
    tile = np.ones(1 << 22, np.float32)
    ended = threading.Event()

    def keep_cancelling():
        while not ended.wait(0.01):
            session.cancel()

    other = threading.Thread(target=keep_cancelling)
    other.start()
    with pytest.raises(InferenceError, match="cancelled"):
        session.run(tile)
    ended.set()
    other.join()
    assert session.run(tile[:1000]).shape == (1000,)  # the session is as good as before


def test_nothing_is_cancelled_ahead():
    session = Session(adding(["a"]), "cpu")
    session.cancel()
    assert session.run(np.array([2.0], np.float32)) == 2


class TestDeviceTensors:
    """On the CPU's memory, which stands in for a GPU's."""

    @pytest.fixture
    def bound(self):
        self.engine = onnxruntime.InferenceSession(
            tiny_network(2, members=2), providers=["CPUExecutionProvider"]
        )
        names = [output.name for output in self.engine.get_outputs()]
        return DeviceTensors(onnxruntime, self.engine, "input", names, ("cpu", 0))

    def plain(self, tile):
        return self.engine.run(None, {"input": tile})

    def test_tiles_of_changing_content_and_shape(self, bound):
        rng = np.random.default_rng(0)
        shapes = [(16, 16), (16, 16), (16, 16), (24, 8), (24, 8), (16, 16)]
        tiles = [rng.random((1, 1, *shape), np.float32) for shape in shapes]
        kept = [tile.copy() for tile in tiles]
        results = [bound.run(tile, slice(2), onnxruntime.RunOptions()) for tile in tiles]
        for tile, result in zip(kept, results, strict=True):
            for found, expected in zip(result, self.plain(tile), strict=True):
                np.testing.assert_array_equal(found, expected)
        (first,) = bound.run(tiles[0], slice(1), onnxruntime.RunOptions())
        np.testing.assert_array_equal(first, self.plain(kept[0])[0])
        np.testing.assert_array_equal(tiles[0], kept[0])


@pytest.mark.parametrize(
    ("statement", "error", "says"),
    [
        (
            "raise ImportError('initialization failed') from KeyboardInterrupt()",
            KeyboardInterrupt,
            None,
        ),
        ("raise ImportError('libstdc++.so.6: too old')", InferenceError, "too old"),
        ("import a_module_that_is_not_there", MissingExtraError, "extra"),
    ],
    ids=["interrupted", "broken", "missing"],
)
def test_why_onnxruntime_is_not_loaded(tmp_path, monkeypatch, statement, error, says):
    (tmp_path / "onnxruntime.py").write_text(statement)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "onnxruntime")
    with pytest.raises(error, match=says):
        Session(adding(["a"]), "cpu")
