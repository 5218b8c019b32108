"""The table of a model card, read as a reader does."""

from __future__ import annotations

from importlib.machinery import SourceFileLoader
from importlib.util import module_from_spec, spec_from_loader
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from care_bridge.evaluation.metrics import care_psnr

RNG = np.random.default_rng(4)
TRUTH = gaussian_filter(RNG.normal(size=(64, 64)), 4) * 1000 + 500


@pytest.fixture(scope="module")
def zoo() -> ModuleType:
    path = Path(__file__).resolve().parents[2] / "scripts" / "zoo"
    loader = SourceFileLoader("zoo", str(path))
    spec = spec_from_loader("zoo", loader)
    assert spec
    module = module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_the_table_holds_the_means_of_each_method(zoo: ModuleType) -> None:
    """The model is one that knows the truth but for a little noise."""
    good = TRUTH + RNG.normal(0, 1, TRUTH.shape)
    restorer = SimpleNamespace(restore_image=lambda _: SimpleNamespace(pixels=good))
    noisy = [TRUTH + RNG.normal(0, level, TRUTH.shape) for level in (20, 80)]
    table = zoo.as_table("level", {"both": [zoo.assessed(restorer, one, TRUTH) for one in noisy]})
    head, _, row = (
        [cell.strip() for cell in line.strip("| ").split("|")] for line in table.splitlines()
    )
    assert head == ["level", "input", "best Gaussian", "best median", "model"]
    assert row[0] == "both"
    psnrs = [float(cell.split(" / ")[0]) for cell in row[1:]]
    assert psnrs[0] == pytest.approx(np.mean([care_psnr(one, TRUTH) for one in noisy]), abs=0.01)
    assert psnrs[-1] == pytest.approx(care_psnr(good, TRUTH), abs=0.01)
    assert psnrs[0] < psnrs[2] < psnrs[1] < psnrs[3]
