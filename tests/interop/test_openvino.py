"""The OpenVINO engine, in an environment that has the extra openvino in place of cpu.

CARE_BRIDGE_OPENVINO names the environment's folder; the tests are skipped where it is not set.
"""

import os
import subprocess
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from care_bridge.runtime.restorer import restore
from tests.packages import test_image, tiny_package

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif("CARE_BRIDGE_OPENVINO" not in os.environ, reason="no CARE_BRIDGE_OPENVINO"),
]

ROOT = Path(__file__).parents[2]
CASES = {"2D": ("YX", 40), "3D": ("ZYX", 36)}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """What openvino_engine.py says of a case, with the same image restored by this process."""

    @cache
    def run(case):
        axes, tile = CASES[case]
        folder = tmp_path_factory.mktemp(case)
        package = tiny_package(folder / "model", dims=len(axes))
        image = np.tile(test_image(len(axes), 1)[0, 0], (1, 2, 2)[-len(axes) :])
        np.save(folder / "image.npy", image)
        python = Path(os.environ["CARE_BRIDGE_OPENVINO"]) / "bin" / "python"
        script = ROOT / "tests" / "interop" / "openvino_engine.py"
        files = [package, folder / "image.npy", axes, str(tile), folder / "results.npz"]
        done = subprocess.run(
            [python, script, *files],
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr[-2000:]
        expected = restore(image, axes=axes, package=package, device="cpu", dtype="float32")
        with np.load(folder / "results.npz") as results:
            return dict(results) | {"onnxruntime": expected, "printed": done.stdout}

    return run


@pytest.mark.parametrize("case", CASES)
class TestOpenVino:
    def test_tiled_equals_whole(self, ran, case):
        assert relative(ran(case)["tiled"], ran(case)["whole"]) <= 1e-5

    def test_it_equals_onnx_runtimes_own_engine(self, ran, case):
        assert relative(ran(case)["whole"], ran(case)["onnxruntime"]) <= 1e-4

    def test_it_is_taken_by_itself_and_says_so(self, ran, case):
        by_itself, named, lowered = ran(case)["engines"]
        assert by_itself.endswith("OpenVINO; no CUDA in this build")
        assert named.endswith(", OpenVINO")
        assert lowered.endswith(", OpenVINO, bf16")
        assert list(ran(case)["devices"]) == ["cpu", "cpu"]
        assert ran(case)["advice"] == ""
        assert (ran(case)["memory_factors"] > 1).tolist() == [case == "3D", False]

    def test_float32_is_float32(self, ran, case):
        assert ran(case)["error"] <= 1e-5

    def test_bf16_costs_what_its_8_bits_cost(self, ran, case):
        if "bf16" not in Path("/proc/cpuinfo").read_text("ascii"):
            pytest.skip("this CPU has no bf16")
        assert 1e-4 < ran(case)["error_bf16"] < 2e-2

    def test_running_out_of_memory_is_an_error_of_its_own(self, ran, case):
        assert "free some memory" in ran(case)["printed"]


def relative(one, other):
    return np.abs(one - other.astype(np.float64)).max() / np.ptp(other)
