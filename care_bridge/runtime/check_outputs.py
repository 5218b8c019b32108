"""Checks of what a package's network makes of its test tensors."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import CANONICAL, Axes
from care_bridge.errors import AxesError, ImageError, PackageError, PackageFormatError
from care_bridge.images.source import whole
from care_bridge.images.tiff_reader import open_tiff
from care_bridge.normalization import Percentiles
from care_bridge.package.archive import is_address
from care_bridge.package.consumers.rule import DEEPIMAGEJ
from care_bridge.package.npy import LARGEST_TENSOR, read_npy
from care_bridge.package.package import Package
from care_bridge.package.printable import shown
from care_bridge.package.spec import TensorSpec
from care_bridge.package.steps import Operations
from care_bridge.runtime.checked import (
    EXPORT_AGAIN,
    GET_AGAIN,
    Checked,
    channels_of,
    relative,
    within,
)
from care_bridge.runtime.conventions import jdll_levels
from care_bridge.runtime.prediction import predict
from care_bridge.runtime.report import Finding

# Of the output's range: another build of the engine may sum in another order.
REPRODUCED_WITHIN = 1e-4
PERCENTILES_WITHIN = 1e-4


def _check_test_tensors(checked: Checked) -> Iterator[Finding]:
    package = checked.package
    outputs = predict(package.spec, checked.session, *checked.test_inputs())
    for tensor, output in zip(package.spec.output_tensors, outputs, strict=True):
        expected = checked.test_tensor(tensor)
        which = "the test output" + (f" {tensor.id}" if len(outputs) > 1 else "")
        if output.shape != expected.shape:
            yield Finding(
                "error",
                f"the test input gives an output of shape {output.shape}, {which} has "
                f"{expected.shape}",
                EXPORT_AGAIN,
                "test-tensors",
            )
            continue
        difference = relative(output, expected)
        what = f"{which} is reproduced to {difference:.1e} of its range"
        yield within(what, difference, REPRODUCED_WITHIN, GET_AGAIN, "test-tensors")


def _check_members(checked: Checked) -> Iterator[Finding]:
    """Are the predicted distributions such, and is the output their mean?"""
    spec = checked.package.spec
    if spec.members is None:
        return
    restored, members = predict(spec, checked.session, checked.test_tensor(spec.input))
    channel = spec.output.axes.index("C")
    pixels = np.moveaxis(members, channel, 0)
    shape = spec.member_count, 2, spec.channels_out, *pixels.shape[1:]
    means, scales = np.moveaxis(pixels.reshape(shape), 1, 0)
    if not scales.min() > 0:
        yield Finding(
            "error",
            f"a predicted scale is {scales.min():g}, expected more than 0",
            EXPORT_AGAIN,
            "members",
        )
    difference = relative(np.moveaxis(restored, channel, 0), means.mean(axis=0))
    what = (
        f"{spec.output.id} is the mean of {spec.member_count} predicted means to "
        f"{difference:.1e} of its range"
    )
    yield within(what, difference, REPRODUCED_WITHIN, EXPORT_AGAIN, "members")


def _check_samples(checked: Checked) -> Iterator[Finding]:
    """deepImageJ's check runs the sample and compares with the test output."""
    sampled = [each for each in checked.package.spec.tensors if each.sample_tensor is not None]
    found = [_check_sample(checked, each, str(each.sample_tensor)) for each in sampled]
    yield from (each for each in found if each)
    if sampled and not any(found):
        yield Finding("ok", "the samples hold the pixels of the test tensors")


def _check_sample(checked: Checked, tensor: TensorSpec, name: str) -> Finding | None:
    """What is to be said of the sample `name` of a tensor; None where it is as it should be."""
    if is_address(name):
        return _not_compared(
            f'the sample "{shown(name)}" is a web address', "put it in the package"
        )
    expected = checked.test_tensor(tensor)
    try:
        sample = _sample(checked.package, name, expected, tensor.axes)
    except (AxesError, ImageError, PackageError) as error:
        return _other_sample(str(error))
    if sample is None:
        remedy = "save it as a TIFF without compression"
        return _not_compared(f'the sample "{name}" is compressed', remedy)
    if not np.array_equal(sample, _canonical(expected, tensor.axes)):
        return _other_sample(f'the sample "{name}" does not hold the pixels of its test tensor')
    return None


def _not_compared(why: str, remedy: str) -> Finding:
    what = f"{why}: it is not compared with its test tensor"
    return Finding("note", what, remedy, "samples-not-compared", (DEEPIMAGEJ,))


def _other_sample(what: str) -> Finding:
    remedy = "save the test tensor's pixels as the sample"
    return Finding("error", what, remedy, "same-samples", (DEEPIMAGEJ,))


def _sample(
    package: Package, name: str, expected: NDArray[np.generic], axes: str
) -> NDArray[np.generic] | None:
    """The pixels of the sample `name`, as `_canonical` gives them; None where they are compressed:
    few bytes can stand for any number of pixels, and not all decoders can be kept from making them.

    PackageFormatError where they are not as many as those of the `expected` tensor, found before
    they are read; ImageError and AxesError where it is no image.
    """
    data = package.archive.read(name, 2 * LARGEST_TENSOR)
    if name.endswith(".npy"):
        values = _canonical(read_npy(data, name, package.source), axes)
        _check_size(name, values.shape, _canonical(expected, axes).shape)
        return values
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / PurePosixPath(name).name
        file.write_bytes(data)
        try:
            with open_tiff(file, None) as source:
                size = source.info.canonical_shape
                _check_size(name, size, _canonical(expected, axes).shape)
                return source.read(whole(source.info)).squeeze() if source.as_stored else None
        except (AxesError, ImageError) as error:
            raise ImageError(str(error).replace(str(file), name)) from error


def _canonical(values: NDArray[np.generic], axes: str) -> NDArray[np.generic]:
    """A tensor's pixels in the order of images, without axes of one pixel."""
    return Axes(axes.replace("B", "S")).to(values, CANONICAL).squeeze()


def _check_size(name: str, found: Sequence[int], expected: Sequence[int]) -> None:
    """Raise PackageFormatError where these sizes differ in more than axes of one pixel."""
    sizes, others = ([size for size in each if size > 1] for each in (found, expected))
    if sizes != others:
        raise PackageFormatError(
            f'the sample "{name}" is of {" x ".join(map(str, sizes))} pixels, its test tensor of '
            f"{' x '.join(map(str, others))}"
        )


def _check_percentiles(checked: Checked) -> Iterator[Finding]:
    spec = checked.package.spec
    normalization = spec.normalization
    if isinstance(normalization, Operations) and _takes_percentiles(normalization):
        yield Finding(
            "note",
            "numpy's and JDLL's percentiles of the test input are not compared for these "
            "processing steps",
            "compare the test output in deepImageJ",
            "percentiles-not-compared",
            (DEEPIMAGEJ,),
        )
    if not isinstance(normalization, Percentiles):
        return
    tensor = checked.test_tensor(spec.input)
    worst = 0.0
    for channel in channels_of(tensor, spec.input.axes):
        ours = normalization.fit(channel)
        levels = jdll_levels(channel, normalization)
        shifts = np.abs(np.subtract(levels, (ours.lo, ours.hi)))
        worst = max(worst, float(shifts.max()) / ours.gain)
    what = f"numpy's and JDLL's percentiles of the test input differ by {worst:.1e} of its span"
    if worst > PERCENTILES_WITHIN:
        yield Finding(
            "error",
            f"{what}, so the test output is not reproduced",
            "take a test image on which both agree",
            "percentiles",
            (DEEPIMAGEJ,),
        )
    else:
        yield Finding("ok", what)


def _takes_percentiles(operations: Operations) -> bool:
    steps = [step for tensor in (*operations.inputs, operations.output) for step in tensor]
    given = ("min_percentile", "max_percentile")
    return any(step.kwargs.get(each) is not None for step in steps for each in given)


OUTPUT_CHECKS: tuple[Callable[[Checked], Iterator[Finding]], ...] = (
    _check_test_tensors,
    _check_members,
    _check_samples,
    _check_percentiles,
)
