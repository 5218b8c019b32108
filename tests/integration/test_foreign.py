"""Packages of others, restored: equal to numpy and the bare network, whole and in tiles."""

import dataclasses
import json

import numpy as np
import pytest
import tifffile

from care_bridge import load_package
from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.errors import AxesError, ConfigError, PackageFormatError
from care_bridge.images.image import Calibration, Image
from care_bridge.runtime.batch import restore_files
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.prediction import predict
from care_bridge.runtime.restorer import Restorer, restore
from care_bridge.runtime.session import Session
from tests.foreign_cases import AXES, GEOMETRIES, OPERATIONS, of_axes
from tests.foreign_packages import (
    Foreign,
    by_hand,
    foreign_image,
    foreign_package,
    image_axes,
)

VERSIONS = ("0.4", "0.5")
SPACE = (1, 2, 3)
STEP_BY_NUMBERS = ({"id": "fixed_zero_mean_unit_variance", "kwargs": {"mean": 30.0, "std": 60.0}},)
GAIN = ({"id": "scale_linear", "kwargs": {"gain": 100.0, "offset": 0.0}},)


def as_image(pixels, axes):
    """An array (C, Z, Y, X) with the axes that it has as an image."""
    return pixels.reshape([n for n, axis in zip(pixels.shape, "CZYX", strict=True) if axis in axes])


def assert_same(found, expected, within=1e-5):
    span = np.ptp(expected.astype(np.float64))
    assert span > 0
    assert found.shape == expected.shape
    assert np.abs(found.astype(np.float64) - expected).max() <= within * span


def standard(pixels, axes=SPACE):
    return (pixels - pixels.mean(axes, keepdims=True)) / (pixels.std(axes, keepdims=True) + 1e-6)


def standardised(version, axes="yx"):
    """The step that makes the mean 0 and the variance 1."""
    if version == "0.4":
        kwargs = {"mode": "per_sample", "axes": axes}
        return ({"name": "zero_mean_unit_variance", "kwargs": kwargs},)
    names = ["channel" if axis == "c" else axis for axis in axes]
    return ({"id": "zero_mean_unit_variance", "kwargs": {"axes": names}},)


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_is_its_formula(tmp_path, name):
    operation = OPERATIONS[name]
    case = operation.case
    package = foreign_package(tmp_path / "model", case, operation.version)
    image = foreign_image(case)
    raw = image.astype(np.float64)
    if operation.place == "before":
        expected = by_hand(case, operation.formula(raw, raw))
    else:
        expected = operation.formula(by_hand(case, raw).astype(np.float64), raw)
    expected = expected[:, 0].astype(np.float64)
    whole = restore(image[:, 0], axes="CYX", package=package, device="cpu")
    assert_same(whole, expected)
    tile = {"Y": 16, "X": 20}
    assert_same(restore(image[:, 0], axes="CYX", package=package, device="cpu", tile=tile), whole)
    loaded = load_package(package)
    session = Session(loaded.weights(), "cpu")
    (predicted,) = predict(loaded.spec, session, loaded.tensor("test_input.npy"))
    assert_same(predicted[0], expected)


@pytest.mark.parametrize("geometry", GEOMETRIES)
@pytest.mark.parametrize("axes", AXES)
@pytest.mark.parametrize("version", VERSIONS)
def test_an_order_of_axes_and_a_size(tmp_path, version, axes, geometry):
    case = of_axes(axes, before=standardised(version), **GEOMETRIES[geometry])
    package = foreign_package(tmp_path, case, version)
    pixels = foreign_image(case)
    axes = image_axes(axes)
    per_plane = (2, 3)  # a slice by itself, as the step says
    expected = by_hand(case, standard(pixels.astype(np.float64), per_plane))
    image = as_image(pixels, axes)
    whole = restore(image, axes=axes, package=package, device="cpu")
    assert_same(whole, expected.reshape(whole.shape))
    if case.sizes != "fixed":
        tile = {"Y": 20, "X": 20}
        assert_same(restore(image, axes=axes, package=package, device="cpu", tile=tile), whole)


@pytest.mark.parametrize("geometry", [name for name in GEOMETRIES if name != "fixed"])
@pytest.mark.parametrize("size", [(13, 7), (29, 50)], ids=["below-the-minimum", "not-fitting"])
@pytest.mark.parametrize("version", VERSIONS)
def test_images_of_other_sizes_are_continued_and_cut_back(tmp_path, version, size, geometry):
    """By reflection at the far end; statistics are those of the image alone."""
    case = Foreign(before=standardised(version), **GEOMETRIES[geometry])
    package = foreign_package(tmp_path, case, version)
    pixels = foreign_image(case, dict(zip("yx", size, strict=True)))
    padded = [max(16, -(-n // 4) * 4) - n for n in size]
    continued = np.pad(standard(pixels), [(0, 0), (0, 0), *((0, n) for n in padded)], "reflect")
    kept = [round(np.ceil(n * case.zoom)) - 2 * case.valid for n in size]
    expected = by_hand(case, continued)[:, 0, : kept[0], : kept[1]]
    found = restore(pixels[:, 0], axes="CYX", package=package, device="cpu")
    assert_same(found, expected)


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("size", [(20, 10), (24, 32), (41, 75)], ids=["smaller", "same", "larger"])
def test_a_network_of_one_size_sees_images_in_tiles(tmp_path, version, size):
    case = Foreign(sizes="fixed", halo=0 if version == "0.5" else 1)
    package = foreign_package(tmp_path, case, version)
    if version == "0.5":  # which has no halo for fixed sizes: tiles meet, and their borders differ
        size = tuple(min(n, most) for n, most in zip(size, (24, 32), strict=True))
    pixels = foreign_image(case, dict(zip("yx", size, strict=True)))
    free = dataclasses.replace(case, sizes="stepped")
    missing = [max(most - n, 0) for n, most in zip(size, (24, 32), strict=True)]
    padded = [(0, 0), (0, 0), *((0, n) for n in missing)]
    expected = by_hand(free, np.pad(pixels, padded, "reflect"))[:, 0, : size[0], : size[1]]
    assert_same(restore(pixels[:, 0], axes="CYX", package=package, device="cpu"), expected)


# In 0.4 an output follows its input with all axes, or has a fixed size.
FEWER = {"0.4": {"sizes": "fixed"}, "0.5": {}}


@pytest.mark.parametrize("version", VERSIONS)
class TestAxesThatComeAndGo:
    def test_a_stack_becomes_a_plane(self, tmp_path, version):
        steps = standardised(version, "zyx")
        case = Foreign(axes="bczyx", out_axes="bcyx", before=steps, **FEWER[version])
        package = foreign_package(tmp_path, case, version)
        pixels = foreign_image(case)
        found = restore(pixels, axes="CZYX", package=package, device="cpu")
        assert_same(found, by_hand(case, standard(pixels))[:, 0])
        with pytest.raises(AxesError, match=r"has 7 slices, .* takes 6"):
            restore(np.zeros((2, 7, 24, 32), np.uint8), axes="CZYX", package=package)

    def test_a_plane_becomes_a_stack(self, tmp_path, version):
        case = Foreign(axes="bcyx", out_axes="bczyx", new_slices=4)
        package = foreign_package(tmp_path, case, version)
        pixels = foreign_image(case)
        result = Restorer(package).restore_image(Image(pixels[:, 0], Axes("CYX")))
        assert result.axes == "CZYX"
        assert_same(result.pixels, by_hand(case, pixels))
        with pytest.raises(AxesError, match="makes a stack of one"):
            restore(np.zeros((2, 3, 24, 32), np.uint8), axes="CZYX", package=package)

    def test_a_tensor_without_channels_and_batch(self, tmp_path, version):
        case = Foreign(axes="bcyx", out_axes="xy", channels=(2, 1), **FEWER[version])
        package = foreign_package(tmp_path, case, version)
        pixels = foreign_image(case)
        found = restore(pixels[:, 0], axes="CYX", package=package, device="cpu")
        assert_same(found.reshape(24, 32), by_hand(case, pixels)[0, 0])


@pytest.mark.parametrize("version", VERSIONS)
class TestStatisticsOfWholeImages:
    def test_slices_that_a_2d_network_sees_are_one_image(self, tmp_path, version):
        case = Foreign(before=standardised(version))
        package = foreign_package(tmp_path, case, version)
        stack = foreign_image(Foreign(axes="bczyx"))
        stack[:, 2] *= 3
        planes = np.moveaxis(standard(stack), 1, 0)
        expected = [by_hand(case, plane[:, None])[:, 0] for plane in planes]
        found = restore(stack, axes="CZYX", package=package, device="cpu")
        assert_same(found, np.stack(expected, axis=1))

    def test_frames_together_or_each_by_itself(self, tmp_path, version):
        case = Foreign(before=standardised(version), channels=(1, 1))
        package = foreign_package(tmp_path, case, version)
        movie = foreign_image(case)[0] * np.array([1, 2, 4])[:, None, None]
        options = {"axes": "TYX", "package": package, "device": "cpu"}
        together, apart = (
            restore(movie, **options),
            restore(movie, **options, normalize="per-frame"),
        )
        for frames, axes in ((together, (0, 1, 2)), (apart, (1, 2))):
            normal = standard(movie.astype(np.float64), axes)
            expected = [by_hand(case, frame[None, None])[0, 0] for frame in normal]
            assert_same(frames, np.stack(expected))

    def test_each_channel_that_a_one_channel_network_sees(self, tmp_path, version):
        case = Foreign(before=standardised(version, "cyx"), channels=(1, 3))
        package = foreign_package(tmp_path, case, version)
        pixels = foreign_image(Foreign(channels=(2, 2)))
        expected = [by_hand(case, standard(channel[None]))[:, 0] for channel in pixels]
        found = restore(pixels[:, 0], axes="CYX", package=package, device="cpu")
        assert_same(found, np.concatenate(expected))

    def test_a_window_has_the_pixels_of_the_whole(self, tmp_path, version):
        case = Foreign(before=standardised(version), after=standardised(version), zoom=2)
        package = foreign_package(tmp_path, case, version)
        image = Image(foreign_image(case)[:, 0], Axes("CYX"))
        restorer = Restorer(package)
        whole = restorer.restore_image(image).pixels
        part = restorer.restore_image(image, window={"Y": slice(5, 20), "X": slice(3, 9)})
        np.testing.assert_allclose(part.pixels, whole[:, 10:40, 6:18], rtol=0, atol=1e-5)


def test_statistics_of_a_dataset_are_those_of_all_files_of_a_command(tmp_path):
    steps = tuple(
        OPERATIONS[f"0.4-before-{name}-of-the-dataset"].steps[0] for name in ("mean", "range")
    )
    rng = np.random.default_rng(0)
    images = [rng.integers(0, most, (2, 24, 32), np.uint16) for most in (100, 900)]
    for number, image in enumerate(images):
        tifffile.imwrite(tmp_path / f"{number}.tif", image, imagej=True, metadata={"axes": "CYX"})
    everything = np.concatenate(images, axis=1).astype(np.float64)
    mean, std = (f(everything, axis=(1, 2), keepdims=True) for f in (np.mean, np.std))
    low, high = np.percentile(everything, [0, 99], axis=(1, 2), keepdims=True)
    formulas = (lambda x: (x - mean) / (std + 1e-6), lambda x: (x - low) / (high - low + 1e-6))
    for number, (step, formula) in enumerate(zip(steps, formulas, strict=True)):
        case = Foreign(before=(step,))
        package = foreign_package(tmp_path / f"model{number}", case, "0.4")
        out = tmp_path / f"out{number}"
        restore_files([tmp_path / "*.tif"], package, out, RestoreOptions(device="cpu"))
        for file, image in enumerate(images):
            expected = by_hand(case, formula(image.astype(np.float64))[:, None])[:, 0]
            assert_same(tifffile.imread(out / f"{file}.tif"), expected)


def test_data_of_integers_are_not_rounded_when_they_are_normalised(tmp_path):
    """The spec library puts conversions to the type of the tensor's data around the steps."""
    step = {"id": "scale_linear", "kwargs": {"gain": 0.01}}
    case = Foreign(before=(step,), integers=True)
    package = foreign_package(tmp_path, case, "0.5")
    pixels = foreign_image(case)
    found = restore(pixels[:, 0], axes="CYX", package=package, device="cpu")
    assert_same(found, by_hand(case, pixels * 0.01)[:, 0])


def test_numbers_as_texts_and_an_opset_that_is_not_told(tmp_path):
    step = {"name": "scale_range", "kwargs": {"mode": "per_sample", "axes": "yx", "eps": "1e-06"}}
    case = Foreign(before=(step,))
    package = foreign_package(tmp_path, case, "0.4")
    text = (package / "rdf.yaml").read_text()
    (package / "rdf.yaml").write_text(text.replace("    opset_version: 17\n", ""))
    pixels = foreign_image(case)
    low, high = (f(pixels, axis=SPACE, keepdims=True) for f in (np.min, np.max))
    found = restore(pixels[:, 0], axes="CYX", package=package, device="cpu")
    assert_same(found, by_hand(case, (pixels - low) / (high - low + 1e-6))[:, 0])
    assert load_package(package).spec.weights.opset is None


def test_ids_that_are_missing_are_the_formats_defaults(tmp_path):
    package = foreign_package(tmp_path, Foreign(), "0.5")
    text = (package / "rdf.yaml").read_text()
    for named in ("- id: input\n", "- id: output\n", "    id: x\n"):
        assert named in text
    text = text.replace("- id: input\n  axes", "- axes").replace("- id: output\n  axes", "- axes")
    (package / "rdf.yaml").write_text(text.replace("    id: x\n", ""))
    pixels = foreign_image(Foreign())
    found = restore(pixels[:, 0], axes="CYX", package=package, device="cpu")
    assert_same(found, by_hand(Foreign(), pixels)[:, 0])


def test_the_voxels_of_a_finer_result_are_smaller(tmp_path):
    package = foreign_package(tmp_path, Foreign(zoom=2), "0.5")
    pixels = foreign_image(Foreign())[:, 0]
    sizes = {"Z": 1.0, "Y": 0.4, "X": 0.4}
    image = Image(pixels, Axes("CYX"), Calibration(voxel_size=sizes, unit="µm"))
    result = Restorer(package).restore_image(image)
    assert result.calibration.voxel_size == {"Z": 1.0, "Y": 0.2, "X": 0.2}


@pytest.fixture
def of_many(tmp_path):
    """A package with two inputs and two outputs, and its images."""
    case = Foreign(second=True, more=True, before=standardised("0.5"))
    package = foreign_package(tmp_path / "model", case, "0.5")
    image, mask = foreign_image(case)[:, 0], foreign_image(case)[:1, 0] / 10
    for name, pixels in (("image", image), ("mask", mask)):
        tifffile.imwrite(tmp_path / f"{name}.tif", pixels, imagej=True, metadata={"axes": "CYX"})
    return case, package, image, mask


class TestSeveralInputsAndOutputs:
    def run(self, of_many, tmp_path, *words):
        out = tmp_path / "out.tif"
        words = [tmp_path / "image.tif", "--model", of_many[1], "--out", out, *words]
        status = main(["restore", *map(str, words), "--device", "cpu", "--overwrite"])
        return status, out

    def test_the_second_input_by_its_name(self, of_many, tmp_path):
        case, _, image, mask = of_many
        given = ("--inputs", f"mask={tmp_path / 'mask.tif'}")
        status, out = self.run(of_many, tmp_path, *given)
        assert status == 0
        expected = by_hand(case, standard(image[:, None]), mask[:, None])[:, 0]
        whole = tifffile.imread(out)
        assert_same(whole, expected)
        status, out = self.run(of_many, tmp_path, *given, "--tile", "16,20")
        assert_same(tifffile.imread(out), whole)

    def test_a_batch_remembers_them(self, of_many, tmp_path):
        given = ("--inputs", f"mask={tmp_path / 'mask.tif'}", "--device", "cpu", "--json")
        out = tmp_path / "results"
        words = ["restore", tmp_path / "image.tif", "--model", of_many[1], "--out", out, *given]
        assert main(list(map(str, words))) == 0
        manifest = (out / "care_bridge_manifest.jsonl").read_text("utf-8")
        assert "mask.tif" in manifest
        assert main(list(map(str, words))) == 0
        assert (out / "care_bridge_manifest.jsonl").read_text("utf-8") == manifest

    def test_an_output_by_its_name(self, of_many, tmp_path):
        given = ("--inputs", f"mask={tmp_path / 'mask.tif'}", "--output-tensor", "edges")
        status, out = self.run(of_many, tmp_path, *given)
        assert status == 0
        loaded = load_package(of_many[1])
        tensors = [loaded.tensor(f"test_{name}.npy") for name in ("input", "mask")]
        session = Session(loaded.weights(), "cpu")
        restored, edges = predict(loaded.spec, session, *tensors)
        assert_same(tifffile.imread(out), edges[0])
        assert np.abs(restored - edges).max() > 0

    @pytest.mark.parametrize(
        ("words", "says"),
        [
            ((), 'needs an image for its input "mask": give it with inputs mask=FILE'),
            (("--inputs", "mark=a.tif"), 'no input "mark" that a file can be given for: besides'),
            (("--inputs", "mask={mask},more=a.tif"), "besides the image it takes mask"),
            (("--inputs", "mask={image}"), "is of C=2, Y=24, X=32, expected the size of the image"),
            (("--inputs", "mask"), "no file: give names and files"),
            (("--output-tensor", "nothing"), 'is an image: use "output" or "edges"'),
        ],
        ids=["missing", "misspelt", "too-many", "of-another-size", "no-file", "no-such-output"],
    )
    def test_what_is_wrong_is_one_line(self, of_many, tmp_path, words, says, capsys):
        files = {name: tmp_path / f"{name}.tif" for name in ("image", "mask")}
        status, out = self.run(of_many, tmp_path, *(word.format(**files) for word in words))
        message = capsys.readouterr().err.strip()
        assert (status, says in message, "\n" in message) == (1, True, False), message
        assert not out.exists()


def test_inputs_of_a_model_that_has_none_are_one_line_for_all_files(tmp_path, capsys):
    package = foreign_package(tmp_path, Foreign(), "0.5")
    names = [tmp_path / f"{name}.tif" for name in "ab"]
    for name in names:
        tifffile.imwrite(name, np.ones((2, 24, 32), np.uint16), imagej=True)
    given = ("--out", tmp_path / "out", "--inputs", "q=a.tif")
    assert main(list(map(str, ["restore", *names, "--model", package, *given]))) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert 'no input "q"' in line
    assert "takes the image alone" in line


def test_a_network_with_other_inputs_than_described(tmp_path):
    package = foreign_package(tmp_path, Foreign(second=True), "0.5")
    text = (package / "rdf.yaml").read_text()
    start, end = text.index("- id: mask"), text.index("outputs:")
    (package / "rdf.yaml").write_text(text[:start] + text[end:])
    with pytest.raises(PackageFormatError, match="has 2 inputs and 1 outputs, its description"):
        Restorer(package)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize("before", [(), STEP_BY_NUMBERS], ids=["not-scaled", "scaled"])
@pytest.mark.parametrize("after", [(), GAIN], ids=["as-made", "gain"])
def test_a_result_of_fixed_steps_is_no_image_of_the_inputs_type(tmp_path, before, after, dtype):
    """Below zero and in fractions, which integers would lose, and with no display range of the
    input's."""
    case = Foreign(before=before, after=after)
    package = foreign_package(tmp_path / "model", case, "0.5")
    image = foreign_image(case).clip(0, 255)
    file = tmp_path / "image.tif"
    tifffile.imwrite(
        file,
        image[:, 0].astype(dtype),
        imagej=True,
        metadata={"axes": "CYX", "min": 3.0, "max": 200.0},
    )
    given = image.astype(np.float64)
    made = by_hand(case, (given - 30) / 60 if before else given)[:, 0].astype(np.float64)
    restore_files([file], package, tmp_path / "out", RestoreOptions(device="cpu"))
    with tifffile.TiffFile(tmp_path / "out" / "image.tif") as found:
        assert_same(found.asarray(), made * 100 if after else made)
        assert found.asarray().dtype == np.float32
        assert "min" not in found.imagej_metadata
    with pytest.raises(ConfigError, match="range full is one of grey levels"):
        restore(image[:, 0], axes="CYX", package=package, range="full", dtype="uint8")


def test_what_needs_grey_levels_is_refused(tmp_path):
    package = foreign_package(tmp_path, Foreign(zoom=2, before=standardised("0.5")), "0.5")
    image = foreign_image(Foreign())[:, 0]
    for options, says in (
        ({"range": "full", "dtype": "uint8"}, "range full is one of grey levels"),
        ({"percentile_low": 3.0}, "a percentile needs a model with percentiles"),
        ({"with_raw": True}, "with_raw needs a result of the image's size"),
    ):
        with pytest.raises(ConfigError, match=says):
            restore(image, axes="CYX", package=package, **options)


class TestTheCommandLine:
    def test_inspect_tells_the_steps(self, tmp_path, capsys):
        package = foreign_package(tmp_path, Foreign(before=standardised("0.4")), "0.4")
        assert main(["inspect", str(package)]) == 0
        said = capsys.readouterr().out
        assert "before the network zero_mean_unit_variance, after it nothing" in said
        assert "other software" in said
        assert main(["inspect", str(package), "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["format_version"] == "0.4.10"

    @pytest.mark.parametrize("version", VERSIONS)
    def test_check_proves_the_numbers_and_the_halo(self, tmp_path, version, capsys):
        case = Foreign(before=standardised(version), after=standardised(version), valid=True)
        package = foreign_package(tmp_path, case, version)
        normal = standard(foreign_image(case))
        np.save(package / "test_output.npy", standard(by_hand(case, normal))[np.newaxis, :, 0])
        main(["check", str(package)])
        said = capsys.readouterr().out.splitlines()
        passed = [line for line in said if line.startswith("ok ")]
        for proof in ("the test output is reproduced to", "along Y the network reaches 1 pixels"):
            assert any(proof in line for line in passed), said
