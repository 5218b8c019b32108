"""What the benchmarks keep: a result is read again where it is of the same measurement alone."""

from __future__ import annotations

from argparse import Namespace
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


def test_a_changed_configuration_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    from bench.seeds import of_seed

    given, measured = Namespace(out=tmp_path / "results"), []

    def measure(seed: int, folder: Path) -> dict[str, Any]:
        (folder / "data").mkdir(parents=True)
        measured.append(seed)
        return {"psnr": 20 + len(measured)}

    recipe, other = {"size": (64, 64), "light": 8}, {"size": (64, 64), "light": 9}
    found = [
        of_seed(given, "care", 100, seed, configuration, measure)["psnr"]
        for seed, configuration in ((0, recipe), (0, other), (1, recipe), (0, dict(recipe)))
    ]
    assert found == [21, 22, 23, 21]
    assert measured == [0, 0, 1]
    assert not list(given.out.glob("*/data"))
