"""`evaluate` on the folders that `restore` writes: which file belongs to which truth."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from care_bridge.cli.main import main
from care_bridge.images import open_image
from tests.evaluated_pairs import as_json, evaluate
from tests.packages import tiny_package
from tests.training_pairs import blobs, write_image

NAMES = ("b1.tif", "b2.tif")
NORMALISED = ("--range", "0-1", "--dtype", "float32")


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """truth/ and input/ with two images of two channels, and the package of an ensemble."""
    root, rng = tmp_path_factory.mktemp("folders"), np.random.default_rng(8)
    for name in NAMES:
        truth = blobs((2, 40, 48), rng)
        write_image(root / "truth" / name, truth, "CYX")
        write_image(root / "input" / name, rng.poisson(truth / 9).astype(np.uint16), "CYX")
    tiny_package(root / "package", channels=2, members=2)
    return root


def restore(root: Path, out: Path, *words: object) -> Path:
    given = ["restore", root / "input", "--model", root / "package", "--out", out, *words]
    assert main([*map(str, given), "--device", "cpu"]) == 0
    return out


@pytest.fixture(scope="module")
def members(root: Path) -> Path:
    return restore(root, root / "members", *NORMALISED, "--uncertainty", "members")


def errors(told: dict) -> list[float]:
    return [image["reliability"]["error"] for image in told["images"]]


def test_members_belong_to_the_truth_that_they_are_named_after(
    root: Path, members: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The folder is judged as its files are, one after the other."""
    words = ("--truth", root / "truth")
    folder = as_json(capsys, *words, "--members", members)
    each = [
        as_json(
            capsys, "--truth", root / "truth" / f"{stem}.tif",
            "--members", members / f"{stem}_members.tif",
        )
        for stem in ("b1", "b2")
    ]  # fmt: skip
    assert [image["image"] for image in folder["images"]] == list(NAMES)
    assert errors(folder) == [error for one in each for error in errors(one)]
    both = as_json(capsys, *words, "--members", members, "--restored", members)
    assert errors(both) == errors(folder)
    assert [mean["method"] for mean in both["means"]] == ["restored"]


def test_members_in_a_folder_of_their_own_belong_to_it_too(
    root: Path, members: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    expected = errors(as_json(capsys, "--truth", root / "truth", "--members", members))
    for folder, suffix in (("alone", "_members"), ("renamed", "")):
        (tmp_path / folder).mkdir()
        for stem in ("b1", "b2"):
            target = tmp_path / folder / f"{stem}{suffix}.tif"
            shutil.copy(members / f"{stem}_members.tif", target)
        told = as_json(capsys, "--truth", root / "truth", "--members", tmp_path / folder)
        assert errors(told) == expected


@pytest.mark.parametrize("kind", ["scale", "interval", "samples", "disagreement", "members"])
def test_what_tells_the_uncertainty_is_no_restored_image(
    kind: str, root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    plain = restore(root, tmp_path / "plain")
    told = restore(root, tmp_path / "told", "--uncertainty", kind)
    assert len(list(told.glob("*.tif"))) == 4
    capsys.readouterr()
    for words in (("--truth", root / "truth"), ("--input", root / "input")):
        expected = as_json(capsys, *words, "--restored", plain)
        assert as_json(capsys, *words, "--restored", told) == expected


def test_images_that_are_named_as_uncertainties_are_compared(
    root: Path, members: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A truth b1_scale.tif beside b1.tif: its partner is no uncertainty."""
    for role in ("truth", "input"):
        for name, copied in zip(NAMES, ("b1.tif", "b1_scale.tif"), strict=True):
            (tmp_path / role).mkdir(exist_ok=True)
            shutil.copy(root / role / name, tmp_path / role / copied)
    words = ("--truth", tmp_path / "truth", "--restored")
    told = as_json(capsys, *words, tmp_path / "input")
    assert [image["image"] for image in told["images"]] == ["b1.tif", "b1_scale.tif"]
    for folder, source in (("t", root / "truth" / "b1.tif"), ("m", members / "b1_members.tif")):
        (tmp_path / folder).mkdir()
        shutil.copy(source, tmp_path / folder / "b1_members.tif")
    judged = as_json(capsys, "--truth", tmp_path / "t", "--members", tmp_path / "m")
    assert [image["image"] for image in judged["images"]] == ["b1_members.tif"]
    (tmp_path / "input" / "b1_scale.tif").unlink()
    assert evaluate(*words, tmp_path / "input") == 1
    assert "b1_scale.tif has no partner: expected" in capsys.readouterr().err


def test_results_in_another_format_belong_to_their_truth(
    root: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = restore(root, tmp_path / "ome", *NORMALISED, "--uncertainty", "members",
                    "--format", "ome")  # fmt: skip
    assert (other / "b1_members.ome.tif").exists()
    same = restore(root, tmp_path / "tif", *NORMALISED, "--uncertainty", "members")
    capsys.readouterr()
    words = ("--truth", root / "truth", "--input", root / "input")
    told = [
        as_json(capsys, *words, "--restored", folder, "--members", folder)
        for folder in (other, same)
    ]
    assert told[0] == told[1]
    shutil.copy(same / "b1.tif", other / "b1.tif")
    assert evaluate(*words, "--restored", other) == 1
    assert "b1.ome.tif and b1.tif" in capsys.readouterr().err


def test_missing_members_are_named_as_they_would_be(
    root: Path, members: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Also where the restored image is there; another uncertainty is not taken for members."""
    shutil.copytree(members, tmp_path / "some")
    (tmp_path / "some" / "b2_members.tif").unlink()
    assert evaluate("--truth", root / "truth", "--members", tmp_path / "some") == 1
    expected = tmp_path / "some" / "b2_members.tif"
    assert f"b2.tif has no partner: expected {expected}" in capsys.readouterr().err
    other = restore(root, tmp_path / "interval", "--uncertainty", "interval")
    capsys.readouterr()
    assert evaluate("--truth", root / "truth", "--members", other) == 1
    said = capsys.readouterr().err
    assert "b1_interval.tif" in said
    assert "--uncertainty members" in said


def test_members_of_no_truth_are_told(
    root: Path, members: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root / "truth", tmp_path / "truth")
    (tmp_path / "truth" / "b2.tif").unlink()
    assert evaluate("--truth", tmp_path / "truth", "--members", members, "--json") == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert f"{members / 'b2_members.tif'} has no partner" in said.err
    assert str(tmp_path / "truth" / "b2.tif") in said.err


def test_a_region_of_channels_judges_their_members(
    root: Path, members: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """As files that hold the second channel, and the two members of it, alone."""
    truth, predicted = root / "truth" / "b1.tif", members / "b1_members.tif"
    write_image(tmp_path / "t.tif", open_image(truth).pixels[1])
    write_image(tmp_path / "m.tif", open_image(predicted).pixels[4:], "CYX")
    alone = as_json(capsys, "--truth", tmp_path / "t.tif", "--members", tmp_path / "m.tif")
    words = ("--truth", truth, "--roi", "C=1:2")
    assert errors(as_json(capsys, *words, "--members", predicted)) == errors(alone)
    by_model = as_json(
        capsys, *words, "--input", root / "input" / "b1.tif", "--model", root / "package"
    )
    assert errors(by_model) == pytest.approx(errors(alone), abs=1e-6)
