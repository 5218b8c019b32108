"""Every processing step of the RDF's formats, as a package names it and as numpy computes it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from tests.foreign_packages import Foreign

Pixels = NDArray[np.float64]
EPS = 1e-6

# The axes (of CZYX) of statistics over a whole image, and over each channel.
ALL, SPACE = (0, 1, 2, 3), (1, 2, 3)


@dataclass(frozen=True)
class Operation:
    """A step before or after the network. formula: of the tensor (C, Z, Y, X), and of the raw
    image. core: whether bioimageio.core runs it."""

    version: str
    place: str
    steps: tuple[Mapping[str, Any], ...]
    formula: Callable[[Pixels, Pixels], Pixels]
    core: bool = True

    @property
    def case(self) -> Foreign:
        return Foreign(**{self.place: self.steps})


def _old(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"name": name, "kwargs": kwargs}


def _new(name: str, **kwargs: Any) -> dict[str, Any]:
    return {"id": name, "kwargs": kwargs}


def _each(*numbers: float) -> Pixels:
    return np.array(numbers).reshape(-1, 1, 1, 1)


def _range(low: float, high: float, axes: Any, eps: float = EPS, method: str = "linear") -> Any:
    def formula(x: Pixels, of: Pixels) -> Pixels:
        ends = np.percentile(of, [low, high], axis=axes, keepdims=True, method=method)
        return (x - ends[0]) / (ends[1] - ends[0] + eps)

    return formula


def _standard(axes: Any, eps: float = EPS) -> Callable[[Pixels, Pixels], Pixels]:
    return lambda x, _: (x - x.mean(axes, keepdims=True)) / (x.std(axes, keepdims=True) + eps)


def _matched(axes: Any) -> Callable[[Pixels, Pixels], Pixels]:
    def formula(x: Pixels, image: Pixels) -> Pixels:
        normal = _standard(axes)(x, x)
        std, mean = image.std(axes, keepdims=True), image.mean(axes, keepdims=True)
        return normal * (std + EPS) + mean

    return formula


def _own(formula: Callable[[Pixels, Pixels], Pixels]) -> Callable[[Pixels, Pixels], Pixels]:
    """With the statistics of the tensor itself."""
    return lambda x, _: formula(x, x)


def _clipped(axes: Any) -> Callable[[Pixels, Pixels], Pixels]:
    def formula(x: Pixels, _: Pixels) -> Pixels:
        low, high = np.percentile(x, [5, 90], axis=axes, keepdims=True, method="inverted_cdf")
        return np.clip(x, low, high)

    return formula


_YX = ["y", "x"]
_CYX = ["channel", "y", "x"]
_NEW: dict[str, tuple[str, tuple[dict[str, Any], ...], Any]] = {
    "binarize": ("both", (_new("binarize", threshold=40.0),), lambda x, _: x > 40),
    "binarize-by-channel": (
        "both",
        (_new("binarize", axis="channel", threshold=[30.0, 10.0]),),
        lambda x, _: x > _each(30, 10),
    ),
    "clip": ("both", (_new("clip", min=20.0, max=60.0),), lambda x, _: np.clip(x, 20, 60)),
    "clip-above": ("both", (_new("clip", max=50.0),), lambda x, _: np.minimum(x, 50)),
    "clip-percentiles": (
        "both",
        (_new("clip", min_percentile=5.0, max_percentile=90.0, axes=_YX),),
        _clipped(SPACE),
    ),
    "float32": ("both", (_new("ensure_dtype", dtype="float32"),), lambda x, _: x),
    "whole-numbers": (
        "both",
        (
            _new("scale_linear", gain=0.3),
            _new("clip", min=0.0),
            _new("ensure_dtype", dtype="uint16"),
        ),
        lambda x, _: np.trunc(np.maximum(x * 0.3, 0)),
    ),
    "fixed-mean": (
        "both",
        (_new("fixed_zero_mean_unit_variance", mean=30.0, std=7.0),),
        lambda x, _: (x - 30) / 7,
    ),
    "fixed-mean-by-channel": (
        "both",
        (
            _new(
                "fixed_zero_mean_unit_variance",
                axis="channel",
                mean=[30.0, 60.0],
                std=[7.0, 9.0],
            ),
        ),
        lambda x, _: (x - _each(30, 60)) / _each(7, 9),
    ),
    "linear": ("both", (_new("scale_linear", gain=0.5, offset=-3.0),), lambda x, _: x * 0.5 - 3),
    "linear-by-channel": (
        "both",
        (_new("scale_linear", axis="channel", gain=[0.5, 2.0], offset=[1.0, -1.0]),),
        lambda x, _: x * _each(0.5, 2) + _each(1, -1),
    ),
    "range": (
        "both",
        (_new("scale_range", min_percentile=1.0, max_percentile=99.0),),
        _own(_range(1, 99, ALL)),
    ),
    "range-by-channel": (
        "both",
        (_new("scale_range", axes=_YX, min_percentile=2.0, max_percentile=99.8),),
        _own(_range(2, 99.8, SPACE)),
    ),
    "range-then-clip": (
        "before",
        (_new("scale_range", axes=_CYX, max_percentile=95.0), _new("clip", min=0.0, max=1.0)),
        lambda x, _: np.clip(_range(0, 95, ALL)(x, x), 0, 1),
    ),
    "range-of-the-input": (
        "after",
        (_new("scale_range", axes=_YX, max_percentile=90.0, reference_tensor="input"),),
        _range(0, 90, SPACE),
    ),
    "sigmoid": (
        "both",
        (_new("scale_linear", gain=0.05, offset=-2.0), {"id": "sigmoid"}),
        lambda x, _: special.expit(x * 0.05 - 2),
    ),
    "softmax": (
        "both",
        (_new("scale_linear", gain=0.05), _new("softmax", axis="channel")),
        lambda x, _: special.softmax(x * 0.05, axis=0),
    ),
    "mean": ("both", ({"id": "zero_mean_unit_variance"},), _standard(ALL)),
    "mean-by-channel": (
        "both",
        (_new("zero_mean_unit_variance", axes=_YX),),
        _standard(SPACE),
    ),
    "mean-with-eps": (
        "both",
        (_new("zero_mean_unit_variance", axes=_YX, eps=0.1),),
        _standard(SPACE, 0.1),
    ),
    "matched": (
        "after",
        (_new("scale_mean_variance", reference_tensor="input"),),
        _matched(ALL),
    ),
    "matched-by-channel": (
        "after",
        (_new("scale_mean_variance", axes=_YX, reference_tensor="input"),),
        _matched(SPACE),
    ),
}
_OLD: dict[str, tuple[str, tuple[dict[str, Any], ...], Any]] = {
    "binarize": ("both", (_old("binarize", threshold=40.0),), lambda x, _: x > 40),
    "clip": ("both", (_old("clip", min=20.0, max=60.0),), lambda x, _: np.clip(x, 20, 60)),
    # Without axes the spec library refuses it in outputs.
    "linear": ("before", (_old("scale_linear", gain=0.5, offset=-3.0),), lambda x, _: x * 0.5 - 3),
    "linear-of-all": (
        "after",
        (_old("scale_linear", axes="cyx", gain=0.5, offset=-3.0),),
        lambda x, _: x * 0.5 - 3,
    ),
    "linear-complement": (
        "both",
        (_old("scale_linear", axes="yx", gain=[0.5, 2.0], offset=[1.0, -1.0]),),
        lambda x, _: x * _each(0.5, 2) + _each(1, -1),
    ),
    "range": (
        "both",
        (
            _old(
                "scale_range", mode="per_sample", axes="cyx", min_percentile=1, max_percentile=99.0
            ),
        ),
        _own(_range(1, 99, ALL)),
    ),
    "range-by-channel": (
        "both",
        (_old("scale_range", mode="per_sample", axes="yx", max_percentile=99.8, eps="1e-03"),),
        _own(_range(0, 99.8, SPACE, 1e-3)),
    ),
    "range-of-the-input": (
        "after",
        (
            _old(
                "scale_range",
                mode="per_sample",
                axes="yx",
                max_percentile=90.0,
                reference_tensor="input",
            ),
        ),
        _range(0, 90, SPACE),
    ),
    "sigmoid": (
        "both",
        (
            _old("zero_mean_unit_variance", mode="fixed", axes="cyx", mean=40.0, std=20.0),
            {"name": "sigmoid"},
        ),
        lambda x, _: special.expit((x - 40) / 20),
    ),
    "mean": (
        "both",
        (_old("zero_mean_unit_variance", mode="per_sample", axes="cyx"),),
        _standard(ALL),
    ),
    "mean-by-channel": (
        "both",
        (_old("zero_mean_unit_variance", mode="per_sample", axes="yx"),),
        _standard(SPACE),
    ),
    "mean-of-the-dataset": (
        "before",
        (_old("zero_mean_unit_variance", mode="per_dataset", axes="yx"),),
        _standard(SPACE),
    ),
    "range-of-the-dataset": (
        "before",
        (_old("scale_range", mode="per_dataset", axes="yx", max_percentile=99.0),),
        _own(_range(0, 99, SPACE)),
    ),
    "fixed-mean": (
        "both",
        (_old("zero_mean_unit_variance", mode="fixed", axes="cyx", mean=30.0, std=7.0),),
        lambda x, _: (x - 30) / 7,
    ),
    "fixed-mean-complement": (
        "both",
        (
            _old(
                "zero_mean_unit_variance",
                mode="fixed",
                axes="yx",
                mean=[30.0, 60.0],
                std=[7.0, 9.0],
            ),
        ),
        lambda x, _: (x - _each(30, 60)) / _each(7, 9),
    ),
    "matched": (
        "after",
        (_old("scale_mean_variance", mode="per_sample", axes="yx", reference_tensor="input"),),
        _matched(SPACE),
    ),
}
# What bioimageio.core 0.11 refuses: statistics of outputs, arguments by channel of some steps,
# conversions before the network to what it does not take; and it passes over eps.
_NOT_BY_CORE = {
    "0.4-after-linear-complement",
    "0.4-after-linear-of-all",
    "0.4-after-matched",
    "0.4-after-mean",
    "0.4-after-mean-by-channel",
    "0.4-after-range",
    "0.4-after-range-by-channel",
    "0.4-before-linear-complement",
    "0.5-after-binarize-by-channel",
    "0.5-after-clip-percentiles",
    "0.5-after-matched",
    "0.5-after-matched-by-channel",
    "0.5-after-mean",
    "0.5-after-mean-by-channel",
    "0.5-after-mean-with-eps",
    "0.5-after-range",
    "0.5-after-range-by-channel",
    "0.5-before-binarize",
    "0.5-before-binarize-by-channel",
    "0.5-before-mean-with-eps",
    "0.5-before-whole-numbers",
}


def _listed() -> dict[str, Operation]:
    listed = {}
    for version, table in (("0.4", _OLD), ("0.5", _NEW)):
        for name, (places, steps, formula) in table.items():
            for place in ("before", "after") if places == "both" else (places,):
                key = f"{version}-{place}-{name}"
                listed[key] = Operation(version, place, steps, formula, key not in _NOT_BY_CORE)
    return listed


OPERATIONS = _listed()

AXES = ("bcyx", "byxc", "bxyc", "cyx", "yxc", "byx", "yx", "bczyx", "bzyxc", "czyx", "zyx")
GEOMETRIES: dict[str, Mapping[str, Any]] = {
    "same": {},
    "valid": {"valid": True},
    "twice": {"zoom": 2},
    "half": {"zoom": 0.5},
    "fixed": {"sizes": "fixed", "halo": 0},
}


def of_axes(axes: str, **more: Any) -> Foreign:
    """A case with these axes, of two channels where these have any, and three in its output."""
    return Foreign(axes=axes, channels=(2, 3) if "c" in axes else (1, 1), **more)
