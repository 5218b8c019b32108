"""Packages by path and by name, their files, and the cache of parsed descriptions."""

import dataclasses
import io
import json
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from care_bridge.errors import PackageFormatError, PackageIntegrityError
from care_bridge.normalization import FixedScale, Percentiles, Scale, ScaleRange
from care_bridge.package import spec_cache
from care_bridge.package.package import load_package
from care_bridge.package.procedure import Procedure
from care_bridge.package.rdf import parse_rdf
from care_bridge.package.spec import ModelSpec, OutputSpec, Placement, TensorSpec, Weights
from care_bridge.package.steps import Operations, Step
from care_bridge.tiling import AxisLimits
from tests.packages import npy, tiny_package


@pytest.fixture
def folder(tmp_path):
    return tiny_package(tmp_path / "tiny")


@pytest.fixture
def zipped(folder):
    return Path(shutil.make_archive(str(folder), "zip", folder))


def test_folder_zip_and_rdf_are_the_same_package(folder, zipped):
    packages = [load_package(source) for source in (folder, str(zipped), folder / "rdf.yaml")]
    assert len({package.weights() for package in packages}) == 1
    assert packages[0].spec == packages[1].spec == packages[2].spec
    assert [package.source for package in packages] == [folder, zipped, folder]
    expected = np.load(folder / "test_input.npy")
    for package in packages:
        np.testing.assert_array_equal(package.tensor("test_input.npy"), expected)


def test_weights_that_were_changed_are_not_used(folder):
    weights = folder / "weights.onnx"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(PackageIntegrityError, match=r"weights\.onnx.*is not the file"):
        load_package(folder).weights()


def npy_file(header):
    """A .npy file of format 1.0 with this header and four bytes."""
    return b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little") + header.encode() + bytes(4)


def described(dtype, shape):
    return npy_file(f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}}}\n")


def npz_file():
    stream = io.BytesIO()
    np.savez(stream, a=np.zeros(3))
    return stream.getvalue()


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"no array", id="words"),
        pytest.param(b"\x93NUMPY\x01\x00", id="cut-short"),
        pytest.param(b"\x93NUMPY\x09\x00", id="another-format"),
        pytest.param(npz_file(), id="npz"),
        pytest.param(npy(np.array([[[["a"]]]])), id="texts"),
        pytest.param(npy(np.zeros((1, 1, 0, 4), np.float32)), id="no-pixels"),
        pytest.param(described("<f4", (1, 1, 10**8, 10**8)), id="more-than-it-holds"),
        pytest.param(described("<f4", (-1,)), id="negative"),
        pytest.param(npy_file("(" * 5000), id="header-cut-short"),
        pytest.param(npy_file("-" * 9000 + "1"), id="header-too-deep"),
        pytest.param(npy_file("{[]: 1}"), id="header-with-a-list-as-key"),
    ],
)
def test_a_tensor_that_is_none_is_said(folder, data):
    (folder / "test_input.npy").write_bytes(data)
    with pytest.raises(PackageFormatError, match="is no .npy array of numbers") as caught:
        load_package(folder).tensor("test_input.npy")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("dtype", ["<f4", ">u2", "<f8", "i1"])
@pytest.mark.parametrize("order", ["C", "F"])
def test_a_tensor_is_what_numpy_saved(folder, dtype, order):
    saved = np.arange(24).reshape(1, 2, 3, 4).astype(dtype, order=order)
    np.save(folder / "test_input.npy", saved)
    read = load_package(folder).tensor("test_input.npy")
    assert read.dtype == saved.dtype
    np.testing.assert_array_equal(read, saved)


def test_pickles_are_not_loaded(folder):
    np.save(folder / "test_input.npy", np.array([{"code": "in it"}]), allow_pickle=True)
    with pytest.raises(PackageFormatError, match="is no .npy array"):
        load_package(folder).tensor("test_input.npy")


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr(spec_cache, "user_cache_path", lambda name: tmp_path / "cache" / name)
    return tmp_path / "cache"


def test_the_cache_gives_what_parsing_gives(cache, tmp_path):
    for number, options in enumerate(({}, {"fixed": True, "channels": 2}, {"dims": 3})):
        package = tiny_package(tmp_path / str(number), **options)
        data = (package / "rdf.yaml").read_bytes()
        parsed = parse_rdf(data, "here")
        first, second = load_package(package).spec, load_package(package).spec
        assert first == second == parsed
        assert len(list(cache.rglob("*.json"))) == number + 1


def test_a_changed_description_is_parsed_again(cache, folder):
    load_package(folder)
    rdf = folder / "rdf.yaml"
    rdf.write_text(rdf.read_text().replace("0.1.0", "0.2.0"))
    assert load_package(folder).spec.version == "0.2.0"


def unwritable(cache):
    cache.write_text("a file where the cache folder should be")


def damaged(cache):
    for file in cache.rglob("*.json"):
        file.write_text(file.read_text()[:100])


def empty_object(cache):
    for file in cache.rglob("*.json"):
        file.write_text("{}")


def null(cache):
    for file in cache.rglob("*.json"):
        file.write_text("null")


def another_type(cache):
    for file in cache.rglob("*.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"tiling": 4}))


def no_text(cache):
    for file in cache.rglob("*.json"):
        file.write_bytes(b"\xff\xfe")


@pytest.mark.parametrize("spoil", [unwritable, damaged, empty_object, null, another_type, no_text])
def test_a_cache_that_cannot_be_used_does_no_harm(cache, folder, spoil):
    if spoil is not unwritable:
        load_package(folder)
    spoil(cache)
    assert load_package(folder).spec.name == "Tiny network for tests"


def test_no_partial_files_stay_in_the_cache(cache, folder):
    load_package(folder)
    assert [file.suffix for file in cache.rglob("*") if file.is_file()] == [".json"]


def test_a_known_package_needs_no_spec_library(folder):
    load_package(folder).weights()
    code = (
        "import sys; from care_bridge import load_package; "
        f"load_package({str(folder)!r}).weights(); "
        "print({'bioimageio', 'pydantic', 'yaml', 'onnx'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_a_package_in_a_zip_is_not_unpacked(zipped, tmp_path):
    before = set(tmp_path.rglob("*"))
    package = load_package(zipped)
    package.weights()
    package.tensor("test_output.npy")
    assert set(tmp_path.rglob("*")) == before
    with zipfile.ZipFile(zipped) as opened:
        assert package.read("README.md") == opened.read("README.md")


def test_the_caches_version_goes_with_the_fields_it_keeps():
    """A cache of another shape must have another version: change both together."""
    kept = (
        ModelSpec,
        OutputSpec,
        Placement,
        Operations,
        Step,
        Procedure,
        TensorSpec,
        Weights,
        AxisLimits,
        Percentiles,
        FixedScale,
        Scale,
        ScaleRange,
    )
    shape = {cls.__name__: [field.name for field in dataclasses.fields(cls)] for cls in kept}
    assert (spec_cache.VERSION, shape) == (
        6,
        {
            "ModelSpec": [
                "name",
                "nickname",
                "version",
                "description",
                "license",
                "format_version",
                "rdf_sha256",
                "input",
                "output",
                "weights",
                "tiling",
                "normalization",
                "memory_per_pixel",
                "config",
                "procedure",
                "members",
                "more_inputs",
                "position",
                "placement",
                "depth",
                "spread",
                "outputs",
            ],
            "OutputSpec": [
                "tensor",
                "position",
                "tiling",
                "placement",
                "depth",
                "normalization",
            ],
            "Placement": ["up", "down", "offset"],
            "Operations": ["inputs", "output"],
            "Step": ["id", "kwargs"],
            "Procedure": ["zoom", "combination", "tile", "blend"],
            "TensorSpec": ["id", "axes", "channel_names", "test_tensor", "sample_tensor"],
            "Weights": ["source", "sha256", "opset"],
            "AxisLimits": ["step", "min", "halo", "most"],
            "Percentiles": ["low", "high", "eps", "inverted"],
            "FixedScale": ["before", "after", "inverted"],
            "Scale": ["gain", "offset"],
            "ScaleRange": ["gain", "offset", "lo", "hi"],
        },
    )
