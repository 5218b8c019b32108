"""The rules of other consumers: each is broken, caught, and mended where it can be."""

import json
import os
import pickle
import shutil
import zipfile
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml

from care_bridge import check_package
from care_bridge.cli.main import main
from care_bridge.errors import ExportError, PackageIntegrityError
from care_bridge.export.about import About
from care_bridge.export.builder import export_checkpoint
from care_bridge.package.archive import open_archive
from care_bridge.package.consumers import RULES, Draft
from care_bridge.runtime.check import MENDED_BY_RUNNING, check_draft
from care_bridge.runtime.mending import mend_package
from tests.broken_packages import edit, put, with_model, with_test_input
from tests.checkpoints import untrained
from tests.packages import npy


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    checkpoint = untrained()
    wide = np.tile(checkpoint.example.source, (1, 2, 2))
    checkpoint = replace(checkpoint, example=replace(checkpoint.example, source=wide))
    out = tmp_path_factory.mktemp("export") / "model"
    about = About("Exported model", "For a test", authors=("Ada",), license="CC0-1.0")
    assert export_checkpoint(checkpoint, out, about).is_clean
    return out


@pytest.fixture
def package(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "model")


def edited(change):
    return lambda folder: edit(folder, change)


def without(key):
    return edited(lambda rdf: rdf.pop(key))


def input_axis(index, **values):
    return edited(lambda rdf: rdf["inputs"][0]["axes"][index].update(values))


def output_axis(index, **values):
    return edited(lambda rdf: rdf["outputs"][0]["axes"][index].update(values))


def preprocessing(change):
    return edited(lambda rdf: change(rdf["inputs"][0]["preprocessing"]))


def scale_range(**values):
    return preprocessing(lambda steps: steps[1]["kwargs"].update(values))


def zoo_file_name(folder):
    (folder / "rdf.yaml").rename(folder / "bioimageio.yaml")


def no_cover(folder):
    edit(folder, lambda rdf: rdf.pop("covers"))
    for name in ("cover.png", "validation.png"):
        (folder / name).unlink()


def no_sample(folder):
    edit(folder, lambda rdf: rdf["inputs"][0].pop("sample_tensor"))
    (folder / "sample_input.tif").unlink()


def no_validation(folder):
    (folder / "README.md").write_text("# A model\n")


def unnamed_space(folder):
    def change(rdf):
        for side in ("inputs", "outputs"):
            del rdf[side][0]["axes"][3]["id"]

    edit(folder, change)


def integers(folder):
    edit(folder, lambda rdf: rdf["inputs"][0]["data"].update(type="uint16"))
    values = np.load(folder / "test_input.npy")
    put(folder, "test_input.npy", npy(values.astype(np.uint16)))


def batch_of_one(folder):
    def change(model):
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1

    with_model(folder, change)


def newer_opset(folder):
    def change(model):
        model.opset_import[0].version = 19

    with_model(folder, change)
    edit(folder, lambda rdf: rdf["weights"]["onnx"].update(opset_version=19))


def newer_ir(folder):
    with_model(folder, lambda model: setattr(model, "ir_version", 10))


def two_files(folder):
    def change(model):
        tensor = model.graph.initializer[0]
        (folder / "weights.onnx.data").write_bytes(b"before" + tensor.raw_data)
        length = str(len(tensor.raw_data))
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entries = {"location": "weights.onnx.data", "offset": "6", "length": length}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    with_model(folder, change)
    edit(
        folder,
        lambda rdf: rdf["weights"]["onnx"].update(external_data={"source": "weights.onnx.data"}),
    )


def other_sample(folder):
    shutil.copy(folder / "sample_output.tif", folder / "other.tif")
    put(folder, "sample_input.tif", (folder / "other.tif").read_bytes())
    (folder / "other.tif").unlink()


def percentiles_that_disagree(folder):
    noise = np.random.default_rng(0).gamma(1, 100, (1, 1, 52, 52)).astype(np.float32)
    with_test_input(folder, noise)


def second_input(folder):
    edit(folder, lambda rdf: rdf["inputs"].append({**deepcopy(rdf["inputs"][0]), "id": "other"}))


def postprocessing(*steps):
    return edited(lambda rdf: rdf["outputs"][0].update(postprocessing=list(steps)))


def with_weights(kind, entry, data, *, alone=False):
    """Adds weights, or puts them in the place of all others."""

    def spoil(folder):
        (folder / entry["source"]).write_bytes(data)
        edit(folder, lambda rdf: rdf.update(weights=weights(rdf["weights"])))

    def weights(others):
        return {kind: entry} if alone else {**others, kind: {**entry, "parent": "onnx"}}

    return spoil


def with_network(source, **architecture):
    def spoil(folder):
        (folder / "network.py").write_text(source)
        entry = {
            "source": "weights.pt",
            "pytorch_version": "2.5",
            "architecture": {"source": "network.py", "callable": "Net", **architecture},
        }
        with_weights("pytorch_state_dict", entry, b"weights")(folder)

    return spoil


TORCHSCRIPT = {"source": "weights_torchscript.pt", "pytorch_version": "2.5"}
OWN_RANGE = {
    "id": "scale_range",
    "kwargs": {"axes": ["y", "x"], "min_percentile": 1.0, "max_percentile": 99.0},
}
OF_THE_INPUT = {"id": "scale_range", "kwargs": {**OWN_RANGE["kwargs"], "reference_tensor": "input"}}
FLOAT64 = {"id": "ensure_dtype", "kwargs": {"dtype": "float64"}}
BINARIZE = {"id": "binarize", "kwargs": {"threshold": 0.5}}


def no_architecture(folder):
    (folder / "weights.pt").write_bytes(b"weights")
    weights = {"source": "weights.pt", "pytorch_version": "2.5"}
    edit(folder, lambda rdf: rdf["weights"].update(pytorch_state_dict=weights))


MENDABLE = {
    "rdf-name": zoo_file_name,
    "format-version": edited(lambda rdf: rdf.update(format_version="0.5.6")),
    "file-maps": edited(lambda rdf: rdf.update(documentation={"source": "README.md"})),
    "empty-keys": edited(lambda rdf: rdf.update(git_repo=None)),
    "hashes-given": edited(lambda rdf: rdf["weights"]["onnx"].pop("sha256")),
    "name": edited(lambda rdf: rdf.update(name="Denoise: 2D/3D (naïve)")),
    "nickname": edited(lambda rdf: rdf["config"].pop("bioimageio")),
    "deepimagej-tiling": edited(lambda rdf: rdf["config"].update(deepimagej={"pyramid": False})),
    "cover": no_cover,
    "timestamp": without("timestamp"),
    "documentation": no_validation,
    "space-ids": unnamed_space,
    "channel-names": edited(lambda rdf: rdf["inputs"][0]["axes"][1].pop("channel_names")),
    "channel-words": input_axis(1, channel_names=["488 nm (GFP)"]),
    "size-min-step": input_axis(2, size={"min": 54, "step": 4}),
    "size-min-halo": input_axis(2, size={"min": 4, "step": 4}),
    "concatenable": input_axis(2, concatenable=False),
    "batch-size": batch_of_one,
    "output-size": output_axis(2, size=96),
    "float32": integers,
    "sample-tensors": no_sample,
    "same-samples": other_sample,
    "ensure-dtype": preprocessing(lambda steps: steps.pop(0)),
    "network-type": preprocessing(lambda steps: steps.append(FLOAT64)),
    "statistics-axes": preprocessing(lambda steps: steps[1]["kwargs"].pop("axes")),
    "statistics-batch": scale_range(axes=["batch", "y", "x"]),
    "numbers-as-text": scale_range(eps="1e-06"),
    "percentiles": percentiles_that_disagree,
    "halo": output_axis(2, halo=4),
    "onnx-ir": newer_ir,
    "onnx-one-file": two_files,
    "onnx-opset-told": edited(lambda rdf: rdf["weights"]["onnx"].update(opset_version=16)),
    "weights-parents": edited(lambda rdf: rdf["weights"]["onnx"].update(parent="torchscript")),
}

FOR_PEOPLE = {
    "license-id": edited(lambda rdf: rdf.update(license="my own")),
    "description": without("description"),
    "authors": without("authors"),
    "cite": without("cite"),
    "license": without("license"),
    "tags": without("tags"),
    "github-user": edited(lambda rdf: rdf.update(authors=[{"name": "A", "github_user": "a"}])),
    "batch-and-channel": edited(lambda rdf: rdf["outputs"][0]["axes"].pop(0)),
    "one-input": second_input,
    "scale-mean-variance": edited(
        lambda rdf: rdf["outputs"][0].update(
            postprocessing=[{"id": "scale_mean_variance", "kwargs": {"reference_tensor": "input"}}]
        )
    ),
    "output-statistics": postprocessing(OWN_RANGE),
    "reference-tensor": postprocessing(OF_THE_INPUT),
    "onnx-opset": newer_opset,
    "architecture": no_architecture,
    "engine": with_weights(
        "keras_hdf5", {"source": "weights.h5", "tensorflow_version": "2.12"}, b"", alone=True
    ),
    "torchscript-file": with_weights("torchscript", TORCHSCRIPT, pickle.dumps({"weights": 1})),
    "weights-not-run": no_architecture,
}

OF_EVERY_EXPORT = {"maintainers", "torchscript"}
"""Notes on what the exported package has not."""


def rules_broken(report):
    return {finding.rule for finding in report.findings if finding.rule} - OF_EVERY_EXPORT


def test_every_rule_is_here():
    known = {rule.id for rule in RULES} | set(MENDED_BY_RUNNING)
    assert known == MENDABLE.keys() | FOR_PEOPLE.keys() | OF_EVERY_EXPORT


def test_notes_of_every_export(package):
    report = check_package(package)
    assert {finding.rule for finding in report.findings if finding.rule} == OF_EVERY_EXPORT


@pytest.mark.parametrize("rule", [*MENDABLE, *FOR_PEOPLE])
def test_a_broken_rule_is_caught(package, rule):
    (MENDABLE | FOR_PEOPLE)[rule](package)
    told_by_files = any(each.id == rule for each in RULES)
    findings = (
        check_draft(Draft.of(open_archive(package)))
        if told_by_files
        else check_package(package).findings
    )
    (first, *_) = [finding for finding in findings if finding.rule == rule]
    assert first.remedy
    assert first.mendable == (rule in MENDABLE)
    assert first.consumers


NEEDS_TWO = """
class Net:
    def __init__(self, first, *, second, third=3): ...
"""
ZERO_MEAN = {"id": "zero_mean_unit_variance", "kwargs": {}}
CLIPPED = {"id": "clip", "kwargs": {"axes": ["y", "x"], "max_percentile": 99.0}}
IN_OTHER_WAYS = {
    "statistics-axes: zero mean": preprocessing(lambda steps: steps.append(ZERO_MEAN)),
    "statistics-batch: zero mean": preprocessing(
        lambda steps: steps.append({**ZERO_MEAN, "kwargs": {"axes": ["batch", "y", "x"]}})
    ),
    "network-type: binarize": preprocessing(lambda steps: steps.append(BINARIZE)),
    "output-statistics: zero mean": postprocessing({**ZERO_MEAN, "kwargs": {"axes": ["y", "x"]}}),
    "output-statistics: clip": postprocessing(CLIPPED),
    "architecture: no kwargs": with_network(NEEDS_TWO),
    "architecture: one of two": with_network(NEEDS_TWO, kwargs={"first": 1}),
    "architecture: no Python": with_network("class Net:\n    first second"),
    "architecture: too deep": with_network("x = " + "-" * 100_000 + "1"),
    "torchscript-file: weights alone": with_weights(
        "torchscript", TORCHSCRIPT, b"PK\x03\x04 archive/constants.pkl archive/data.pkl"
    ),
}
KEPT_IN_OTHER_WAYS = {
    "network-type: mended": preprocessing(
        lambda steps: steps.extend([BINARIZE, {**FLOAT64, "kwargs": {"dtype": "float32"}}])
    ),
    "output-statistics: a number": postprocessing({"id": "clip", "kwargs": {"min": 0.0}}),
    "architecture: both": with_network(NEEDS_TWO, kwargs={"first": 1, "second": 2}),
    "architecture: none asked for": with_network("def Net(first=1, *more, **others): ..."),
    "architecture: inherited": with_network("import torch\nclass Net(torch.nn.Module): ..."),
}


@pytest.mark.parametrize("case", [*IN_OTHER_WAYS, *KEPT_IN_OTHER_WAYS])
def test_a_rule_is_broken_in_other_ways(package, case):
    (IN_OTHER_WAYS | KEPT_IN_OTHER_WAYS)[case](package)
    rule = case.split(":")[0]
    found = [each for each in check_draft(Draft.of(open_archive(package))) if each.rule == rule]
    assert bool(found) == (case in IN_OTHER_WAYS)


@pytest.mark.parametrize("rule", MENDABLE)
def test_what_is_mended_is_clean(package, rule):
    MENDABLE[rule](package)
    mended = mend_package(package)
    assert any(change.startswith(f"{rule}: ") for change in mended.changes), mended.changes
    assert mended.report.is_clean
    # A note, where a step besides scaling is there.
    assert rules_broken(mended.report) <= {"percentiles-not-compared"}


@pytest.mark.parametrize("rule", FOR_PEOPLE)
def test_what_people_must_mend_stays_said(package, rule):
    FOR_PEOPLE[rule](package)
    mended = mend_package(package)
    assert rule in rules_broken(mended.report)
    assert not any(change.startswith(f"{rule}: ") for change in mended.changes)


def listing(folder):
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_mending_changes_nothing_but_what_it_says(package):
    """Of a package with one breach all other keys stay, and files are those of before."""
    before = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    files = listing(package)
    edit(package, lambda rdf: rdf["config"].pop("bioimageio"))
    mend_package(package)
    after = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert after["config"].pop("bioimageio") == {"nickname": "exported-model"}
    before["config"].pop("bioimageio")
    assert after == before
    assert {**listing(package), "rdf.yaml": b""} == {**files, "rdf.yaml": b""}


def test_a_good_package_is_left_alone(package):
    before = listing(package)
    assert mend_package(package).changes == ()
    assert listing(package) == before


def test_mended_into_another_package(package, tmp_path, capsys):
    MENDABLE["nickname"](package)
    before = listing(package)
    out = tmp_path / "mended.zip"
    assert main(["check", str(package), "--fix", "--out", str(out), "--json"]) == 0
    said = json.loads(capsys.readouterr().out)
    assert (said["passed"], said["source"], len(said["changes"])) == (True, str(out), 1)
    assert listing(package) == before
    assert check_package(out).is_clean


def test_the_command_line_says_what_was_changed(package, capsys):
    MENDABLE["nickname"](package)
    assert main(["check", str(package)]) == 1
    assert "--fix may mend 1" in capsys.readouterr().out
    assert main(["check", str(package), "--fix"]) == 0
    assert "mended  nickname: config.bioimageio.nickname is missing" in capsys.readouterr().out


def test_a_file_that_was_changed_is_not_mended(package):
    """Another hash would hide that it is not the file that the package was made with."""
    (package / "test_input.npy").write_bytes(npy(np.zeros((1, 1, 52, 52), np.float32)))
    before = listing(package)
    with pytest.raises(PackageIntegrityError, match="is not the file"):
        mend_package(package)
    assert listing(package) == before


OTHERS = {"thesis.docx": b"years of work", "more/a.csv": b"1,2", "LICENSE": b"CC0"}


def with_others(folder, others):
    for name, data in others.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(data)


def files_below(folder):
    files = (file for file in folder.rglob("*") if file.is_file())
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in files}


@pytest.mark.parametrize("place", ["folder", "zip", "another-zip"])
def test_what_the_description_does_not_name_is_not_lost(package, tmp_path, place):
    MENDABLE["nickname"](package)
    with_others(package, OTHERS)
    before = files_below(package)
    source, out = package, None
    if place != "folder":
        source = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", package))
    if place == "another-zip":
        out = tmp_path / "mended.zip"
    assert mend_package(source, out).changes
    result = out or source
    if result.is_dir():
        after = files_below(result)
    else:
        with zipfile.ZipFile(result) as opened:
            after = {name: opened.read(name) for name in opened.namelist()}
    assert {**after, "rdf.yaml": b""} == {**before, "rdf.yaml": b""}
    assert after["rdf.yaml"] != before["rdf.yaml"]


def test_files_to_write_replace_none_that_is_not_named(package):
    """The cover, the samples and the model card are made, or taken from the file of that name."""
    edit(package, lambda rdf: (rdf.pop("covers"), rdf.pop("documentation")))
    edit(package, lambda rdf: rdf["inputs"][0].pop("sample_tensor"))
    (package / "cover.png").unlink()
    with_others(package, {"README.md": b"# By hand", "COVER.png": b"by hand"})
    sample = (package / "sample_input.tif").read_bytes()
    assert mend_package(package).report.is_clean
    assert (package / "COVER.png").read_bytes() == b"by hand"
    assert (package / "sample_input.tif").read_bytes() == sample
    assert (package / "README.md").read_text("utf-8").startswith("# By hand\n")
    named = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert named["covers"] == ["cover_2.png"]
    assert named["inputs"][0]["sample_tensor"]["source"] == "sample_input_2.tif"


def linked(folder):
    (folder / "link").symlink_to(folder / "cover.png")


def named_as_on_one_system(folder):
    (folder / "a:b.txt").write_text("")


def too_many(folder):
    for index in range(30):
        (folder / f"{index}.txt").touch()


@pytest.mark.skipif(os.name == "nt", reason="such names and links cannot be made")
@pytest.mark.parametrize("others", [linked, named_as_on_one_system, too_many])
def test_a_package_whose_other_files_cannot_be_carried_is_left_alone(package, others, monkeypatch):
    monkeypatch.setattr("care_bridge.package.archive.MOST_FILES", 30)
    MENDABLE["nickname"](package)
    others(package)
    before = listing(package)
    with pytest.raises(PackageIntegrityError):
        mend_package(package)
    assert listing(package) == before
    assert not list(package.parent.glob(".*"))


def fixed_batch_of_4(folder):
    def fix(model):
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 4

    with_model(folder, fix)


NOT_TO_BE_MENDED = {
    "name": edited(lambda rdf: rdf.update(name="細胞モデルです")),
    "name-short": edited(lambda rdf: rdf.update(name="abc")),
    "size-min-step": input_axis(2, size={"min": 18, "step": 7}),
    "batch-size": fixed_batch_of_4,
    "onnx-ir": lambda folder: (newer_opset(folder), newer_ir(folder)),
}


@pytest.mark.parametrize("case", NOT_TO_BE_MENDED)
def test_what_cannot_be_mended_is_neither_promised_nor_changed(package, case):
    NOT_TO_BE_MENDED[case](package)
    rule = case.removesuffix("-short")
    draft = Draft.of(open_archive(package))
    found = [finding for finding in check_draft(draft) if finding.rule == rule]
    assert [finding.mendable for finding in found] == [False]
    before = listing(package)
    assert not [each for each in mend_package(package).changes if each.startswith(f"{rule}: ")]
    if rule == "name":
        assert listing(package) == before


def test_what_people_wrote_is_kept_as_it_is(package):
    """Letters of any encoding in the card, and what other tools keep in config."""
    card = "# Gewebe\n\nf\u00fcr Zellen".encode("latin-1")
    (package / "README.md").write_bytes(card)

    def change(rdf):
        rdf.update(documentation="README.md", cite=[{**rdf["cite"][0], "url": None}])
        rdf["config"]["other_tool"] = {"value": None}

    edit(package, change)
    mended = mend_package(package)
    assert {change.split(":")[0] for change in mended.changes} == {"documentation", "empty-keys"}
    assert (package / "README.md").read_bytes().startswith(card + b"\n\n# Validation\n")
    after = yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))
    assert after["config"]["other_tool"] == {"value": None}
    assert "url" not in after["cite"][0]


@pytest.mark.skipif(os.name == "nt", reason="files have no modes there")
def test_modes_are_kept(package, tmp_path):
    MENDABLE["nickname"](package)
    zipped = Path(shutil.make_archive(str(tmp_path / "zipped"), "zip", package))
    zipped.chmod(0o664)
    (package / "rdf.yaml").chmod(0o664)
    package.chmod(0o775)
    for source in (zipped, package):
        assert mend_package(source).changes
    modes = [each.stat().st_mode & 0o777 for each in (zipped, package, package / "rdf.yaml")]
    assert modes == [0o664, 0o775, 0o664]


def test_bundled_models_are_not_written(tmp_path):
    with pytest.raises(ExportError, match="came with care_bridge"):
        mend_package("denoise-2d")
