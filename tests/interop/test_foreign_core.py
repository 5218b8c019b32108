"""Packages of others: what care_bridge makes of them is what bioimageio.core makes of them."""

import os
import subprocess
from pathlib import Path

import numpy as np
import pytest

from care_bridge.runtime.restorer import restore
from tests.foreign_cases import AXES, GEOMETRIES, OPERATIONS, of_axes
from tests.foreign_packages import foreign_image, foreign_package, from_axes, image_axes
from tests.interop_environment import interop_environment

pytestmark = pytest.mark.interop

RUN = {name: operation for name, operation in OPERATIONS.items() if operation.core}
SHAPES = [
    (version, axes, geometry)
    for version in ("0.4", "0.5")
    for axes in AXES
    for geometry in GEOMETRIES
]


def shape_id(version, axes, geometry):
    return f"{version}-{axes}-{geometry}"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """The folder of all packages, with what core predicts."""
    folder = tmp_path_factory.mktemp("foreign")
    for name, operation in RUN.items():
        foreign_package(folder / name, operation.case, operation.version)
    for version, axes, geometry in SHAPES:
        case = of_axes(axes, **GEOMETRIES[geometry])
        foreign_package(folder / shape_id(version, axes, geometry), case, version)
    script = Path(__file__).with_name("foreign_predictions.py")
    subprocess.run(
        [interop_environment() / "bin/python", script, folder],
        env=os.environ | {"BIOIMAGEIO_CACHE_PATH": str(tmp_path_factory.mktemp("downloads"))},
        capture_output=True,
        check=True,
    )
    return folder


def restored(package, case):
    """What care_bridge makes of the package's test input (C, Z, Y, X)."""
    axes = image_axes(case.axes)
    image = foreign_image(case)
    shape = [size for size, axis in zip(image.shape, "CZYX", strict=True) if axis in axes]
    image = image.reshape(shape)
    result = restore(image, axes=axes, package=package, device="cpu")
    return result.astype(np.float64)


@pytest.mark.parametrize("name", RUN)
def test_an_operation(packages, name):
    theirs = np.load(packages / name / "core.npy")[0]
    ours = restored(packages / name, RUN[name].case)
    assert np.ptp(theirs) > 0
    assert np.abs(ours - theirs).max() <= 1e-4 * np.ptp(theirs)


@pytest.mark.parametrize(
    ("version", "axes", "geometry"), SHAPES, ids=[shape_id(*shape) for shape in SHAPES]
)
def test_an_order_of_axes_and_a_size(packages, version, axes, geometry):
    case = of_axes(axes, **GEOMETRIES[geometry])
    folder = packages / shape_id(version, axes, geometry)
    theirs = from_axes(np.load(folder / "core.npy"), case.axes_out)
    ours = restored(folder, case).reshape(theirs.shape)
    assert np.abs(ours - theirs).max() <= 1e-4 * np.ptp(theirs)
