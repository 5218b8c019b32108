"""normalization.target: on whose scale the target patches lie."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.errors import TrainingError
from care_bridge.training.care import prepare
from care_bridge.training.config import parse_config

RNG = np.random.default_rng(8)


def write(folder: Path, source: np.ndarray, target: np.ndarray) -> None:
    for kind, pixels in (("source", source), ("GT", target)):
        (folder / kind).mkdir()
        metadata = {"axes": "CYX"[-pixels.ndim :]}
        for name in ("a.tif", "b.tif"):
            tifffile.imwrite(folder / kind / name, pixels, imagej=True, metadata=metadata)


def slope(folder: Path, target: str) -> float:
    """How much the normalised source rises where the normalised target rises by 1."""
    config = parse_config(
        {
            "normalization": {"target": target},
            "patches": {"size": [32, 32], "background": 0.0},
            "training": {"batch_size": 64},
        }
    )
    source, wanted = prepare(folder, config, folder).batch(0)
    return float(np.polyfit(wanted.ravel(), source.ravel(), 1)[0])


def test_the_sources_scale_keeps_grey_levels(tmp_path: Path) -> None:
    """The noise is as wide as the structure, so the source's percentiles lie further apart."""
    truth = np.repeat(np.repeat(RNG.uniform(100, 200, (24, 24)), 4, 0), 4, 1).astype(np.float32)
    noisy = (truth + RNG.normal(0, 60, truth.shape)).astype(np.float32)
    write(tmp_path, noisy, truth)
    assert slope(tmp_path, "source") == pytest.approx(1, abs=0.1)
    # 2 % and 99.8 % of a standard normal lie at -2.05 and 2.88.
    narrower = (truth.max() - truth.min()) / (4.93 * np.hypot(60, truth.std()))
    assert slope(tmp_path, "own") == pytest.approx(narrower, rel=0.15)


def test_the_sources_scale_needs_as_many_channels(tmp_path: Path) -> None:
    truth = RNG.uniform(0, 1, (48, 48)).astype(np.float32)
    write(tmp_path, np.stack([truth, truth]), truth)
    with pytest.raises(TrainingError, match=r"2 channels, the targets 1.*use own"):
        slope(tmp_path, "source")
