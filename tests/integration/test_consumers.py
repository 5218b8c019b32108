"""The rules of other consumers: each is broken, caught, and mended where it can be."""

import hashlib
import json
import os
import shutil
import tracemalloc
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from care_bridge import check_package
from care_bridge.cli.main import main
from care_bridge.errors import ExportError, PackageIntegrityError
from care_bridge.export.about import About
from care_bridge.export.builder import export_checkpoint
from care_bridge.package.archive import open_archive
from care_bridge.package.consumers import RULES, Draft
from care_bridge.runtime.check import check_draft
from care_bridge.runtime.mending import mend_package
from care_bridge.runtime.mends import MENDS
from tests.broken_packages import edit, with_model
from tests.checkpoints import untrained
from tests.packages import is_clean, npy
from tests.rule_breaches import (
    FOR_PEOPLE,
    IN_OTHER_WAYS,
    KEPT_IN_OTHER_WAYS,
    MENDABLE,
    edited,
    input_axis,
    newer_ir,
    newer_opset,
)


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    checkpoint = untrained()
    wide = np.tile(checkpoint.example.source, (1, 2, 2))
    checkpoint = replace(checkpoint, example=replace(checkpoint.example, source=wide))
    out = tmp_path_factory.mktemp("export") / "model"
    about = About("Exported model", "For a test", authors=("Ada",), license="CC0-1.0")
    assert is_clean(export_checkpoint(checkpoint, out, about))
    return out


@pytest.fixture
def package(exported, tmp_path):
    return shutil.copytree(exported, tmp_path / "model")


OF_EVERY_EXPORT = {"maintainers", "torchscript"}
"""Notes on what the exported package has not."""


def rules_broken(report):
    return {finding.rule for finding in report.findings if finding.rule} - OF_EVERY_EXPORT


def test_every_rule_is_here():
    known = {rule.id for rule in RULES} | set(MENDS)
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


@pytest.mark.parametrize("case", [*IN_OTHER_WAYS, *KEPT_IN_OTHER_WAYS])
def test_a_rule_is_broken_in_other_ways(package, case):
    (IN_OTHER_WAYS | KEPT_IN_OTHER_WAYS)[case](package)
    rule = case.split(":")[0]
    found = [each for each in check_draft(Draft.of(open_archive(package))) if each.rule == rule]
    assert bool(found) == (case in IN_OTHER_WAYS)


def test_an_opset_told_wrong_stops_no_engine(package):
    """They read the file's own: all versions of bioimageio.core pass such a package."""
    edit(package, lambda rdf: rdf["weights"]["onnx"].update(opset_version=99))
    report = check_package(package)
    assert report.errors == ()
    (found,) = [each for each in report.findings if each.rule == "onnx-opset-told"]
    assert "bioimageio.core" not in found.consumers


@pytest.mark.parametrize("rule", MENDABLE)
def test_what_is_mended_is_clean(package, rule):
    MENDABLE[rule](package)
    mended = mend_package(package)
    assert any(change.startswith(f"{rule}: ") for change in mended.changes), mended.changes
    assert is_clean(mended.report)
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


def test_the_files_of_a_draft_are_told_without_writing_its_description(package, monkeypatch):
    draft = Draft.of(open_archive(package))
    monkeypatch.delattr(Draft, "text")
    edited = draft.copy()
    edited.content.pop("covers")
    assert draft.files.keys() - edited.files.keys() == {"cover.png", "validation.png"}


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
    assert is_clean(check_package(out))


def test_what_is_there_is_not_mended_over(package, capsys):
    """The line says what can be done: there is no option to replace another package."""
    MENDABLE["nickname"](package)
    before = listing(package)
    assert main(["check", str(package), "--fix", "--out", str(package)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.endswith(
        "exists already: give another name, or none to mend the package in its place"
    )
    assert listing(package) == before


def test_of_covers_those_that_are_no_pictures_are_replaced(package):
    (package / "validation.png").write_bytes(b"no image")
    edit(package, lambda rdf: rdf.update(covers=["validation.png", "cover.png"]))
    good = (package / "cover.png").read_bytes()
    assert [each.what for each in check_package(package).findings if each.rule == "cover"] == [
        'the cover "validation.png" is no picture, whatever its name says'
    ]
    assert is_clean(mend_package(package).report)
    assert yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))["covers"] == ["cover.png"]
    assert (package / "cover.png").read_bytes() == good


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


def test_large_files_are_not_held_in_memory(package):
    size = 1 << 27
    with (package / "training.zip").open("wb") as opened:
        opened.truncate(size)
    with (package / "training.zip").open("rb") as opened:
        sha256 = hashlib.file_digest(opened, "sha256").hexdigest()
    attached = {"source": "training.zip", "sha256": sha256}
    edit(package, lambda rdf: (rdf.update(attachments=[attached]), rdf["config"].pop("bioimageio")))
    tracemalloc.start()
    assert mend_package(package).changes
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < size / 2
    assert (package / "training.zip").stat().st_size == size


def no_model(rdf):
    rdf.pop("inputs")
    rdf.update(name=5, timestamp=None)


def no_license(rdf):
    rdf.update(license="my own", timestamp=None)


@pytest.mark.parametrize("out", [None, "mended"])
@pytest.mark.parametrize("change", [no_model, no_license])
def test_what_nobody_could_open_all_the_same_is_not_written(package, change, out, capsys):
    edit(package, change)
    before = listing(package)
    given = ["--out", str(package.with_name(out))] if out else []
    assert main(["check", str(package), "--fix", *given]) == 1
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert "its description is not valid" in said.err
    assert "nothing is written" in said.err
    assert listing(package) == before
    assert list(package.parent.iterdir()) == [package]


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
    assert is_clean(mend_package(package).report)
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
