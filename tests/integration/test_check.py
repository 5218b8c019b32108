"""The check of a package finds what is wrong with it, and only that."""

import json
import tempfile

import numpy as np
import onnx
import pytest
import yaml

from care_bridge import check_package, restore
from care_bridge.cli.main import main
from care_bridge.errors import PackageFormatError, PackageNotFoundError
from tests.broken_packages import edit, put, with_model
from tests.foreign_packages import Foreign, foreign_package
from tests.hostile.images import deflated, tiff
from tests.packages import is_clean, npy, tiny_network, tiny_package


@pytest.mark.parametrize(
    "options",
    [{}, {"dims": 3}, {"channels": 2}, {"fixed": True}, {"channels": 2, "fixed": True}],
    ids=str,
)
def test_a_good_package_passes(tmp_path, options):
    report = check_package(tiny_package(tmp_path, **options))
    assert is_clean(report)
    noted = {(each.severity, each.rule) for each in report.findings if each.severity != "ok"}
    assert noted == {("note", "maintainers"), ("cannot", "torchscript")}
    said = [finding.what for finding in report.findings if finding.severity == "ok"]
    axes = "ZYX"[-options.get("dims", 2) :]
    assert sum("reaches 12 pixels" in what for what in said) == len(axes)
    assert sum("tiles differ" in what for what in said) == len(axes)


def too_small_a_halo(folder):
    tiny_package(folder, halo=8)


def other_weights(folder):
    put(folder, "weights.onnx", tiny_network(seed=4))


def changed_weights(folder):
    (folder / "weights.onnx").write_bytes(tiny_network(seed=4))


def weights_cut_short(folder):
    put(folder, "weights.onnx", tiny_network()[:-100])


def changed_test_image(folder):
    (folder / "test_input.npy").write_bytes(npy(np.zeros((1, 1, 48, 48), np.float32)))


def missing_cover(folder):
    (folder / "cover.png").unlink()


def output_of_another_shape(folder):
    put(folder, "test_output.npy", npy(np.zeros((1, 1, 48, 44), np.float32)))


def sizes_fixed(folder):
    def fix(model):
        for value in (model.graph.input[0], model.graph.output[0]):
            value.type.tensor_type.shape.dim[2].dim_value = 48

    with_model(folder, fix)


def npy_of(array):
    return lambda folder: put(folder, "test_input.npy", npy(array))


def no_image(folder):
    npy_of(np.zeros((48, 48), np.float32))(folder)


def too_many_channels(folder):
    npy_of(np.zeros((1, 2, 48, 48), np.float32))(folder)


def a_size_between_steps(folder):
    npy_of(np.zeros((1, 1, 47, 48), np.float32))(folder)


def texts(folder):
    npy_of(np.array([[[["a"]]]]))(folder)


def no_numbers(folder):
    npy_of(np.full((1, 1, 48, 48), np.nan, np.float32))(folder)


def infinite_output(folder):
    output = np.load(folder / "test_output.npy")
    output[0, 0, 3, 4] = np.inf
    put(folder, "test_output.npy", npy(output))


def two_inputs(folder):
    more = onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, [1])
    with_model(folder, lambda model: model.graph.input.append(more))


def operators_of_its_own(folder):
    def change(model):
        model.opset_import[0].domain = "a.b"

    with_model(folder, change)


def weights_in_another_file(folder):
    (folder / "secret.bin").write_bytes(bytes(1 << 16))

    def move(model):
        moved = model.graph.initializer[0]
        moved.ClearField("raw_data")
        moved.data_location = onnx.TensorProto.EXTERNAL
        moved.external_data.add(key="location", value="secret.bin")

    with_model(folder, move)


def no_description(folder):
    (folder / "rdf.yaml").unlink()


def missing_icon(folder):
    edit(folder, lambda rdf: rdf.update(icon="icon.png"))


def changed_architecture(folder):
    """As format 0.4 names it."""
    (folder / "net.py").write_text("def Net(): ...")
    entry = {"architecture": "net.py:Net", "architecture_sha256": "0" * 64}
    edit(folder, lambda rdf: rdf["weights"].update(pytorch_state_dict=entry))


def a_broken_description(folder):
    (folder / "rdf.yaml").write_text("type: model\nformat_version: 0.5.4\n")


ERRORS = {
    too_small_a_halo: [
        "along Y the network reaches 12 pixels, the package says 8",
        "along Y tiles",
    ],
    other_weights: ["the test output is reproduced to"],
    changed_weights: ['"weights.onnx"', "is not the file"],
    weights_cut_short: ["is cut short or no ONNX file"],
    changed_test_image: ['"test_input.npy"', "is not the file"],
    missing_cover: ['has no file "cover.png"'],
    missing_icon: ['has no file "icon.png"'],
    changed_architecture: ['"net.py"', "is not the file"],
    output_of_another_shape: ["an output of shape (1, 1, 48, 48), the test output has"],
    sizes_fixed: ["takes only 48 pixels along Y"],
    no_image: ['"test_input.npy" has the shape (48, 48), the description says the axes BCYX'],
    too_many_channels: ['"test_input.npy" has the shape (1, 2, 48, 48)', "C of size 1"],
    a_size_between_steps: ["(1, 1, 47, 48)"],
    texts: ['"test_input.npy"', "is no .npy array of numbers"],
    no_numbers: ['"test_input.npy" holds 2304 numbers that are NaN or infinite'],
    infinite_output: ['"test_output.npy" holds 1 numbers that are NaN or infinite'],
    two_inputs: ["has the inputs input, more and the outputs output"],
    operators_of_its_own: ["uses no operators of ONNX itself"],
    weights_in_another_file: ["keeps its weights in another file"],
    no_description: ["it has no rdf.yaml"],
    a_broken_description: ["its description is not valid"],
}


@pytest.mark.parametrize("spoil", ERRORS, ids=lambda spoil: spoil.__name__)
def test_errors_are_found(tmp_path, spoil):
    tiny_package(tmp_path)
    spoil(tmp_path)
    errors = [finding.what for finding in check_package(tmp_path).errors]
    for expected in ERRORS[spoil]:
        assert any(expected in error for error in errors), errors


def test_restoring_reads_no_file_that_the_weights_name(tmp_path, monkeypatch):
    """ONNX Runtime would look for it in the current folder."""
    package = tiny_package(tmp_path / "package")
    weights_in_another_file(package)
    (package / "secret.bin").rename(tmp_path / "secret.bin")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(PackageFormatError, match="keeps its weights in another file"):
        restore(np.zeros((8, 8), np.float32), axes="YX", package=package)


def test_the_word_location_alone_is_no_name_of_a_file(tmp_path):
    package = tiny_package(tmp_path / "package")
    with_model(package, lambda model: setattr(model.graph, "doc_string", "location: here"))
    assert restore(np.zeros((8, 8), np.float32), axes="YX", package=package).shape == (8, 8)


@pytest.mark.parametrize("name", ["/nowhere/README.md", "/etc/passwd"])
def test_an_absolute_path_is_told_once_in_words_of_its_own(tmp_path, capsys, name):
    edit(tiny_package(tmp_path), lambda rdf: rdf.update(documentation=name))
    said = (
        f'the name "{name}" in the package {tmp_path} leaves the package: do not use this package'
    )
    assert [finding.what for finding in check_package(tmp_path).errors] == [said]
    assert main(["inspect", str(tmp_path)]) == 1
    assert capsys.readouterr().err == f"care-bridge inspect: {said}\n"


def test_a_missing_package_is_an_error_of_its_own(tmp_path):
    with pytest.raises(PackageNotFoundError):
        check_package(tmp_path / "nothing")


def test_the_report_as_text_and_json(tmp_path):
    report = check_package(tiny_package(tmp_path, halo=8))
    lines = report.text().splitlines()
    assert len(lines) == len(report.findings) + 2
    mendable = "--fix may mend 2"
    assert lines[-1] == f"{tmp_path} fails: 4 errors, 0 warnings, 1 note; {mendable}"
    said = json.loads(report.json())
    assert (said["source"], said["passed"]) == (str(tmp_path), False)
    assert len(said["findings"]) == len(report.findings)
    assert "; ".join(f"{judge}: {words}" for judge, words in said["summary"].items()) == lines[-2]
    keys = {"severity", "what", "remedy", "rule", "consumers", "mendable"}
    assert keys == set(said["findings"][0])


def without_nickname(folder):
    edit(folder, lambda rdf: rdf["config"].pop("bioimageio"))


def in_a_newer_format(folder):
    edit(folder, lambda rdf: rdf.update(format_version="0.5.6"))


CLEAN = {
    "care_bridge": "runs",
    "bioimageio.core": "fine",
    "bioimageio.core 0.9 to 0.10": "fine",
    "deepImageJ": "fine",
    "ilastik": "cannot (torchscript)",
    "bioimage.io's upload": "1 note (maintainers)",
}


@pytest.mark.parametrize(
    ("spoil", "told"),
    {
        without_nickname: {"deepImageJ": "1 error (nickname)"},
        in_a_newer_format: {"bioimageio.core 0.9 to 0.10": "1 error (format-version)"},
        other_weights: {
            **dict.fromkeys(CLEAN, "1 error (test-tensors)"),
            "ilastik": "1 error (test-tensors), cannot (torchscript)",
            "bioimage.io's upload": "1 error (test-tensors), 1 note (maintainers)",
        },
    }.items(),
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_the_summary_says_who_has_what_against_it(tmp_path, spoil, told):
    spoil(tiny_package(tmp_path))
    assert check_package(tmp_path).summary() == CLEAN | told


@pytest.mark.parametrize(
    ("judges", "status"),
    {
        "care_bridge": 0,
        "DeepImageJ": 1,
        "ilastik,bioimageio.core": 0,
        "ilastik, deepImageJ": 1,
        "bioimage.io's upload": 0,
    }.items(),
)
def test_it_is_judged_for_those_asked_for(tmp_path, capsys, judges, status):
    without_nickname(tiny_package(tmp_path))
    assert main(["check", str(tmp_path), "--for", judges, "--json"]) == status
    said = json.loads(capsys.readouterr().out)
    assert said["passed"] == (status == 0)
    assert [judge.lower() for judge in said["summary"]] == judges.lower().replace(", ", ",").split(
        ","
    )
    rules = {finding["rule"] for finding in said["findings"]}
    assert ("nickname" in rules, "torchscript" in rules) == (status == 1, "ilastik" in judges)


def test_an_older_version_has_the_rules_of_all_versions_too(tmp_path):
    edit(tiny_package(tmp_path), lambda rdf: rdf.update(name="Denoise: 2D"))
    old = "bioimageio.core 0.9 to 0.10"
    assert check_package(tmp_path).limited([old]).summary() == {old: "2 errors (name, opens)"}


def weights_that_are_no_network(folder):
    put(folder, "weights.onnx", b"garbage")


def an_operator_without_its_inputs(folder):
    with_model(folder, lambda model: model.graph.node[0].ClearField("input"))


def an_axis_of_no_known_type(folder):
    edit(folder, lambda rdf: rdf["inputs"][0]["axes"][2].update(type="spaec"))


def a_description_of_no_text(folder):
    (folder / "rdf.yaml").write_bytes(b"\xff\xfe")


@pytest.mark.parametrize(
    "spoil",
    [
        weights_that_are_no_network,
        an_operator_without_its_inputs,
        an_axis_of_no_known_type,
        a_broken_description,
        no_description,
        a_description_of_no_text,
    ],
    ids=lambda spoil: spoil.__name__,
)
def test_what_nobody_can_open_is_fine_for_nobody(tmp_path, capsys, spoil):
    spoil(tiny_package(tmp_path))
    summary = check_package(tmp_path).summary()
    assert {judge for judge, words in summary.items() if "error" not in words} == set()
    assert main(["check", str(tmp_path), "--for", "bioimageio.core"]) == 1
    assert "bioimageio.core: fine" not in capsys.readouterr().out


def of_a_format_to_come(folder):
    edit(folder, lambda rdf: rdf.update(format_version="0.6.0"))


def with_a_loop(folder):
    with_model(folder, lambda model: model.graph.node.add(op_type="Loop"))


@pytest.mark.parametrize("spoil", [of_a_format_to_come, with_a_loop])
def test_what_care_bridge_does_not_run_is_no_fault_of_the_package(tmp_path, spoil):
    spoil(tiny_package(tmp_path))
    said = check_package(tmp_path).limited(["care_bridge", "ilastik"]).summary()
    assert said["care_bridge"] == "1 error (run-here)"
    assert "error" not in said["ilastik"]


def test_software_without_rules_is_no_judge(tmp_path, capsys):
    assert main(["check", str(tiny_package(tmp_path)), "--for", "ilastik,napari"]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert '"napari": give some of care_bridge, bioimageio.core' in said.err


PERCENTILES = {
    "0.4": {
        "name": "scale_range",
        "kwargs": {
            "mode": "per_sample",
            "axes": "cyx",
            "min_percentile": 1.0,
            "max_percentile": 99.0,
        },
    },
    "0.5": {
        "id": "scale_range",
        "kwargs": {
            "axes": ["channel", "y", "x"],
            "min_percentile": 1.0,
            "max_percentile": 99.0,
        },
    },
}


@pytest.mark.parametrize("version", PERCENTILES)
def test_what_is_not_looked_at_is_not_said_to_hold(tmp_path, version, caplog):
    case = Foreign(before=(PERCENTILES[version],))
    with caplog.at_level("INFO"):
        report = check_package(foreign_package(tmp_path, case, version))
    said = {finding.rule for finding in report.findings if finding.severity == "note"}
    assert "percentiles-not-compared" in said
    assert ("not-applied" in said) == (version == "0.4")
    assert not (version == "0.4" and "rules hold" in report.text())
    assert "the samples hold" not in report.text()
    assert "device:" not in caplog.text
    assert any("tiles differ from the whole" in finding.what for finding in report.findings)


def test_a_damaged_sample_is_named_as_in_the_package(tmp_path):
    folder = tiny_package(tmp_path / "model")
    put(folder, "sample_input.tif", b"no image")
    edit(folder, lambda rdf: rdf["inputs"][0].update(sample_tensor={"source": "sample_input.tif"}))
    (told,) = [each for each in check_package(folder).findings if each.rule == "same-samples"]
    assert "sample_input.tif" in told.what
    assert tempfile.gettempdir() not in told.what


def test_a_compressed_sample_is_not_compared(tmp_path):
    """Its strip would unpack to a gigabyte, whatever its image says."""
    folder = tiny_package(tmp_path / "model")
    put(folder, "sample_input.tif", tiff(48, deflated(1 << 28)))
    said = {each.rule: each.severity for each in check_package(folder).findings}
    assert said.get("samples-not-compared") == "note"
    assert "same-samples" not in said


def test_a_sample_that_lies_elsewhere_is_not_compared(tmp_path):
    """Nothing fetches it."""
    elsewhere = {"source": "https://example.org/sample.tif", "sha256": "0" * 64}
    edit(tiny_package(tmp_path), lambda rdf: rdf["outputs"][0].update(sample_tensor=elsewhere))
    report = check_package(tmp_path)
    assert report.errors == ()
    (told,) = [each for each in report.findings if each.rule == "samples-not-compared"]
    assert (told.severity, told.mendable) == ("note", False)
    assert "https://example.org/sample.tif" in told.what
    assert "the samples hold" not in report.text()


@pytest.mark.parametrize("shape", [(48, 48), (1, 1, 48, 44), (2, 1, 48, 48)], ids=str)
def test_a_sample_of_another_shape_is_told(tmp_path, shape):
    folder = tiny_package(tmp_path / "model")
    (folder / "sample.npy").write_bytes(npy(np.ones(shape, np.float32)))
    edit(folder, lambda rdf: rdf["inputs"][0].update(sample_tensor={"source": "sample.npy"}))
    (told,) = [each for each in check_package(folder).findings if each.rule == "same-samples"]
    assert told.severity == "error"


def test_a_description_of_no_format_opens_for_nobody(tmp_path):
    (tmp_path / "rdf.yaml").write_text("type: model\nformat_version: [1]\n")
    said = check_package(tmp_path).limited(["ilastik"])
    assert [each.rule for each in said.errors] == ["opens"]


def test_what_is_refused_passes_for_nobody(tmp_path):
    edit(tiny_package(tmp_path), lambda rdf: rdf["weights"]["onnx"].update(source="../w.onnx"))
    said = check_package(tmp_path).limited(["ilastik"])
    assert "refused" in {each.rule for each in said.errors}
    assert said.summary() == {"ilastik": "not looked at"}


def test_what_an_alias_is_to_others_is_not_said(tmp_path):
    """bioimageio.core reads it, and so would its library's own test."""
    rdf = tiny_package(tmp_path) / "rdf.yaml"
    text = rdf.read_text("utf-8").replace("authors:\n", "packaged_by: &people\n")
    rdf.write_text(f"{text}authors: *people\n", "utf-8")
    assert yaml.safe_load(rdf.read_text("utf-8"))["authors"]
    summary = check_package(tmp_path).summary()
    assert summary.pop("care_bridge") == "1 error (refused)"
    assert set(summary.values()) == {"not looked at"}


def changed_weights(folder):
    (folder / "weights.onnx").write_bytes(b"other")


def no_test_input(folder):
    (folder / "test_input.npy").unlink()


@pytest.mark.parametrize(("spoil", "rule"), [(changed_weights, "hashes"), (no_test_input, "opens")])
def test_a_file_that_is_wrong_is_told_once(tmp_path, spoil, rule):
    spoil(tiny_package(tmp_path))
    said = check_package(tmp_path)
    assert len({each.what for each in said.errors}) == len(said.errors) == 1
    assert all(words.startswith(f"1 error ({rule})") for words in said.summary().values())
