"""From a network to a package: what is written does what the network does."""

import json
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
import yaml
from PIL import Image as Picture
from torch.nn.functional import interpolate

from care_bridge import check_package, load_package, restore
from care_bridge.errors import ConfigError, ExportError, PackageCheckError
from care_bridge.export import builder
from care_bridge.export.about import About, default_description, default_name
from care_bridge.export.builder import export_checkpoint
from care_bridge.export.graph import (
    compare_with_torch,
    export_onnx,
    relative_difference,
    run_torch,
)
from care_bridge.export.memory import measure_memory_per_pixel
from care_bridge.images import open_image
from care_bridge.normalization import Percentiles
from care_bridge.package.onnx_file import read_onnx
from care_bridge.package.publish import package_target, whole_package
from care_bridge.runtime.conventions import jdll_levels
from care_bridge.training.config import parse_config
from tests.checkpoints import SOURCE_SCALE, TARGET_SCALE, untrained
from tests.packages import tiny_package

ABOUT = About("Exported model", "For a test", ("Ada", "Bob"), "CC0-1.0", ("mine",))

CASES = {
    "2D": {},
    "2D-fixed": {"mode": "fixed"},
    "2D-two-channels-to-one": {"channels_in": 2},
    "3D": {"axes": "ZYX"},
}


@pytest.fixture(scope="module", params=CASES)
def case(request):
    return request.param


@pytest.fixture(scope="module")
def checkpoint(case):
    return untrained(**CASES[case])


@pytest.fixture(scope="module")
def package(case, checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / case
    report = export_checkpoint(checkpoint, out, ABOUT)
    assert report.source == str(out)
    return load_package(out)


def test_it_passes_its_check(package):
    assert check_package(package.source).errors == ()


def test_the_files_of_the_package(package):
    assert sorted(file.name for file in package.source.iterdir()) == [
        "README.md",
        "cover.png",
        "rdf.yaml",
        "sample_input.tif",
        "sample_output.tif",
        "test_input.npy",
        "test_output.npy",
        "validation.png",
        "weights.onnx",
    ]
    assert [file.name for file in package.source.parent.iterdir()] == [package.source.name]


def test_the_onnx_file_is_for_old_engines(package, checkpoint):
    facts = read_onnx(package.weights(), "weights.onnx")
    assert (facts.opset, facts.ir_version) == (17, 8)
    space = tuple(checkpoint.axes.lower())
    assert facts.inputs == {"input": ("batch", checkpoint.channels_in, *space)}
    assert facts.outputs == {"output": ("batch", checkpoint.channels_out, *space)}
    assert ("Expand" in facts.operators) == (checkpoint.axes == "ZYX")
    assert ("Resize" in facts.operators) == (checkpoint.axes == "YX")


def test_the_onnx_file_tells_nothing_of_this_machine(package):
    model = onnx.load_model_from_string(package.weights())
    assert not any(part.doc_string for part in (model, model.graph, *model.graph.node))
    for word in (b"site-packages", b".py", str(package.source.parent).encode()):
        assert word not in package.weights()


def test_the_test_output_is_the_networks(package, checkpoint):
    """Normalised by numpy, run by torch, scaled as the RDF says."""
    source = package.tensor("test_input.npy")
    space = tuple(range(2, source.ndim))
    if isinstance(package.spec.normalization, Percentiles):
        low, high = np.percentile(source, (2, 99.8), axis=space, keepdims=True)
        normalized = (source - low) / (high - low + 1e-6)
        expected = run_torch(checkpoint.network, normalized.astype(np.float32))
    else:
        normalized = (source - SOURCE_SCALE.offset) / SOURCE_SCALE.gain
        expected = run_torch(checkpoint.network, normalized.astype(np.float32))
        expected = expected * TARGET_SCALE.gain + TARGET_SCALE.offset
    found = package.tensor("test_output.npy")
    np.testing.assert_allclose(found, expected, atol=1e-5 * np.ptp(expected), rtol=0)


def test_sample_images_have_the_test_tensors_pixels(package):
    for name in ("input", "output"):
        image = open_image(package.source / f"sample_{name}.tif")
        tensor = package.tensor(f"test_{name}.npy")
        np.testing.assert_array_equal(
            image.axes.to(image.pixels, "CZYX").squeeze(), tensor.squeeze()
        )


def test_both_conventions_of_percentiles_agree_on_the_test_input(package):
    normalization = package.spec.normalization
    if not isinstance(normalization, Percentiles):
        return  # fixed scales have none
    for channel in package.tensor("test_input.npy")[0]:
        found = np.percentile(channel.astype(np.float64), (2.0, 99.8))
        np.testing.assert_array_equal(found, jdll_levels(channel, normalization))


def test_what_is_measured_is_written(package, checkpoint):
    config = yaml.safe_load(package.read("rdf.yaml"))["config"]["care_bridge"]
    space = list(checkpoint.axes.lower())
    assert config["halo"] == dict.fromkeys(space, 22)
    assert config["size_step"] == dict.fromkeys(space, 4)
    assert config["task"] == "care"
    assert config["training"]["steps"] == 123
    assert config["training"]["validation"] == {"psnr": 31.25, "psnr_input": 20.5}
    assert "data" not in config["training"]["config"]
    assert package.spec.memory_per_pixel > 8  # its input and output alone


def test_a_thin_stack_leaves_z_whole_for_others(package, checkpoint):
    rdf = yaml.safe_load(package.read("rdf.yaml"))
    by_name = {axis.get("id"): axis for axis in rdf["inputs"][0]["axes"]}
    outputs = {axis.get("id"): axis for axis in rdf["outputs"][0]["axes"]}
    assert by_name["y"]["size"] == {"min": 52, "step": 4}
    assert outputs["y"]["halo"] == 24
    if "Z" in checkpoint.axes:  # 32 slices, two halos and a step are 52
        assert by_name["z"]["size"] == {"min": 4, "step": 4}
        assert by_name["z"]["concatenable"] is False
        assert "halo" not in outputs["z"]


def test_the_card_and_the_cover(package):
    card = package.read("README.md").decode()
    assert "# Exported model" in card
    assert "# Validation" in card
    assert "| psnr | 31.25 |" in card
    assert ("the grey levels of its first channel" in card) == (package.spec.channels_in == 2)
    rdf = yaml.safe_load(package.read("rdf.yaml"))
    assert rdf["authors"] == [{"name": "Ada"}, {"name": "Bob"}]
    assert rdf["license"] == "CC0-1.0"
    assert rdf["tags"][0] == "mine"
    with Picture.open(package.source / "cover.png") as cover:
        width, height = cover.size
        shown = np.asarray(cover)[height // 8 :]
    assert width >= 2 * 256
    assert height >= 256
    for panel in (shown[:, : width // 2], shown[:, width // 2 :]):
        assert panel[(panel > 0) & (panel < 255)].std() > 20


def test_restoring_undoes_the_scaling(package, checkpoint):
    """Against torch on the whole image, of a size that needs padding."""
    if package.spec.channels_in != 1:
        return  # one channel is enough here
    rng = np.random.default_rng(3)
    image = rng.gamma(2, 200, (9, 50, 61)[-len(checkpoint.axes) :]).astype(np.float32)
    padded = np.pad(image, [(0, -size % 4) for size in image.shape], mode="reflect")
    if isinstance(package.spec.normalization, Percentiles):
        low, high = np.percentile(image, (2, 99.8))
        before = after = (low, high - low + 1e-6)
    else:
        before = (SOURCE_SCALE.offset, SOURCE_SCALE.gain)
        after = (TARGET_SCALE.offset, TARGET_SCALE.gain)
    normalized = ((padded - before[0]) / before[1]).astype(np.float32)
    output = run_torch(checkpoint.network, normalized[None, None])[0, 0]
    expected = (output * after[1] + after[0])[tuple(slice(size) for size in image.shape)]
    found = restore(image, axes=checkpoint.axes, package=package)
    np.testing.assert_allclose(found, expected, atol=2e-5 * np.ptp(expected), rtol=0)


# What can go wrong, with the quickest network.


@pytest.fixture(scope="module")
def small():
    return untrained()


@pytest.fixture(scope="module")
def weights(small):
    return export_onnx(small.network, "YX", 1, [4, 4])


@pytest.fixture
def quick(monkeypatch, weights):
    """Without exporting and measuring anew."""
    monkeypatch.setattr(builder, "export_onnx", lambda *_: weights)
    monkeypatch.setattr(builder, "measure_memory_per_pixel", lambda *_: 300.0)


def test_a_3d_network_that_resizes_is_refused():
    class Resizing(torch.nn.Module):
        def forward(self, x):
            return interpolate(x, scale_factor=2.0)

    with pytest.raises(ExportError, match="upsamples with Resize"):
        export_onnx(Resizing().eval(), "ZYX", 1, [4, 4, 4])


def test_a_difference_from_torch_is_found(weights, small):
    assert compare_with_torch(weights, small.network, 1, [4, 4]) < 1e-5
    other = untrained()
    with torch.no_grad():
        other.network.last.bias += 1e-3
    with pytest.raises(ExportError, match="differs from the trained network by"):
        compare_with_torch(weights, other.network, 1, [4, 4])


def test_a_difference_counts_by_the_largest_numbers_in_the_network():
    """Numbers from 0 to 1 are made 500 times as large, then small again."""
    larger, smaller = torch.nn.Conv2d(1, 1, 1, bias=False), torch.nn.Conv2d(1, 1, 1, bias=False)
    with torch.no_grad():
        larger.weight.fill_(500)
        smaller.weight.fill_(1 / 500)
    source = np.linspace(0, 1, 12, dtype=np.float32).reshape(1, 1, 3, 4)
    network = torch.nn.Sequential(larger, smaller)
    assert relative_difference(source + 0.1, network, source) == pytest.approx(0.1 / 500, rel=1e-3)
    assert relative_difference(source / 500 + 0.1, smaller, source) == pytest.approx(0.1, rel=1e-3)


def test_memory_grows_with_the_image(weights):
    """Between what two feature maps of the first level need, and a hundred of them."""
    feature_map = 4 * 4  # four filters of float32
    assert 2 * feature_map < measure_memory_per_pixel(weights, "YX", 1, 4) < 100 * feature_map


def test_a_zip_holds_what_the_folder_holds(quick, small, tmp_path):
    export_checkpoint(small, tmp_path / "model", ABOUT)
    export_checkpoint(small, tmp_path / "model.zip", ABOUT)
    with zipfile.ZipFile(tmp_path / "model.zip") as zipped:
        names = zipped.namelist()
        assert names == sorted(file.name for file in (tmp_path / "model").iterdir())
        for name in set(names) - {"rdf.yaml"}:  # it holds the time
            assert zipped.read(name) == (tmp_path / "model" / name).read_bytes()
    assert sorted(file.name for file in tmp_path.iterdir()) == ["model", "model.zip"]


def listing(folder):
    return {file: file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_a_package_that_fails_its_check_is_not_written(quick, small, tmp_path, monkeypatch):
    monkeypatch.setattr(builder, "structural_halo", lambda *_: {"Y": 8, "X": 8})
    with pytest.raises(PackageCheckError, match="fails its check: along Y") as caught:
        export_checkpoint(small, tmp_path / "model.zip", ABOUT)
    assert caught.value.report.errors
    assert list(tmp_path.iterdir()) == []


def test_an_unusable_licence_is_said():
    with pytest.raises(ConfigError, match='license "my own" is unknown'):
        About("A good name", "", license="my own")


@pytest.mark.parametrize(
    ("about", "said"),
    [
        ({"authors": ("A B; ; 1234",)}, '"1234" of "A B; ; 1234" is no ORCID'),
        ({"authors": ("A B; 0000-0001-2345-6788",)}, "is no ORCID"),  # its check digit is 9
        ({"authors": ("A B; https://orcid.org/0000-0001-2345-6789",)}, "is no ORCID"),
        ({"authors": ("",)}, "has no name"),
        ({"authors": ("Ada; @ada; @bob",)}, "is no GitHub name"),
        ({"maintainers": ("Ada; @a da",)}, "is no GitHub name"),
        ({"dataset": "no such thing!!"}, 'dataset "no such thing!!" cannot be'),
    ],
    ids=str,
)
def test_what_cannot_be_said_of_a_model_is_refused_at_once(about, said):
    with pytest.raises(ConfigError, match=said) as caught:
        About("A good name", "", **about)
    assert "\n" not in str(caught.value)


def test_nobody_is_made_an_author_and_no_license_is_chosen(quick, small, tmp_path):
    out = tmp_path / "model"
    report = export_checkpoint(small, out, About("A model of mine", "For a test"))
    rdf = yaml.safe_load((out / "rdf.yaml").read_text("utf-8"))
    assert not {"authors", "license"} & rdf.keys()
    warned = {each.rule: each.consumers for each in report.findings if each.severity == "warning"}
    assert warned == dict.fromkeys(("authors", "license"), ("bioimage.io's upload",))
    assert report.errors == ()


@pytest.mark.parametrize("name", ["model", "model.zip"])
def test_what_is_there_stays_unless_overwritten(quick, small, tmp_path, name):
    out = tmp_path / name
    export_checkpoint(small, out, ABOUT)
    before = listing(tmp_path)
    with pytest.raises(ExportError, match="exists already"):
        export_checkpoint(small, out, ABOUT)
    assert listing(tmp_path) == before
    export_checkpoint(small, out, About("A later model", "Better"), overwrite=True)
    assert load_package(out).spec.name == "A later model"
    assert [file.name for file in tmp_path.iterdir()] == [name]


def test_a_folder_with_more_in_it_is_not_overwritten(quick, small, tmp_path):
    out = tmp_path / "model"
    export_checkpoint(small, out, ABOUT)
    (out / "thesis.docx").write_bytes(b"years of work")
    (tmp_path / "documents").mkdir()
    (tmp_path / "documents" / "letter.txt").write_text("dear")
    before = listing(tmp_path)
    for folder, held in ((out, "thesis.docx"), (tmp_path / "documents", "letter.txt")):
        with pytest.raises(ExportError, match=f"holds {held}"):
            export_checkpoint(small, folder, ABOUT, overwrite=True)
    assert listing(tmp_path) == before


def test_a_name_that_is_taken_is_said_before_the_work(small, tmp_path, monkeypatch):
    def work(*_):
        raise AssertionError("the target is not looked at first")

    monkeypatch.setattr(builder, "export_onnx", work)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "model.zip").write_bytes(b"years of work")
    for out in (Path("model.zip"), Path()):
        with pytest.raises(ExportError, match="exists already"):
            export_checkpoint(small, out, ABOUT)


def test_the_folder_one_is_in_can_be_replaced(quick, small, tmp_path, monkeypatch):
    export_checkpoint(small, tmp_path / "model", ABOUT)
    monkeypatch.chdir(tmp_path / "model")
    export_checkpoint(small, Path(), About("A later model", "Better"), overwrite=True)
    assert load_package(tmp_path / "model").spec.name == "A later model"
    assert [file.name for file in tmp_path.iterdir()] == ["model"]


class Killed(BaseException):
    """As by a signal: nobody cleans up after it."""


@pytest.mark.parametrize("overwrite", [False, True], ids=["keep", "overwrite"])
def test_a_replacement_that_was_cut_short_is_undone(tmp_path, monkeypatch, overwrite):
    out = tiny_package(tmp_path / "model")
    rename = Path.rename

    def killed_at_the_second(self, target):
        if target == out:
            raise Killed
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", killed_at_the_second)
    with pytest.raises(Killed), whole_package(out, overwrite=True) as folder:
        tiny_package(folder, name="A later model")
    assert [file.name for file in tmp_path.iterdir()] == [".model.replaced"]
    monkeypatch.undo()
    if overwrite:
        with whole_package(out, overwrite=True) as folder:
            tiny_package(folder, name="A later model")
    else:
        with pytest.raises(ExportError, match="exists already"):
            package_target(out, overwrite=False)
    names = {False: "Tiny network for tests", True: "A later model"}
    assert load_package(out).spec.name == names[overwrite]
    assert list(tmp_path.iterdir()) == [out]


def test_a_former_package_that_was_left_is_removed(tmp_path):
    out = tiny_package(tmp_path / "model", name="A later model")
    tiny_package(tmp_path / ".model.replaced")
    package_target(out, overwrite=True)
    assert load_package(out).spec.name == "A later model"
    assert list(tmp_path.iterdir()) == [out]


def test_a_folder_that_is_not_there_is_said(quick, small, tmp_path):
    with pytest.raises(ExportError, match="create it first"):
        export_checkpoint(small, tmp_path / "nowhere" / "model", ABOUT)


@pytest.mark.parametrize("name", ["ab", "naïve model", "a/b/c/d", "x" * 200, "(+-_)"])
def test_names_that_the_spec_refuses_are_said_at_once(name):
    with pytest.raises(ConfigError, match="cannot be used"):
        About(name, "")


def test_names_are_made_from_the_runs(small):
    assert default_name(small, "run_1") == "CARE 2D run_1"
    About(default_name(small, "süß/run:7"), default_description(small))
    volumes = replace(small, config=parse_config({"task": "isotropic"}))
    assert default_name(volumes, "run_1") == "Isotropic 3D run_1"
    assert "Restores 3D microscopy images" in default_description(volumes)
    assert About("My Model (v2)", "").nickname == "my-model-v2"


def test_a_deep_stack_lets_others_tile_z(quick, monkeypatch, tmp_path):
    checkpoint = untrained("ZYX")
    rng = np.random.default_rng(0)
    deep = rng.poisson(200, (1, 60, 40, 60)).astype(np.uint16)
    monkeypatch.setattr(
        builder, "export_onnx", lambda *_: export_onnx(checkpoint.network, "ZYX", 1, [4, 4, 4])
    )
    deeper = replace(checkpoint, example=replace(checkpoint.example, source=deep))
    export_checkpoint(deeper, tmp_path / "deep", ABOUT)
    rdf = yaml.safe_load((tmp_path / "deep" / "rdf.yaml").read_text())
    z = rdf["inputs"][0]["axes"][2]
    assert (z["size"], z["concatenable"]) == ({"min": 52, "step": 4}, True)
    shape = np.load(tmp_path / "deep" / "test_input.npy").shape
    assert shape == (1, 1, 52, 52, 60)  # Y was extended by reflection


def test_the_configuration_is_plain_data(package):
    assert json.loads(json.dumps(package.spec.config)) == package.spec.config
