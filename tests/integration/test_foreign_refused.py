"""Packages of others that care_bridge does not run, and images that they cannot restore: one line
says why."""

import numpy as np
import pytest
import yaml

from care_bridge import load_package
from care_bridge.errors import AxesError, CareBridgeError, PackageFormatError
from care_bridge.runtime.restorer import restore
from tests.foreign_packages import Foreign, foreign_package


def weights_of(**formats):
    entries = {
        "torchscript": {"source": "w.pt", "sha256": "0" * 64, "pytorch_version": "2.0"},
        "pytorch_state_dict": {
            "source": "w.pt",
            "sha256": "0" * 64,
            "pytorch_version": "2.0",
            "architecture": {"import_from": "somewhere", "callable": "Net"},
        },
    }
    return {"weights": {name: entries[name] for name in formats}}


def matching(step, **more):
    """The step by the statistics of each channel and slice of the input."""
    return {"id": step, "kwargs": {"axes": ["y", "x"], "reference_tensor": "input", **more}}


REFUSED = {
    "torchscript": (Foreign(), weights_of(torchscript=1), "its weights are torchscript"),
    "code": (
        Foreign(),
        weights_of(pytorch_state_dict=1),
        "its weights are pytorch_state_dict, which is code of its own, care_bridge runs onnx",
    ),
    "custom-step": (
        Foreign(
            after=(
                {
                    "id": "custom",
                    "callable": "my",
                    "source": "my.py",
                    "sha256": "0" * 64,
                    "kwargs": {},
                },
            )
        ),
        {},
        "its output needs the code in my.py of the package, care_bridge runs none",
    ),
    "step-of-another-tool": (
        Foreign(
            after=(
                {
                    "id": "cellpose_flow_dynamics",
                    "kwargs": {"cellprob_threshold": 0.0, "flow_threshold": 0.4, "do_3D": False},
                },
            )
        ),
        {},
        "its output needs the processing step cellpose_flow_dynamics, care_bridge runs binarize",
    ),
    "softmax-along-x": (
        Foreign(after=({"id": "softmax", "kwargs": {"axis": "x"}},)),
        {},
        "its softmax is along the axis X of output",
    ),
    "statistics-of-rows": (
        Foreign(before=({"id": "zero_mean_unit_variance", "kwargs": {"axes": ["x"]}},)),
        {},
        "it normalises input over X alone",
    ),
    "channels-of-another-number": (
        Foreign(channels=(2, 1), after=(matching("scale_mean_variance"),)),
        {},
        "its scale_mean_variance of output is by channel of input, which has 2 channels for the 1",
    ),
    "slices-that-are-left-out": (
        Foreign(axes="bczyx", valid=True, after=(matching("scale_range", max_percentile=99.0),)),
        {},
        "its scale_range of output is by slice of input, whose slices output does not have",
    ),
    "slices-of-what-is-projected": (
        Foreign(axes="bczyx", out_axes="bcyx", after=(matching("scale_mean_variance"),)),
        {},
        "is by slice of input, whose slices output does not have",
    ),
}


UNSOUND = {
    "step": (("inputs", 0, "shape", "step"), [0, 0, -4, 4], "a halo or a scale along Y"),
    "halo": (("outputs", 0, "halo"), [0, 0, 0, -1], "a halo or a scale along X"),
    "axes": (("inputs", 0, "axes"), "cyx", 'tensor "input" has the axes cyx and 4 sizes'),
    "tests": (("test_outputs",), ["a.npy", "b.npy"], "a test tensor for each of its tensors"),
}


@pytest.mark.parametrize("name", UNSOUND)
def test_descriptions_that_the_spec_library_lets_pass_are_refused(tmp_path, name):
    (*way, last), value, says = UNSOUND[name]
    package = foreign_package(tmp_path, Foreign(halo=0), "0.4")
    rdf = yaml.safe_load((package / "rdf.yaml").read_text())
    part = rdf
    for key in way:
        part = part[key]
    part[last] = value
    (package / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    with pytest.raises(PackageFormatError, match="cannot use the package") as caught:
        load_package(package)
    assert says in str(caught.value)


def test_an_image_of_which_nothing_is_left_is_refused(tmp_path):
    package = foreign_package(tmp_path, Foreign(valid=True), "0.5")
    with pytest.raises(AxesError, match="has 2 pixels along X, of which the model"):
        restore(np.zeros((2, 24, 2), np.uint8), axes="CYX", package=package)
    found = restore(np.ones((2, 24, 3), np.uint8), axes="CYX", package=package)
    assert found.shape == (2, 22, 1)


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_run_says_why(tmp_path, name):
    case, change, says = REFUSED[name]
    package = foreign_package(tmp_path, case, "0.5", change)
    with pytest.raises(CareBridgeError) as caught:
        load_package(package)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
