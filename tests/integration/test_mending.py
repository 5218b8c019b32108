"""Mends are kept where they do no harm; pictures of a package are made whatever its axes."""

import numpy as np
import onnx
import onnxruntime
import pytest
import tifffile
import yaml

from care_bridge.package.consumers.rule import CORE, Rule
from care_bridge.package.package import load_package
from care_bridge.runtime import mending
from care_bridge.runtime.mending import mend_package
from tests.broken_packages import edit, with_model, with_test_input
from tests.foreign_packages import Foreign, foreign_package, from_axes
from tests.packages import tiny_package
from tests.rule_breaches import network_of, two_files


def no_longer_opening(draft):
    """Nobody reads such a halo, so that none is too small."""
    for axis in draft.tensors("outputs")[0]["axes"][2:]:
        axis["halo"] = 0.5


def with_another_result(draft):
    """It opens, with the halo that is needed, but does not make its test output."""
    for axis in draft.tensors("outputs")[0]["axes"][2:]:
        axis["halo"] = 4
    draft.content["inputs"][0]["preprocessing"] = [
        {"id": "scale_linear", "kwargs": {"gain": 2.0, "offset": 1.0}}
    ]


def files_in(package):
    return {file.name: file.read_bytes() for file in package.iterdir()}


HARMFUL = [no_longer_opening, with_another_result]


@pytest.mark.parametrize("harm", HARMFUL, ids=lambda harm: harm.__name__)
def test_a_mend_by_running_that_does_harm_is_left_out(tmp_path, monkeypatch, harm):
    package = foreign_package(tmp_path, Foreign(halo=0), "0.5")
    mend_package(package)  # of all that is to be mended besides

    def untold(rdf):
        for axis in rdf["outputs"][0]["axes"][2:]:
            axis.pop("halo")

    edit(package, untold)
    before = files_in(package)
    monkeypatch.setattr(mending, "MENDS", {"halo": lambda draft, checked: harm(draft)})
    assert mend_package(package).changes == ()
    assert files_in(package) == before


@pytest.mark.parametrize("harm", HARMFUL, ids=lambda harm: harm.__name__)
def test_a_mend_of_the_description_that_does_harm_is_left_out(tmp_path, monkeypatch, harm):
    package = foreign_package(tmp_path, Foreign(halo=0), "0.5")

    def unmarked(draft):
        if "marked" not in draft.content.get("tags", []):
            yield "it is not marked"

    def mark(draft):
        draft.content["tags"] = ["marked"]
        harm(draft)

    before = files_in(package)
    rule = Rule("mark", (CORE,), "error", unmarked, "mark it", mark)
    monkeypatch.setattr(mending, "RULES", (rule,))
    monkeypatch.setattr(mending, "MENDS", {})
    assert mend_package(package).changes == ()
    assert files_in(package) == before


@pytest.mark.parametrize("apart", [False, True], ids=["one-file", "weights-apart"])
def test_what_a_network_of_other_numbers_is_given_stays(tmp_path, apart):
    """Made float32, ONNX Runtime would refuse it: in bioimageio.core nothing converts it back."""
    package = tiny_package(tmp_path)
    network_of(onnx.TensorProto.UINT8, "uint8")(package)
    with_test_input(package, np.load(package / "test_input.npy").clip(0, 255).astype(np.uint8))
    if apart:
        two_files(package)
    given = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))["inputs"][0]
    mended = mend_package(package)
    assert mended.report.errors == ()
    kept = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))["inputs"][0]
    assert {**kept, "sample_tensor": None} == {**given, "sample_tensor": None}
    session = onnxruntime.InferenceSession(package / "weights.onnx")
    output = session.run(None, {"input": np.load(package / "test_input.npy")})[0]
    np.testing.assert_allclose(output, np.load(package / "test_output.npy"), atol=1e-3)


OF_THE_DATASET = [{"axes": ["batch", "y", "x"]}, {}]


@pytest.mark.parametrize("kwargs", OF_THE_DATASET, ids=str)
def test_statistics_of_all_images_do_not_become_those_of_each(tmp_path, kwargs):
    """The mended package would be another model: bioimageio.core takes both over all images."""
    float32 = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
    steps = [float32, {"id": "zero_mean_unit_variance", "kwargs": kwargs}]
    package = foreign_package(tmp_path, Foreign(channels=(1, 1), before=steps), "0.5")
    mended = mend_package(package)
    after = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert after["inputs"][0]["preprocessing"] == steps
    (told,) = [each for each in mended.report.findings if each.rule.startswith("statistics")]
    assert told.remedy.endswith("change")
    assert not told.mendable


def without_its_mean(folder):
    """A package whose output depends on all of an image: it is told not to be cut."""
    package = foreign_package(folder, Foreign(channels=(1, 1)), "0.5")

    def subtract(model):
        end = model.graph.node[-1]
        mean = onnx.helper.make_node("ReduceMean", [end.input[0]], ["mean"], axes=[2, 3])
        less = onnx.helper.make_node("Sub", [end.input[0], "mean"], ["less"])
        model.graph.node.remove(end)
        end.input[0] = "less"
        model.graph.node.extend([mean, less, end])

    with_model(package, subtract)
    with_test_input(package, np.load(package / "test_input.npy"))
    return package


def in_tiles(rdf):
    axes = rdf["inputs"][0]["axes"]
    return [axis["concatenable"] for axis in axes if "concatenable" in axis], rdf["config"]


def test_what_depends_on_the_whole_image_is_not_let_be_cut(tmp_path):
    package = without_its_mean(tmp_path)
    edit(package, lambda rdf: rdf.update(config={"deepimagej": {"allow_tiling": False}}))
    changes = {change.split(":")[0] for change in mend_package(package).changes}
    assert changes
    assert not changes & {"concatenable", "deepimagej-tiling", "halo"}
    after = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert in_tiles(after)[0] == []
    assert after["config"]["deepimagej"] == {"allow_tiling": False}


@pytest.mark.parametrize("halo", [0, 1, 5])
def test_what_may_be_cut_is_let_with_the_halo_that_it_needs(tmp_path, halo):
    """The network reaches a pixel; sizes are multiples of 4, so the halo is."""
    package = foreign_package(tmp_path, Foreign(channels=(1, 1), halo=halo), "0.5")
    assert {"concatenable"} <= {change.split(":")[0] for change in mend_package(package).changes}
    after = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert in_tiles(after)[0] == [True, True]
    assert [axis["halo"] for axis in after["outputs"][0]["axes"][2:]] == [4, 4]


def test_an_output_that_is_rounded_stays_so(tmp_path):
    """bioimageio.core converts it to the type of its data, where no step does."""
    package = foreign_package(tmp_path, Foreign(channels=(1, 1)), "0.5")
    edit(package, lambda rdf: rdf["outputs"][0].update(data={"type": "int16"}))
    mend_package(package)
    after = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert after["outputs"][0]["data"] == {"type": "int16"}


def told_nothing(rdf):
    rdf.update(git_repo=None, authors=[{"name": "Ada", "orcid": None}])


def test_of_values_that_are_none_only_keys_without_one_are_left_out(tmp_path):
    """In format 0.4 the scale of an axis that the input does not have is one of a list."""
    package = foreign_package(tmp_path, Foreign(out_axes="bczyx", new_slices=3), "0.4")
    before = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert before["outputs"][0]["shape"]["scale"] == [1.0, 0.0, None, 1.0, 1.0]
    edit(package, told_nothing)
    mended = mend_package(package)
    assert "empty-keys" in {change.split(":")[0] for change in mended.changes}
    assert mended.report.errors == ()
    after = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert after["outputs"] == before["outputs"]
    assert (after["authors"], "git_repo" in after) == ([{"name": "Ada"}], False)


def test_samples_are_made_beside_one_that_lies_elsewhere(tmp_path):
    package = tiny_package(tmp_path)
    elsewhere = {"source": "https://example.org/sample.tif", "sha256": "0" * 64}
    edit(package, lambda rdf: rdf["inputs"][0].update(sample_tensor=elsewhere))
    edit(package, lambda rdf: rdf["outputs"][0].pop("sample_tensor"))
    (package / "sample_output.tif").unlink()
    mended = mend_package(package)
    assert [change.split(":")[0] for change in mended.changes] == ["sample-tensors"]
    assert mended.report.errors == ()
    after = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert after["inputs"][0]["sample_tensor"] == elsewhere
    assert after["outputs"][0]["sample_tensor"]["source"] == "sample_output.tif"
    made, expected = tifffile.imread(package / "sample_output.tif"), package / "test_output.npy"
    np.testing.assert_array_equal(made, np.load(expected).squeeze())
    assert mend_package(package).changes == ()


@pytest.mark.parametrize("axes", ["xbyc", "yxbc", "cyxb", "cxy"])
def test_pictures_are_of_the_test_tensors_whatever_their_axes(tmp_path, axes):
    pictures = {}
    for order in ("bcyx", axes):
        package = foreign_package(tmp_path / order, Foreign(axes=order, channels=(1, 1)), "0.5")
        mended = mend_package(package)
        assert "same-samples" not in {each.rule for each in mended.report.findings}
        spec = load_package(package).spec
        for tensor in spec.tensors:
            expected = from_axes(np.load(package / tensor.test_tensor), order).squeeze()
            np.testing.assert_array_equal(tifffile.imread(package / tensor.sample_tensor), expected)
        pictures[order] = (package / "cover.png").read_bytes()
    assert pictures[axes] == pictures["bcyx"]
