"""RDFs: what we write is read again; what others write is run or refused with the reason."""

import copy
from pathlib import Path

import pytest
import yaml
from loguru import logger

from care_bridge.errors import PackageFormatError, PackageIntegrityError
from care_bridge.normalization import FixedScale, Percentiles, Scale
from care_bridge.package.rdf import parse_rdf
from care_bridge.package.rdf_files import named_files
from care_bridge.tiling import AxisLimits
from tests.packages import FIXED_INPUT, FIXED_OUTPUT, HALO, STEP, tiny_package


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """The RDF that care_bridge writes, as plain data, by case."""
    folder = tmp_path_factory.mktemp("packages")
    cases = {
        "2D": tiny_package(folder / "2d"),
        "3D": tiny_package(folder / "3d", dims=3, percentiles=(1.5, 99.9)),
        "fixed": tiny_package(folder / "fixed", channels=2, fixed=True),
    }
    return {case: yaml.safe_load((path / "rdf.yaml").read_text()) for case, path in cases.items()}


def parse(rdf):
    return parse_rdf(yaml.safe_dump(rdf).encode(), "here.zip")


def test_the_spec_of_our_own_packages(written):
    flat, deep, fixed = (parse(written[case]) for case in ("2D", "3D", "fixed"))
    limits = AxisLimits(step=STEP, min=STEP, halo=HALO)
    assert (flat.input.axes, flat.tiling) == ("BCYX", {"Y": limits, "X": limits})
    assert (deep.output.axes, "".join(deep.tiling)) == ("BCZYX", "ZYX")
    assert flat.normalization == Percentiles(2.0, 99.8, 1e-6)
    assert deep.normalization == Percentiles(1.5, 99.9, 1e-6)
    assert fixed.channels_in == 2
    assert isinstance(fixed.normalization, FixedScale)
    for scale, original in (
        (fixed.normalization.before[1], FIXED_INPUT),
        (fixed.normalization.after[1], FIXED_OUTPUT),
    ):
        assert (scale.gain, scale.offset) == pytest.approx((original.gain, original.offset))
    assert flat.memory_per_pixel == 300.0
    assert flat.config["task"] == "care"
    assert flat.format_version == "0.5.4"


def test_what_other_consumers_need_is_written(written):
    """Line by line what the consumers were seen to need."""
    rdf = written["3D"]
    assert rdf["format_version"] == "0.5.4"
    assert (rdf["documentation"], rdf["covers"]) == ("README.md", ["cover.png"])
    assert rdf["config"]["bioimageio"]["nickname"]
    assert "deepimagej" not in rdf["config"]
    (source,), (restored,) = rdf["inputs"], rdf["outputs"]
    batch, channel, *space = source["axes"]
    assert batch == {"type": "batch"}
    assert channel["channel_names"] == ["channel0"]
    assert [axis["id"] for axis in space] == ["z", "y", "x"]
    for axis in space:
        assert axis["concatenable"] is True
        assert axis["size"]["min"] % axis["size"]["step"] == 0
        assert axis["size"]["min"] - 2 * HALO >= 1
    for axis in restored["axes"][2:]:
        assert axis["size"] == {"tensor_id": "input", "axis_id": axis["id"]}
        assert axis["halo"] == HALO
    first, scaled = source["preprocessing"]
    assert first == {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
    assert scaled["kwargs"]["axes"] == ["z", "y", "x"]
    assert scaled["kwargs"]["eps"] == 1e-6
    assert source["data"]["type"] == restored["data"]["type"] == "float32"
    assert set(rdf["weights"]) == {"onnx"}
    assert None not in _values(rdf)


def test_numbers_are_numbers_for_yaml_1_1_readers(tmp_path):
    """YAML 1.1 (SnakeYAML, in JDLL) reads 1e-06 as a text, 1.0e-06 as a number."""
    text = (tiny_package(tmp_path) / "rdf.yaml").read_text()
    assert "eps: 1.0e-06" in text


def test_the_fixed_mode_undoes_its_scaling_for_everybody(written):
    (step,) = written["fixed"]["outputs"][0]["postprocessing"]
    assert step["id"] == "scale_linear"
    assert step["kwargs"]["gain"] == [FIXED_OUTPUT.gain] * 2
    assert step["kwargs"]["offset"] == [FIXED_OUTPUT.offset] * 2


def test_files_are_named_with_their_hashes(written):
    files = named_files(yaml.safe_dump(written["2D"]).encode())
    with_hashes = {name for name, sha256 in files.items() if sha256}
    assert with_hashes == {
        "weights.onnx",
        "test_input.npy",
        "test_output.npy",
        "sample_input.tif",
        "sample_output.tif",
    }
    assert set(files) - with_hashes == {"README.md", "cover.png"}


@pytest.mark.parametrize(
    ("data", "named"), [(b"words", {}), (b"- a", {}), (b"covers: 5", {}), (b"covers:", {})]
)
def test_a_description_may_name_no_files(data, named):
    assert named_files(data) == named


HASH = "a" * 64
ALONE = {
    "icon: icon.png": {"icon.png": None},
    f"icon: {{source: icon, sha256: {HASH}}}": {"icon": HASH},
    "icon: \U0001f52c": {},
    "icon: https://example.org/icon.png": {},
    f"weights: {{a: {{architecture: net/net.py:Net, architecture_sha256: {HASH}}}}}": {
        "net/net.py": HASH
    },
    "weights: {a: {architecture: https://example.org/net.py:Net}}": {},
    "weights: {a: {architecture: monai.networks.Net}}": {},
    "weights: {a: {dependencies: 'conda:./environment.yaml'}}": {"./environment.yaml": None},
    "weights: {a: {dependencies: 'pip:requirements.txt'}}": {"requirements.txt": None},
    "weights: {a: {dependencies: 'conda:https://example.org/environment.yaml'}}": {},
    "weights: {a: {dependencies: conda}}": {},
    "weights: {a: {dependencies: [conda]}}": {},
    f"weights: {{a: {{dependencies: {{source: e.yaml, sha256: {HASH}}}}}}}": {"e.yaml": HASH},
    "weights: {a: {attachments: {files: [./config.xml, 'https://example.org/a']}}}": {
        "./config.xml": None
    },
    "weights: {a: {attachments: [config.xml]}}": {},
}
"""Icons are files or emoji; format 0.4 names a callable of a file, or of a library, and
dependencies by their manager and file."""


@pytest.mark.parametrize("written", ALONE)
def test_files_are_named_without_a_map(written):
    assert named_files(written.encode()) == ALONE[written]


ALIASES = b"type: model\nformat_version: 0.5.4\nname: &a A name\ndescription: *a\n"


def test_files_are_not_named_by_aliases():
    with pytest.raises(PackageIntegrityError, match=r"the description .* alias \*a"):
        named_files(ALIASES)


# Foreign packages: ours without what makes it ours, changed at one place.


def foreign(written, case="2D"):
    rdf = copy.deepcopy(written[case])
    del rdf["config"]["care_bridge"]
    return rdf


def test_a_foreign_package_is_taken_by_its_word(written):
    rdf = foreign(written)
    rdf["inputs"][0]["axes"][2]["size"] = {"min": 64, "step": 16}
    rdf["outputs"][0]["axes"][3].pop("halo")
    spec = parse(rdf)
    assert spec.tiling == {"Y": AxisLimits(16, 64, 12), "X": AxisLimits(4, 28, 0)}
    assert spec.config == {}
    assert spec.memory_per_pixel is None
    assert spec.normalization == Percentiles(2.0, 99.8, 1e-6, inverted=False)


def test_axes_may_come_in_any_order(written):
    rdf = foreign(written)
    for tensor in (rdf["inputs"][0], rdf["outputs"][0]):
        batch, channel, y, x = tensor["axes"]
        tensor["axes"] = [batch, x, y, channel]
    spec = parse(rdf)
    assert (spec.input.axes, spec.spatial_axes) == ("BXYC", "YX")


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([], Scale(1, 0)),
        ([{"id": "scale_linear", "kwargs": {"gain": 0.5, "offset": -3.0}}], Scale(2, 6)),
        ([{"id": "scale_linear", "kwargs": {"gain": 4.0}}], Scale(0.25, 0)),
        (
            [{"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 7.0, "std": 3.0}}],
            Scale(3, 7),
        ),
        (
            [
                {
                    "id": "fixed_zero_mean_unit_variance",
                    "kwargs": {"axis": "channel", "mean": [7.0], "std": [3.0]},
                }
            ],
            Scale(3, 7),
        ),
        ([{"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}], Scale(1, 0)),
    ],
    ids=["none", "linear", "gain-only", "zero-mean", "zero-mean-by-channel", "float32-only"],
)
def test_foreign_fixed_scaling(written, steps, expected):
    rdf = foreign(written)
    rdf["inputs"][0]["preprocessing"] = steps
    normalization = parse(rdf).normalization
    assert normalization.before == (expected,)
    assert normalization.after == (Scale(1, 0),)


def set_at(*path, to):
    def change(rdf):
        *way, last = path
        for key in way:
            rdf = rdf[key]
        rdf[last] = to

    return change


def torch_only(rdf):
    onnx = rdf["weights"].pop("onnx")
    rdf["weights"]["torchscript"] = {
        "source": "weights.pt",
        "sha256": onnx["sha256"],
        "pytorch_version": "2.0",
    }


def no_hash(rdf):
    del rdf["weights"]["onnx"]["sha256"]


def with_time(rdf):
    size = {"min": 1, "step": 1}
    rdf["inputs"][0]["axes"].insert(2, {"type": "time", "size": size})
    reference = {"tensor_id": "input", "axis_id": "time"}
    rdf["outputs"][0]["axes"].insert(2, {"type": "time", "size": reference})


def newer_config(rdf):
    rdf["config"]["care_bridge"] = {"format": 99}


def halo_of_another_axis(rdf):
    rdf["config"]["care_bridge"] = {
        "format": 1,
        "size_step": {"y": 4, "x": 4},
        "halo": {"z": 4, "x": 4},
    }


def halo_in_words(rdf):
    halo_of_another_axis(rdf)
    rdf["config"]["care_bridge"]["halo"] = {"y": "four", "x": 4}


def step(name, **kwargs):
    return [{"id": name, "kwargs": kwargs}]


REFUSED = {
    "dataset": (set_at("type", to="dataset"), "not of a model"),
    "format-0.3": (set_at("format_version", to="0.3.6"), "care_bridge runs 0.4 and 0.5"),
    "invalid": (set_at("name", to="?"), "its description is not valid: name"),
    "torchscript": (torch_only, "weights are torchscript"),
    "no-hash": (no_hash, "no sha256"),
    "time-axis": (with_time, "axes BCTYX"),
    "joint-percentiles": (
        set_at("inputs", 0, "preprocessing", to=step("scale_range", axes=["x"])),
        "it normalises input over X alone",
    ),
    "scales-of-other-channels": (
        set_at(
            "inputs",
            0,
            "preprocessing",
            to=step("scale_linear", axis="channel", gain=[1.0, 2.0], offset=[0.0, 0.0]),
        ),
        "the gain of its input does not have a number for each of 1 channels",
    ),
    "newer-config": (newer_config, "update care_bridge"),
    "halo-in-words": (halo_in_words, "config.care_bridge.halo does not hold numbers"),
    "halo-of-another-axis": (halo_of_another_axis, "config.care_bridge.halo does not name"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_run_is_refused_with_the_reason(written, case):
    change, reason = REFUSED[case]
    rdf = foreign(written)
    change(rdf)
    with pytest.raises(PackageFormatError) as caught:
        parse(rdf)
    message = str(caught.value)
    assert message.startswith("cannot use the package here.zip: ")
    assert reason in message
    assert "\n" not in message


@pytest.mark.parametrize(
    "data",
    [b"", b"words only", b"a: [1, 2", b"\xff\xfe\x00binary", b"- type: model"],
    ids=["empty", "words", "broken-yaml", "binary", "list"],
)
def test_what_is_no_description_is_said(data):
    with pytest.raises(PackageFormatError, match=r"here\.zip: its description"):
        parse_rdf(data, "here.zip")


def test_aliases_are_refused():
    with pytest.raises(PackageIntegrityError, match=r"here\.zip: its description .* alias \*a"):
        parse_rdf(ALIASES, "here.zip")


def _values(content):
    if isinstance(content, dict):
        return [value for part in content.values() for value in _values(part)]
    if isinstance(content, list):
        return [value for part in content for value in _values(part)]
    return [content]


def test_what_the_library_fills_in_is_not_told(written):
    rdf = copy.deepcopy(written["2D"])
    for tensor in (*rdf["inputs"], *rdf["outputs"]):
        for axis in tensor["axes"]:
            axis |= {"id": axis["id"].upper()} if axis["type"] == "space" else {}
    told = []
    sink = logger.add(told.append, level=0)
    assert parse(rdf).input.axes == "BCYX"
    logger.remove(sink)
    assert told == []


def test_reading_leaves_no_trace_in_the_working_folder(written, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    parse(written["2D"])
    assert list(Path().iterdir()) == []
