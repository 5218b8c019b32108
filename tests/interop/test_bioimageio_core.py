"""Our packages in bioimageio.core, the reference runner of bioimage.io, in its own environment."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from care_bridge import load_package
from care_bridge.export.about import About
from care_bridge.export.builder import export_checkpoint
from tests.checkpoints import untrained
from tests.interop_environment import OFFLINE, interop_environment

pytestmark = pytest.mark.interop

FIXED = {
    "2D-fixed-two-channels-to-one": {"mode": "fixed", "channels_in": 2},
    "3D-fixed": {"axes": "ZYX", "mode": "fixed"},
}
CASES = {"2D-percentile": {}, **FIXED}


@pytest.fixture(scope="module")
def interop():
    """The folder of the other tools' environment."""
    return interop_environment()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Exports a case to a zip, at its first use."""

    @cache
    def export(case):
        zipped = tmp_path_factory.mktemp("package") / "model.zip"
        export_checkpoint(untrained(**CASES[case]), zipped, About("Interop model", "For a test"))
        return zipped

    return export


def run_there(command, downloads: Path):
    environment = os.environ | OFFLINE | {"BIOIMAGEIO_CACHE_PATH": str(downloads)}
    ran = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stderr[-2000:]


@pytest.mark.parametrize("case", CASES)
def test_core_passes_it(interop, exported, case, tmp_path):
    package = exported(case)
    summary = tmp_path / "summary.json"
    run_there([interop / "bin/bioimageio", "test", package, "--summary", summary], tmp_path)
    said = json.loads(summary.read_text())
    errors = [error["msg"] for detail in said["details"] for error in detail["errors"]]
    assert (said["status"], errors) == ("passed", [])


@pytest.mark.parametrize("case", CASES)
def test_cores_own_prediction_is_ours(interop, exported, case, tmp_path):
    package = exported(case)
    predicted = tmp_path / "predicted.npy"
    script = Path(__file__).with_name("core_prediction.py")
    run_there([interop / "bin/python", script, package, predicted], tmp_path)
    ours = load_package(package).tensor("test_output.npy")
    span = np.ptp(ours)
    np.testing.assert_allclose(np.load(predicted) / span, ours / span, atol=1e-4, rtol=0)


@pytest.mark.parametrize("case", FIXED)
def test_with_its_halo_core_differs_at_the_border_only(interop, exported, case, tmp_path):
    """Core pads the halo on by default; our halo says how far that can be seen."""
    package = exported(case)
    spec = load_package(package).spec
    predicted = tmp_path / "padded.npy"
    script = Path(__file__).with_name("core_prediction.py")
    run_there([interop / "bin/python", script, package, predicted, "--padded"], tmp_path)
    ours = load_package(package).tensor("test_output.npy")
    # The 3D stack is too thin for its halo: the RDF leaves Z whole, and core does not pad it.
    inner = (
        ...,
        *(
            slice(limits.halo, -limits.halo) if size > 2 * limits.halo else slice(None)
            for limits, size in zip(spec.tiling.values(), ours.shape[2:], strict=True)
        ),
    )
    assert ours[inner].size > 0
    span = np.ptp(ours)
    theirs = np.load(predicted)
    assert np.abs(theirs - ours).max() > 1e-4 * span
    np.testing.assert_allclose(theirs[inner] / span, ours[inner] / span, atol=1e-5, rtol=0)
