"""Export for sharing: weights for other consumers, what people say of a model, its domain."""

import dataclasses
import html
import io
import json
import logging
import subprocess
import sys

import numpy as np
import pytest
import torch
import yaml
from markdown_it import MarkdownIt

from care_bridge import check_package, load_package, restore
from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.errors import ConfigError, ExportError
from care_bridge.export.about import About, paper, person
from care_bridge.export.builder import WEIGHTS, export_checkpoint
from care_bridge.export.card import model_card
from care_bridge.export.domain import domain_content
from care_bridge.export.graph import run_torch
from care_bridge.export.torch_weights import torch_weights
from care_bridge.images import Calibration, Image, write_image
from care_bridge.package.rdf_content import Paper, Person
from care_bridge.runtime.domain import warn_of_domain
from care_bridge.training.architecture import whole_architecture
from care_bridge.training.checkpoint import build_network, load_checkpoint
from care_bridge.training.config import load_config, parse_config
from care_bridge.training.networks.mixture import Mixture
from care_bridge.training.run import train
from tests.checkpoints import untrained
from tests.packages import is_clean

pytestmark = pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")

ABOUT = About(
    "Shared model",
    "For a test",
    authors=("Ada Lovelace; University of London; 0000-0001-2345-6789; @ada", "Bob"),
    license="CC0-1.0",
    maintainers=("Bob; @bob",),
    cite=("Ada (1843) Notes. Scientific Memoirs 3, 666-731; 10.1234/notes",),
    training_data="300 exposures of nuclei",
    dataset="happy-elephant",
    modality="spinning disk confocal",
    pixel_size={"Y": (0.1, 0.2), "X": (0.1, 0.2)},
    limits=("Not for brightfield.",),
)


@pytest.fixture(scope="module")
def checkpoint():
    return untrained()


@pytest.fixture(scope="module", autouse=True)
def quick():
    """Without measuring memory."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("care_bridge.export.builder.measure_memory_per_pixel", lambda *_: 300.0)
        yield


@pytest.fixture(scope="module")
def package(checkpoint, tmp_path_factory):
    out = tmp_path_factory.mktemp("export") / "model.zip"
    export_checkpoint(checkpoint, out, ABOUT, weights=WEIGHTS)
    return load_package(out)


@pytest.fixture(scope="module")
def rdf(package):
    return yaml.safe_load(package.read("rdf.yaml"))


# Weights


TASKS = {
    "2D": {},
    "3D": {"network": {"axes": "ZYX"}},
    "n2v2": {"task": "n2v2"},
    "probabilistic": {"probabilistic": True},
    "ensemble": {"probabilistic": True, "members": 2},
    "isotropic": {"task": "isotropic"},
    "upsampling": {"task": "upsampling"},
    "projection": {"task": "projection", "projection": {"n_first": 2}},
    "projecting-ensemble": {"task": "projection", "probabilistic": True, "members": 2},
    "rcan": {"task": "rcan", "rcan": {"channels": 8, "groups": 1, "blocks": 1}},
}


def network_of(case):
    """A freshly drawn small network, as it is exported, and what builds it."""
    values = TASKS[case]
    config = parse_config({**values, "network": {"n_first": 4, **values.get("network", {})}})
    axes = "ZYX" if "ZYX" in (config.network.axes, values.get("network", {}).get("axes")) else "YX"
    config = config.resolved(axes)
    members = [
        build_network(config.model_copy(update={"seed": seed}), 1, 1)
        for seed in range(config.members)
    ]
    network = Mixture(members) if config.probabilistic else members[0]
    steps = [config.size_step] * len(axes)
    if config.task == "projection":
        steps[0] = 1
    return network.requires_grad_(False).eval(), whole_architecture(config, 1, 1), steps


ALONE = """
import importlib.util, json, pathlib, sys
import numpy, torch
for folder in map(pathlib.Path, sys.argv[1:]):
    asked = json.loads((folder / "asked.json").read_text())
    place = importlib.util.spec_from_file_location("network", folder / "network.py")
    network = importlib.util.module_from_spec(place)
    place.loader.exec_module(network)
    built = getattr(network, asked["callable"])(**asked["kwargs"])
    built.load_state_dict(torch.load(folder / "weights.pt", weights_only=True))
    with torch.inference_mode():
        output = built.eval()(torch.from_numpy(numpy.load(folder / "input.npy")))
    output = output if isinstance(output, tuple) else (output,)
    numpy.save(folder / "output.npy", torch.cat(output, dim=1).numpy())
assert "care_bridge" not in sys.modules
"""


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """For each case the network's output, that of its state dict by the source file alone, in a
    process that cannot import care_bridge, and that of its TorchScript."""
    root = tmp_path_factory.mktemp("alone")
    expected, scripted = {}, {}
    for case in TASKS:
        network, built, steps = network_of(case)
        entry, files = torch_weights("pytorch_state_dict", network, built, 1, steps)
        _, script = torch_weights("torchscript", network, built, 1, steps)
        folder = root / case
        folder.mkdir()
        for name, data in files.items():
            (folder / name).write_bytes(data)
        source = np.random.default_rng(5).random((2, 1, *(5 * step for step in steps)), np.float32)
        np.save(folder / "input.npy", source)
        (folder / "asked.json").write_text(json.dumps(entry.entry["architecture"]))
        expected[case] = run_torch(network, source)
        scripted[case] = run_torch(
            torch.jit.load(io.BytesIO(script["weights_torchscript.pt"])), source
        )
    ran = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, *(root / case for case in TASKS)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    alone = {case: np.load(root / case / "output.npy") for case in TASKS}
    return expected, {"pytorch_state_dict": alone, "torchscript": scripted}


@pytest.mark.parametrize("kind", WEIGHTS[1:])
@pytest.mark.parametrize("case", TASKS)
def test_torchs_weights_do_what_the_network_does(compared, case, kind):
    expected, found = compared
    within = 1e-5 * np.ptp(expected[case])
    np.testing.assert_allclose(found[kind][case], expected[case], atol=within, rtol=0)


def test_exactly_one_entry_has_no_parent(rdf):
    parents = {kind: entry.get("parent") for kind, entry in rdf["weights"].items()}
    assert parents == {
        "onnx": "pytorch_state_dict",
        "torchscript": "pytorch_state_dict",
        "pytorch_state_dict": None,
    }


def test_torchscript_alone_is_made_of_the_onnx_file(checkpoint, tmp_path):
    report = export_checkpoint(
        checkpoint, tmp_path / "model", ABOUT, weights=("onnx", "torchscript")
    )
    assert is_clean(report)
    weights = yaml.safe_load((tmp_path / "model" / "rdf.yaml").read_text())["weights"]
    assert {kind: entry.get("parent") for kind, entry in weights.items()} == {
        "onnx": None,
        "torchscript": "onnx",
    }


def test_a_shared_package_is_clean_and_has_no_torchscript_note(package):
    report = check_package(package.source)
    assert is_clean(report)
    notes = [finding.rule for finding in report.findings if finding.severity == "note"]
    not_run = ["torchscript-not-run", "pytorch-state-dict-not-run"]
    assert notes == ["github-user", "github-user", *not_run]


def test_nothing_tells_of_this_machine(package):
    for name in ("weights.pt", "weights_torchscript.pt", "network.py"):
        for word in (b"site-packages", str(package.source.parent).encode()):
            assert word not in package.read(name)


def test_weights_that_do_not_exist_are_said_first(checkpoint, tmp_path, monkeypatch):
    monkeypatch.setattr("care_bridge.export.builder.export_onnx", None)
    with pytest.raises(ConfigError, match='there are no weights "keras"'):
        export_checkpoint(checkpoint, tmp_path / "model", ABOUT, weights=("onnx", "keras"))


def test_weights_of_another_network_are_not_written():
    network, built, steps = network_of("2D")
    other = dataclasses.replace(built, settings={**built.settings, "residual": False})
    with pytest.raises(ExportError, match="differ from the trained network"):
        torch_weights("pytorch_state_dict", network, other, 1, steps)


# What people say of it


def test_people_papers_and_data_are_in_the_description(rdf):
    assert rdf["authors"] == [
        {
            "name": "Ada Lovelace",
            "affiliation": "University of London",
            "orcid": "0000-0001-2345-6789",
            "github_user": "ada",
        },
        {"name": "Bob"},
    ]
    assert rdf["maintainers"] == [{"name": "Bob", "github_user": "bob"}]
    assert rdf["cite"][0]["doi"] == "10.1234/notes"
    assert any("Weigert" in each["text"] for each in rdf["cite"])
    assert rdf["training_data"] == {"id": "happy-elephant"}
    assert rdf["config"]["bioimageio"]["nickname"] == "shared-model"
    assert rdf["covers"] == ["cover.png", "validation.png"]


def test_the_card_says_what_for_and_what_not_for(package):
    card = package.read("README.md").decode()
    for text in (
        "# Limits",
        "Not for brightfield.",
        "300 exposures of nuclei",
        "spinning disk confocal",
        "Y 0.1 to 0.2 micrometres",
        "(validation.png)",
    ):
        assert text in card
    assert package.read("validation.png")[:4] == b"\x89PNG"


@pytest.mark.parametrize(
    ("text", "expected"),
    {
        "Ada": Person("Ada"),
        "Ada; @ada": Person("Ada", github_user="ada"),
        "Ada; 0000-0002-1694-233X; U; @a": Person("Ada", "U", "0000-0002-1694-233X", "a"),
    }.items(),
)
def test_people_are_read(text, expected):
    assert person(text) == expected


def test_papers_are_read():
    expected = Paper("Ada; Bob (2020) A; B", "10.1234/x.y")
    assert paper("Ada; Bob (2020) A; B; https://doi.org/10.1234/x.y") == expected


@pytest.mark.parametrize(
    "wrong",
    [
        {"maintainers": ("Bob",)},
        {"version": "newest"},
        {"cite": ("no doi at all",)},
        {"pixel_size": {"X": (0.2, 0.1)}},
        {"pixel_size": {"C": (0.1, 0.1)}},
        {"pixel_size": {"X": (0.1, float("inf"))}},
    ],
    ids=str,
)
def test_what_cannot_be_used_is_said(wrong):
    with pytest.raises(ConfigError):
        dataclasses.replace(ABOUT, **wrong)


ODD = "40 | pairs\n<b>of</b> *cells*"
SHOWN = "40 | pairs <b>of</b> *cells*"


def test_the_card_shows_texts_as_they_were_given(checkpoint, package):
    """Read by a parser of Markdown, in every place where a text of somebody's is."""
    odd = dataclasses.replace(ABOUT, training_data=ODD, modality=ODD, limits=(ODD, "# none"))
    spec = dataclasses.replace(package.spec, name="Tubules_2D_v3", description=f"# {ODD}")
    card = MarkdownIt("commonmark").enable("table").render(model_card(spec, checkpoint, odd))
    shown = html.escape(SHOWN, quote=False)
    for expected in (
        "<h1>Tubules_2D_v3</h1>",
        f"<p># {shown}</p>",
        f"<td>{shown}</td>",
        f"<li>{shown}</li>",
        "<li># none</li>",
        f"other microscopes ({shown}) or",
    ):
        assert expected in card
    assert card.count(f"<td>{shown}</td>") == 2
    assert "<b>" not in card
    assert card.count("<h1>") == 6  # its name and five sections


# The domain


def test_the_domain_is_kept_for_programs(package):
    domain = package.spec.config["domain"]
    assert domain["modality"] == "spinning disk confocal"
    assert domain["pixel_size"] == {"unit": "micrometer", "y": [0.1, 0.2], "x": [0.1, 0.2]}


def test_pixel_sizes_are_those_of_the_training_files(tmp_path):
    """Pixels of 0.2 and 0.25 micrometres, slices 0.5 and 500 nm apart."""
    for name, size, spacing, unit in (("a", 0.2, 0.5, "micron"), ("b", 250, 500, "nm")):
        voxel = {"Z": spacing, "Y": size, "X": size}
        pixels = np.random.default_rng(0).poisson(50, (8, 24, 24)).astype(np.uint16)
        (tmp_path / "data").mkdir(exist_ok=True)
        image = Image(pixels, Axes("ZYX"), Calibration(voxel, unit))
        write_image(image, tmp_path / "data" / f"{name}.tif")
    small = ("task=n2v", "network.axes=ZYX", "network.n_first=4", "patches.size=[8,16,16]")
    config = load_config(None, [*small, "training.steps=1", "training.batch_size=1"])
    train(tmp_path / "data", tmp_path / "run", config)
    trained = load_checkpoint(tmp_path / "run")
    assert set(trained.pixel_size) == {"Z", "Y", "X"}
    assert trained.pixel_size["Z"] == pytest.approx((0.5, 0.5))
    assert trained.pixel_size["X"] == pytest.approx((0.2, 0.25))
    told = domain_content(trained, About("A model", ""))["pixel_size"]
    assert told == {"unit": "micrometer", **{a.lower(): [*trained.pixel_size[a]] for a in "ZYX"}}
    of_slices = About("A model", "", pixel_size={"Z": (2.0, 3.0)})
    assert domain_content(trained, of_slices)["pixel_size"] == told | {"z": [2.0, 3.0]}


def test_a_pixel_size_along_an_axis_that_images_have_not_is_refused(checkpoint, tmp_path):
    about = dataclasses.replace(ABOUT, pixel_size={"Z": (0.1, 0.1)})
    with pytest.raises(ConfigError, match="size along Z was given for a model of YX images"):
        export_checkpoint(checkpoint, tmp_path / "out", about)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("after", "before", "said"), [(18.60, 18.72, True), (18.7, 18.7, True), (18.8, 18.7, False)]
)
def test_the_card_says_where_the_model_improves_nothing(checkpoint, package, after, before, said):
    figures = {"psnr": after, "psnr_input": before}
    card = model_card(package.spec, dataclasses.replace(checkpoint, validation=figures), ABOUT)
    told = f"(PSNR {after:.2f} dB after it, {before:.2f} dB before)" in card.split("# Use")[0]
    assert told == ("Do not use this model" in card) == said


def test_export_says_where_the_model_improves_nothing(checkpoint, tmp_path, caplog):
    """It is exported all the same; the good one is exported in silence."""
    for name, before, lines in (("better", 20.5, 0), ("worse", 31.5, 1)):
        figures = {"psnr": 31.25, "psnr_input": before}
        judged = dataclasses.replace(checkpoint, validation=figures)
        caplog.clear()
        export_checkpoint(judged, tmp_path / name, ABOUT)
        assert len([r for r in caplog.records if r.levelno >= logging.WARNING]) == lines
        assert (tmp_path / name / "rdf.yaml").is_file()
    assert "train with more steps or more images" in caplog.text


@pytest.mark.parametrize(
    ("noise", "told"),
    [
        ((0.031, 0.052), "3.1 to 5.2 % of the span"),
        ((0.0349, 0.0351), "3.5 % of the span"),
        ((0.0, 0.0), ""),
    ],
    ids=str,
)
def test_the_card_tells_of_the_noise_in_percent(checkpoint, package, noise, told):
    card = model_card(package.spec, dataclasses.replace(checkpoint, noise=noise), ABOUT)
    assert (f"| noise | {told}" in card) == bool(told)
    assert ("| noise |" in card) == bool(told)


def test_a_run_keeps_the_range_of_the_noise_that_it_was_trained_on(tmp_path):
    """A ramp over 1000 grey levels along Y, whose percentiles 2 and 99.8 lie 978 apart, with noise
    of 5 or 40: whichever image is held out, the others have both."""
    ramp = np.linspace(100, 1100, 96)[:, np.newaxis]
    for side in ("source", "GT"):
        (tmp_path / "data" / side).mkdir(parents=True)
    for name, noise in zip("abcd", (5, 40, 5, 40), strict=True):
        noisy = np.random.default_rng(ord(name)).normal(ramp, noise, (96, 96))
        for side, pixels in (("source", noisy), ("GT", np.broadcast_to(ramp, (96, 96)))):
            image = Image(pixels.round().astype(np.uint16), Axes("YX"))
            write_image(image, tmp_path / "data" / side / f"{name}.tif")
    small = (
        "patches.size=[32,32]",
        "network.n_first=4",
        "network.kernel=3",
    )
    steps = ("training.steps=1", "training.steps_per_epoch=1", "training.batch_size=2")
    train(tmp_path / "data", tmp_path / "run", load_config(None, [*small, *steps]))
    trained = load_checkpoint(tmp_path / "run")
    assert trained.noise == pytest.approx((5 / 978, 40 / 978), rel=0.1)
    assert domain_content(trained, About("A model", ""))["noise"] == [
        round(end, 4) for end in trained.noise
    ]


@pytest.mark.parametrize(
    ("size", "unit", "warned"),
    [
        (0.15, "micron", False),
        (0.07, "µm", False),  # 0.1 / 1.5 is 0.067
        (0.06, "µm", True),
        (0.29, "micron", False),
        (0.31, "micron", True),
        (310.0, "nm", True),
        (150.0, "nm", False),
        (5.0, "pixel", False),
    ],
    ids=str,
)
def test_pixels_of_another_size_are_told(package, caplog, size, unit, warned):
    calibration = Calibration({"Y": size, "X": size}, unit)
    with caplog.at_level(logging.WARNING):
        warn_of_domain(package.spec, calibration)
    assert [("micrometres along Y" in record.message) for record in caplog.records] == (
        [True] if warned else []
    )


def test_restore_tells_of_it_in_one_line(package, tmp_path, capsys):
    image = Image(np.ones((60, 60), np.uint16), Axes("YX"), Calibration({"Y": 1, "X": 1}, "micron"))
    write_image(image, tmp_path / "image.tif")
    out = tmp_path / "out.tif"
    asked = ["restore", tmp_path / "image.tif", "--model", package.source, "--out", out]
    assert main([*map(str, asked), "--device", "cpu"]) == 0
    said = capsys.readouterr()
    lines = [line for line in (said.out + said.err).splitlines() if "trained on" in line]
    assert len(lines) == 1
    assert "1 micrometres along Y" in lines[0]


def test_images_without_calibration_are_restored_in_silence(package, caplog):
    restore(np.ones((60, 60), np.uint16), axes="YX", package=package)
    assert not [record for record in caplog.records if "trained on" in record.message]
