"""The processing steps of a tensor, in one form for all formats of the RDF.

An argument is a number, or a list with one number or one for each channel. Statistics are those
of the tensor as it is before any of its steps, as bioimageio.core takes them; "axes" are the
letters (of CZYX) of the axes along which they are taken together, "dataset" says that they are
those of all images, not of each. Slices that a 2D network sees one at a time are one image.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from care_bridge.package.refusal import RefusedError

_ALL = "CZYX"


@dataclass(frozen=True)
class Step:
    """A processing step: its id and its arguments, all of them, as plain data."""

    id: str
    kwargs: Mapping[str, Any]


FLOAT32 = Step("ensure_dtype", {"dtype": "float32"})
"""What the pixels of integer images need before a network."""


def written(step: Step) -> dict[str, Any]:
    """A step that names no axes as the RDF writes it: a map of its own each time, since YAML makes
    an alias of one that is there twice."""
    return {"id": step.id, "kwargs": dict(step.kwargs)}


@dataclass(frozen=True)
class Operations:
    """Normalization by processing steps that no scale equals: those of each input of the network,
    and those of its output."""

    inputs: tuple[tuple[Step, ...], ...]
    output: tuple[Step, ...]


@dataclass(frozen=True)
class Processed:
    """A tensor that has processing steps: its id, the letters of its axes, its channels."""

    id: str
    axes: str
    channels: int

    def step(self, name: str, given: Mapping[str, Any]) -> Step:
        """The step called `name` with its arguments; in them axes are letters: "axis" is one, None
        or missing, "axes" some, None for all of them. RefusedError where it cannot be run."""
        if name not in _ARGUMENTS:
            raise RefusedError(
                f"its {self.id} needs the processing step {name}, care_bridge runs "
                f"{', '.join(sorted(_ARGUMENTS))}"
            )
        if given.get("axis") not in (None, "C"):
            raise RefusedError(
                f"its {name} is along the axis {given['axis']} of {self.id}, care_bridge runs it "
                "along channels"
            )
        return Step(name, _ARGUMENTS[name](self, given))

    def by_channel(self, name: str, given: Mapping[str, Any]) -> list[float]:
        """A number, or one for each channel."""
        value = given[name]
        numbers = [float(each) for each in (value if isinstance(value, list) else [value])]
        if len(numbers) not in (1, self.channels):
            raise RefusedError(
                f"the {name} of its {self.id} does not have a number for each of {self.channels} "
                "channels"
            )
        return numbers

    def statistics(self, given: Mapping[str, Any]) -> dict[str, Any]:
        """Over what statistics are taken."""
        axes = set(self.axes) - {"B"} if given.get("axes") is None else set(given["axes"])
        if not {"Y", "X"} <= axes:
            raise RefusedError(
                f"it normalises {self.id} over {', '.join(sorted(axes)) or 'no axis'} alone, "
                "care_bridge over Y and X at least"
            )
        together = axes | (set(_ALL) - set(self.axes))
        return {
            "axes": "".join(letter for letter in _ALL if letter in together),
            "dataset": "B" in axes,
        }


def _none(_tensor: Processed, _given: Mapping[str, Any]) -> dict[str, Any]:
    return {}


def _dtype(_tensor: Processed, given: Mapping[str, Any]) -> dict[str, Any]:
    return {"dtype": str(given["dtype"])}


def _numbers(*names: str) -> Callable[[Processed, Mapping[str, Any]], dict[str, Any]]:
    def arguments(tensor: Processed, given: Mapping[str, Any]) -> dict[str, Any]:
        return {name: tensor.by_channel(name, given) for name in names}

    return arguments


def _clip(tensor: Processed, given: Mapping[str, Any]) -> dict[str, Any]:
    names = ("min", "max", "min_percentile", "max_percentile")
    ends = {name: None if given.get(name) is None else float(given[name]) for name in names}
    measured = ends["min_percentile"] is not None or ends["max_percentile"] is not None
    return ends | (tensor.statistics(given) if measured else {})


def _range(tensor: Processed, given: Mapping[str, Any]) -> dict[str, Any]:
    return {
        **tensor.statistics(given),
        "min_percentile": float(given["min_percentile"]),
        "max_percentile": float(given["max_percentile"]),
        "eps": float(given["eps"]),
        **_reference(tensor, given),
    }


def _moments(tensor: Processed, given: Mapping[str, Any]) -> dict[str, Any]:
    return {**tensor.statistics(given), "eps": float(given["eps"])}


def _matched(tensor: Processed, given: Mapping[str, Any]) -> dict[str, Any]:
    return {**_moments(tensor, given), **_reference(tensor, given)}


def _reference(tensor: Processed, given: Mapping[str, Any]) -> dict[str, str]:
    """The tensor whose statistics are taken, "" for the tensor itself; and along which axes they
    are to be taken one by one, also axes that only the other tensor has."""
    reference = str(given.get("reference_tensor") or "")
    together = set(_ALL) if given.get("axes") is None else set(given["axes"])
    return {
        "reference_tensor": "" if reference == tensor.id else reference,
        "apart": "".join(letter for letter in _ALL if letter not in together),
    }


_ARGUMENTS: dict[str, Callable[[Processed, Mapping[str, Any]], dict[str, Any]]] = {
    "binarize": _numbers("threshold"),
    "clip": _clip,
    "ensure_dtype": _dtype,
    "fixed_zero_mean_unit_variance": _numbers("mean", "std"),
    "scale_linear": _numbers("gain", "offset"),
    "scale_mean_variance": _matched,
    "scale_range": _range,
    "sigmoid": _none,
    "softmax": _none,
    "zero_mean_unit_variance": _moments,
}
