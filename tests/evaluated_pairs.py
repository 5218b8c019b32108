"""Images to evaluate, the command line on them, and figures computed by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from care_bridge.cli.main import main
from tests.training_pairs import blobs
from tests.training_pairs import write_image as save

SHAPE = (48, 64)


def write_folders(root: Path) -> Path:
    """truth/, restored/ and input/ with two images each."""
    rng = np.random.default_rng(21)
    for name in ("b1.tif", "b2.tif"):
        truth = blobs(SHAPE, rng)
        save(root / "truth" / name, truth.astype(np.uint16))
        save(root / "restored" / name, (0.5 * truth + rng.normal(0, 20, SHAPE)).astype(np.float32))
        save(root / "input" / name, rng.poisson(truth / 20).astype(np.uint16))
    return root


def evaluate(*arguments: object) -> int:
    return main(["evaluate", *map(str, arguments)])


def as_json(capsys: pytest.CaptureFixture[str], *arguments: object) -> dict:
    assert evaluate(*arguments, "--json") == 0
    return json.loads(capsys.readouterr().out)


def by_hand(image: np.ndarray, truth: np.ndarray) -> tuple[float, float]:
    low, high = np.percentile(truth.astype(float), (0.1, 99.9))
    scaled = (truth - low) / (high - low)
    fitted = np.polyval(np.polyfit(image.ravel().astype(float), scaled.ravel(), 1), image)
    return (
        peak_signal_noise_ratio(scaled, fitted, data_range=1),
        structural_similarity(scaled, fitted.astype(float), data_range=1.0),
    )
