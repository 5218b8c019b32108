"""The tags of a package: of what it does, of its images, of what runs it."""

import dataclasses

import pytest
from bioimageio.spec._internal.constants import TAG_CATEGORIES

from care_bridge import load_package
from care_bridge.export.about import About
from care_bridge.export.builder import WEIGHTS
from care_bridge.export.tags import tags_of
from care_bridge.package.procedure import Procedure
from care_bridge.training.config import parse_config
from tests.checkpoints import untrained
from tests.packages import tiny_package

RUNS = {
    "2D": {},
    "3D": {},
    "preset": {"preset": "denoise"},
    "n2n": {"task": "n2n"},
    "n2v": {"task": "n2v"},
    "n2v2": {"task": "n2v2"},
    "structn2v": {"task": "structn2v"},
    "ensemble": {"probabilistic": True, "members": 2},
    "probabilistic": {"probabilistic": True},
    "isotropic": {"task": "isotropic"},
    "upsampling": {"task": "upsampling"},
    "projection": {"task": "projection"},
    "rcan": {"task": "rcan"},
}
AROUND = {
    "isotropic": Procedure(zoom={"Z": 4.0}, combination="arithmetic"),
    "upsampling": Procedure(zoom={"Y": 2.0}),
    "rcan": Procedure(tile={"Y": 64, "X": 64}, blend={"Y": 8, "X": 8}),
}
"""What is done around the network, which other software does not do."""

BY_HAND = {
    "2D": {"care", "image-restoration", "2d", "unet"},
    "3D": {"care", "image-restoration", "3d", "unet"},
    "preset": {"care", "denoising", "image-restoration", "2d", "unet"},
    "n2v2": {"n2v2", "n2v", "denoising", "self-supervised", "image-restoration", "2d", "unet"},
    "ensemble": {"care", "image-restoration", "uncertainty", "ensemble", "2d", "unet"},
    "isotropic": {"care", "isotropic-reconstruction", "image-reconstruction", "self-supervised"}
    | {"image-restoration", "3d", "unet"},
    "upsampling": {"care", "upsampling", "super-resolution", "image-restoration", "2d", "unet"},
    "projection": {"care", "projection", "image-restoration", "3d", "unet"},
    "rcan": {"rcan", "image-restoration", "2d"},
}


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return load_package(tiny_package(tmp_path_factory.mktemp("package") / "tiny"))


@pytest.fixture(scope="module")
def tags(package):
    """Of a run as in RUNS, of a kind of microscope, and with weights besides ONNX."""

    def found(case, modality="", weights=()):
        config = parse_config(RUNS[case])
        axes = "ZYX" if case in ("3D", "projection") else "YX"
        checkpoint = dataclasses.replace(untrained(), config=config, axes=axes)
        spec = dataclasses.replace(package.spec, procedure=AROUND.get(case, Procedure()))
        about = About("A model", "", modality=modality, tags=("mine",))
        return tags_of(spec, checkpoint, about, weights)

    return found


@pytest.mark.parametrize("case", BY_HAND)
def test_tags_follow_the_task(tags, case):
    found = tags(case)
    assert found[0] == "mine"
    ran_by = ["onnx", "care-bridge"] + ["fiji", "deepimagej"] * (case not in AROUND)
    assert sorted(found) == sorted({"mine", *BY_HAND[case], *ran_by})


@pytest.mark.parametrize("case", RUNS)
def test_the_words_are_those_of_bioimage_io(tags, case):
    """In its categories; of its networks it has no word for RCAN's."""
    found = tags(case, "confocal", WEIGHTS[1:])
    for category in ("modality", "dims", "framework", "task", *["network"] * (case != "rcan")):
        assert set(TAG_CATEGORIES["model"][category]) & set(found), category


@pytest.mark.parametrize(
    ("modality", "expected"),
    [
        ("", []),
        ("Spinning disk confocal", ["fluorescence-light-microscopy"]),
        ("wide-field fluorescence", ["fluorescence-light-microscopy"]),
        ("light sheet", ["fluorescence-light-microscopy"]),
        ("3D SIM", ["super-resolution-microscopy"]),
        ("Brightfield", ["transmission-light-microscopy"]),
        ("simultaneous phase contrast", ["transmission-light-microscopy"]),
        ("scanning electron", ["electron-microscopy"]),
        ("sonar", []),
    ],
)
def test_the_modalitys_tag_is_that_of_the_microscope(tags, modality, expected):
    assert [tag for tag in tags("2D", modality) if tag.endswith("microscopy")] == expected


@pytest.mark.parametrize(
    ("weights", "expected"),
    [
        ((), {"onnx"}),
        (("torchscript",), {"onnx", "pytorch", "ilastik"}),
        (("pytorch_state_dict",), {"onnx", "pytorch"}),
    ],
    ids=str,
)
def test_tags_tell_what_runs_the_weights(tags, weights, expected):
    assert set(tags("2D", weights=weights)) & {"onnx", "pytorch", "ilastik"} == expected
