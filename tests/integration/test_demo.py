"""`care-bridge demo` as a user runs it, in a process of its own; its figures computed again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image as Picture
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from care_bridge.bundled import bundled_folder

# Stands for the base install: what is not in it is not found.
BASE_INSTALL = """
import sys
from importlib.machinery import PathFinder

class BaseInstall(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        absent = name.partition(".")[0] in ("scipy", "skimage", "torch", "lightning")
        return None if absent else super().find_spec(name, path, target)

sys.meta_path = [BaseInstall if finder is PathFinder else finder for finder in sys.meta_path]
"""


def demo(*arguments: str, prepare: str = "") -> subprocess.CompletedProcess[str]:
    code = f"{prepare}\nimport sys\nfrom care_bridge.cli.main import main\nsys.exit(main())"
    command = [sys.executable, "-c", code, "demo", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=120)


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "results"


@pytest.fixture(scope="module")
def said(out: Path) -> dict[str, object]:
    done = demo("--out", str(out), "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def figures(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    """PSNR and SSIM in the paper's metric, with numpy's least squares and scikit-image."""
    low, high = np.percentile(truth, (0.1, 99.9))
    scaled = (truth - low) / (high - low)
    fitted = np.polyval(np.polyfit(image.ravel(), scaled.ravel(), 1), image)
    return (
        peak_signal_noise_ratio(scaled, fitted, data_range=1.0),
        structural_similarity(scaled, fitted, data_range=1.0),
    )


def test_gains_at_least_3_db(said: dict[str, object]) -> None:
    assert said["psnr_after"] - said["psnr_before"] >= 3


def test_figures_are_those_of_the_files(said: dict[str, object], out: Path) -> None:
    noisy, restored, truth = (
        tifffile.imread(out / f"nuclei_{name}.tif").astype(np.float64)
        for name in ("noisy", "restored", "truth")
    )
    for image, when in ((noisy, "before"), (restored, "after")):
        psnr, ssim = figures(image, truth)
        assert said[f"psnr_{when}"] == pytest.approx(psnr, abs=0.01)
        assert said[f"ssim_{when}"] == pytest.approx(ssim, abs=0.001)


def test_truth_is_the_bundled_image_and_the_noisy_one_has_few_photons(
    said: dict[str, object], out: Path
) -> None:
    sample = tifffile.imread(bundled_folder("model_zoo") / "samples" / "nuclei_dsb2018_512.tif")
    assert np.array_equal(tifffile.imread(out / "nuclei_truth.tif"), sample)
    noisy = tifffile.imread(out / "nuclei_noisy.tif")
    assert noisy.dtype == np.uint16
    # Photon transfer: half a grey level an electron, offset 100.
    assert (noisy.mean() - 100) / 2 == pytest.approx(said["photons"], rel=0.02)


def test_picture_shows_three_panels(said: dict[str, object], out: Path) -> None:
    with Picture.open(out / "nuclei.png") as picture:
        assert picture.width > 3 * 512
        assert picture.height > 512
    assert sorted(path.name for path in out.iterdir()) == [
        "nuclei.png",
        "nuclei_noisy.tif",
        "nuclei_restored.tif",
        "nuclei_truth.tif",
    ]


def test_runs_on_the_base_install_and_says_what_to_do_next(tmp_path: Path) -> None:
    done = demo("--out", str(tmp_path / "results"), prepare=BASE_INSTALL)
    assert done.returncode == 0, done.stderr
    assert "PSNR before" in done.stdout
    assert "SSIM" not in done.stdout
    assert "care-bridge restore" in done.stdout


def test_a_folder_that_cannot_be_made_is_told_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    done = demo("--out", str(tmp_path / "file" / "results"))
    assert done.returncode == 1
    assert done.stdout == ""
    *_, last = done.stderr.splitlines()
    assert last.startswith("care-bridge demo: ")
    assert "cannot be written" in last
    assert "Traceback" not in done.stderr
