"""A restoration beside its input and the filters it must beat: figures and a table of them.

Needs scipy and scikit-image (extra `evaluate`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from care_bridge.evaluation.filters import best_filters
from care_bridge.evaluation.metrics import Figures, care_figures

Comparison = Mapping[str, Figures]
"""Figures by what was measured: input, best Gaussian, best median, model."""


def compare(
    noisy: NDArray[np.generic], restored: NDArray[np.generic], truth: NDArray[np.generic]
) -> Comparison:
    """The figures of one image; the three arrays have one shape."""
    gaussian, median = best_filters(noisy, truth, ["gaussian", "median"])
    images = {
        "input": noisy,
        "best Gaussian": gaussian.image,
        "best median": median.image,
        "model": restored,
    }
    return {name: care_figures(image, truth) for name, image in images.items()}


def average(comparisons: Sequence[Comparison]) -> Comparison:
    """Each figure's arithmetic mean over several images."""
    return {
        name: Figures(
            nrmse=_mean([comparison[name].nrmse for comparison in comparisons]),
            psnr=_mean([comparison[name].psnr for comparison in comparisons]),
            ssim=_mean([comparison[name].ssim or 0.0 for comparison in comparisons]),
        )
        for name in comparisons[0]
    }


def as_table(first: str, rows: Mapping[str, Comparison]) -> str:
    """A Markdown table with a line for each comparison, "PSNR / SSIM" in its cells.

    first: heading of the column that holds the names of the rows.
    """
    methods = list(next(iter(rows.values())))
    lines = [[first, *methods], ["---"] * (len(methods) + 1)]
    for name, comparison in rows.items():
        cells = [
            f"{comparison[method].psnr:.2f} / {comparison[method].ssim:.3f}" for method in methods
        ]
        lines.append([name, *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))
