"""Models of csbdeep against csbdeep's own results (tests/unit/data/csbdeep/make.py)."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from care_bridge import Restorer, check_package, restore
from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.errors import TrainingError
from care_bridge.export.about import About
from care_bridge.export.builder import export_checkpoint
from care_bridge.images import Image
from care_bridge.package.package import load_package
from care_bridge.runtime.options import RestoreOptions
from care_bridge.training.csbdeep import import_csbdeep
from tests.training_pairs import write_image

MODELS = Path(__file__).parents[1] / "unit" / "data" / "csbdeep"
AXES = {"2d": "YX", "3d": "ZYXC", "probabilistic": "YX"}


@pytest.fixture(params=AXES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def span(image: np.ndarray) -> float:
    """The percentiles' distance, in which csbdeep's networks compute."""
    low, high = np.percentile(image, (2, 99.8))
    return float(high - low)


def test_a_package_restores_as_csbdeep_did(name: str, tmp_path: Path) -> None:
    checkpoint = import_csbdeep(MODELS / name)
    export_checkpoint(checkpoint, tmp_path / name, About("Imported model", "From csbdeep"))
    assert check_package(tmp_path / name).errors == ()
    reference = np.load(MODELS / name / "reference.npz")
    image, expected = reference["image"], reference["restored"]
    found = restore(image.astype(np.float32), axes=AXES[name], package=tmp_path / name)
    assert np.ptp(expected) > 0.5 * span(image)
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-4 * span(image))


def test_a_probabilistic_network_gives_csbdeeps_mean_and_scale() -> None:
    network = import_csbdeep(MODELS / "probabilistic").network
    reference = np.load(MODELS / "probabilistic" / "reference.npz")
    image = reference["image"].astype(np.float64)
    low, high = np.percentile(image, (2, 99.8))
    source = torch.from_numpy(((image - low) / (high - low)).astype(np.float32))[None, None]
    with torch.no_grad():
        restored, members = (part[0].numpy() for part in network(source))
    (mean,), (same, scale) = restored, members
    np.testing.assert_array_equal(mean, same)
    np.testing.assert_allclose(
        mean, (reference["restored"] - low) / (high - low), rtol=0, atol=1e-4
    )
    np.testing.assert_allclose(scale, reference["scale"] / (high - low), rtol=0, atol=1e-4)
    assert np.ptp(scale) > 0.02  # the head sees the image


def test_a_probabilistic_package_tells_csbdeeps_scale(tmp_path: Path) -> None:
    checkpoint = import_csbdeep(MODELS / "probabilistic")
    export_checkpoint(checkpoint, tmp_path / "model", About("Imported model", "From csbdeep"))
    reference = np.load(MODELS / "probabilistic" / "reference.npz")
    image = Image(reference["image"].astype(np.float32), Axes("YX"))
    restorer = Restorer(tmp_path / "model", RestoreOptions(uncertainty="members"))
    restored, members = restorer.restore_with_uncertainty(image)
    within = {"rtol": 0, "atol": 1e-4 * span(reference["image"])}
    np.testing.assert_allclose(restored.pixels, reference["restored"], **within)
    np.testing.assert_allclose(members.pixels[0], reference["restored"], **within)
    np.testing.assert_allclose(members.pixels[1], reference["scale"], **within)


def test_the_command_makes_a_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rng = np.random.default_rng(0)
    shown = write_image(tmp_path / "shown.tif", rng.poisson(300, (70, 80)).astype("u2"))
    words = ["import-csbdeep", MODELS / "2d", "--out", tmp_path / "model.zip", "--example", shown]
    assert main([*map(str, words), "--name", "Old friend", "--author", "Ada"]) == 0
    assert "0 errors" in capsys.readouterr().out
    package = load_package(tmp_path / "model.zip")
    assert package.spec.name == "Old friend"
    assert package.spec.config["training"]["csbdeep"]["unet_n_first"] == 2  # type: ignore[index]
    assert "csbdeep trained the model" in package.read("README.md").decode()
    assert package.tensor("test_input.npy").mean() == pytest.approx(300, rel=0.05)


def test_tensorflow_is_not_loaded(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from care_bridge.training.csbdeep import *; "
        "import_csbdeep(Path(sys.argv[1])); "
        "assert not {'tensorflow', 'keras', 'tf_keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, MODELS / "2d"], check=True)


def _say(folder: Path, **changes: object) -> None:
    file = folder / "config.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **changes}))


def _no_weights(folder: Path) -> None:
    (folder / "weights_best.h5").unlink()


def _cut_weights(folder: Path) -> None:
    file = folder / "weights_best.h5"
    file.write_bytes(file.read_bytes()[:1000])


def _keras3_weights(folder: Path) -> None:
    with h5py.File(folder / "weights_best.h5", "w") as opened:
        opened.create_group("layers")


def _no_config(folder: Path) -> None:
    (folder / "config.json").unlink()


BROKEN = {
    "no-config": (_no_config, "config.json cannot be read"),
    "no-json": (lambda f: (f / "config.json").write_text("{"), "config.json cannot be read"),
    "no-keys": (lambda f: (f / "config.json").write_text("[1]"), "holds no keys"),
    "key": (lambda f: _say(f, unet_n_depth="2"), "unet_n_depth = '2', which describes no"),
    "negative": (lambda f: _say(f, unet_n_depth=-1), "unet_n_depth = -1"),
    "axes": (lambda f: _say(f, axes="TYXC"), "the axes TYXC: only YX and ZYX"),
    "activation": (lambda f: _say(f, unet_last_activation="relu"), "only linear"),
    "projection": (lambda f: _say(f, proj_n_depth=4), "projects .proj_n_depth."),
    "no-weights": (_no_weights, "has no weights: expected weights_best.h5"),
    "cut-weights": (_cut_weights, "weights_best.h5 cannot be read"),
    "keras-3": (_keras3_weights, "lists no layers: it is not as Keras 2 writes"),
    "deeper": (lambda f: _say(f, unet_n_depth=3), "not those of its config.json"),
    "wider": (lambda f: _say(f, unet_n_first=4), "not those of its config.json"),
    "other-dimension": (lambda f: _say(f, axes="ZYXC"), "not those of its config.json"),
    "not-probabilistic": (lambda f: _say(f, probabilistic=True), "not those of its config"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_cannot_be_imported_is_one_line(case: str, tmp_path: Path) -> None:
    folder = shutil.copytree(MODELS / "2d", tmp_path / "model")
    damage, expected = BROKEN[case]
    damage(folder)
    with pytest.raises(TrainingError, match=expected) as caught:
        import_csbdeep(folder)
    assert "\n" not in str(caught.value)
