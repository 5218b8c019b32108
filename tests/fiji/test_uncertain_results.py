"""What a probabilistic model tells of its uncertainty, in ImageJ as on the command line."""

import numpy as np
import pytest
import tifffile

from care_bridge import Restorer
from care_bridge.images import open_image
from care_bridge.runtime.options import RestoreOptions
from tests.fiji.conftest import CHILDREN, run_cli
from tests.packages import tiny_package

pytestmark = pytest.mark.fiji
KINDS = ("scale", "interval", "samples", "disagreement")


@pytest.fixture(scope="module")
def opened(installation, tmp_path_factory):
    folder = tmp_path_factory.mktemp("uncertainty")
    package = tiny_package(folder / "model", members=2)
    rng = np.random.default_rng(3)
    pixels = rng.poisson(rng.uniform(50, 900, (2, 44, 50))).astype(np.uint16)
    tifffile.imwrite(folder / "cell.tif", pixels, imagej=True, metadata={"axes": "TYX"})
    macro = CHILDREN.parent / "macros" / "Uncertainty.ijm"
    words = (f"input={folder / 'cell.tif'}", f"output={folder}", f"model={package}")
    done = run_cli("fiji", "run", macro, *words, CARE_BRIDGE_FIJI=installation)
    assert done.returncode == 0, done.stderr
    return done, folder, package


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_an_image_of_its_own(opened, kind):
    _, folder, package = opened
    options = RestoreOptions(uncertainty=kind, confidence=0.8, samples=3, device="cpu")
    image = open_image(folder / "cell.tif")
    restored, told = Restorer(package, options).restore_with_uncertainty(image)
    for name, expected in ((f"restored_{kind}", restored), (kind, told)):
        found = open_image(folder / f"{name}.tif")
        assert found.pixels.dtype == expected.pixels.dtype
        np.testing.assert_array_equal(
            found.axes.to(found.pixels, expected.axes), expected.pixels, err_msg=name
        )


def test_the_restored_image_stays_the_active_one(opened):
    lines = [line for line in opened[0].stdout.splitlines() if line.startswith("active")]
    assert lines == ["active cell_restored.tif of 3"] * 4 + ["active cell.tif of 2"]
