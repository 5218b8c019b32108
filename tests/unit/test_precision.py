import logging

import numpy as np
import pytest
from onnx import TensorProto, helper

from care_bridge.axes import Axes
from care_bridge.errors import PackageFormatError
from care_bridge.images import Image
from care_bridge.package.package import load_package
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.precision import Deviation, precision_error, precision_line
from care_bridge.runtime.restorer import Restorer
from care_bridge.runtime.session import Session
from tests.packages import run_by_hand, tiny_network, tiny_package


@pytest.mark.parametrize("fixed", [False, True], ids=["percentiles", "fixed"])
def test_the_deviation_from_the_test_output(tmp_path, fixed):
    package = load_package(tiny_package(tmp_path / "model", fixed=fixed))
    other = tiny_network(seed=4)  # stands in for a less exact engine
    source = package.tensor("test_input.npy")
    expected = package.tensor("test_output.npy").astype(np.float64)
    off = run_by_hand(other, source, package.spec.normalization)[0] - expected
    span = expected.max() - expected.min()
    error = precision_error(package, Session(other, "cpu"))
    assert error.largest == pytest.approx(abs(off).max() / span, rel=1e-4)
    assert error.rms == pytest.approx(np.linalg.norm(off) / np.sqrt(off.size) / span, rel=1e-4)


def test_float32_deviates_by_rounding_only(tmp_path):
    package = load_package(tiny_package(tmp_path / "model", dims=3))
    assert precision_error(package, Session(package.weights(), "cpu")).largest < 1e-6


def test_it_reads_as_one_line():
    text = str(Deviation(largest=0.00712, rms=0.0009))
    # 20 log10(9.0e-04) = -60.9
    assert text == "at most 7.1e-03, rms 9.0e-04 of the test output's range (61 dB)"


def test_a_restoration_tells_once_what_its_precision_costs(tmp_path, caplog):
    caplog.set_level(logging.INFO, "care_bridge.device")
    package = load_package(tiny_package(tmp_path / "model"))
    exact = Restorer(package, RestoreOptions(device="cpu"))
    image = Image(package.tensor("test_input.npy")[0, 0], Axes("YX"))
    exact.restore_image(image)
    assert "float32" not in caplog.text
    lower = Restorer(package, RestoreOptions(device="cpu"))
    lower.session = Session(tiny_network(seed=4), "cpu")  # stands in for a less exact engine
    lower = lower.with_options(RestoreOptions(device="cpu", precision="bf16"))
    for _ in range(2):
        lower.restore_image(image)
    (told,) = [line for line in caplog.messages if "float32" in line]
    assert told == f"bf16 differs from float32 by {precision_error(package, lower.session)}"
    (tmp_path / "model" / "test_output.npy").write_bytes(b"torn")
    told = precision_line(package, lower.session, "bf16")
    assert "how far bf16 is from float32 is not known" in told


def test_a_test_output_of_another_shape_is_refused(tmp_path):
    package = load_package(tiny_package(tmp_path / "model"))
    sizes = [None, 1, None, None]
    halving = helper.make_graph(
        [helper.make_node("MaxPool", ["a"], ["b"], kernel_shape=[2, 2], strides=[2, 2])],
        "halving",
        [helper.make_tensor_value_info("a", TensorProto.FLOAT, sizes)],
        [helper.make_tensor_value_info("b", TensorProto.FLOAT, sizes)],
    )
    opset = [helper.make_opsetid("", 17)]
    model = helper.make_model(halving, opset_imports=opset, ir_version=8)
    with pytest.raises(PackageFormatError, match=r"\(1, 1, 24, 24\).*\(1, 1, 48, 48\)"):
        precision_error(package, Session(model.SerializeToString(), "cpu"))
