"""Rules on what is done to tensors before and after the network."""

from __future__ import annotations

from collections.abc import Iterator

from care_bridge.package.consumers.draft import Described, Draft, axis_id
from care_bridge.package.consumers.rule import CORE, DEEPIMAGEJ, OLD_CORE, Rule

_SIDES = {"inputs": "preprocessing", "outputs": "postprocessing"}


def _steps(tensor: Described, key: str) -> list[Described]:
    listed = tensor.get(key)
    return [step for step in (listed if isinstance(listed, list) else []) if isinstance(step, dict)]


def _kwargs(step: Described) -> Described:
    kwargs = step.get("kwargs")
    return kwargs if isinstance(kwargs, dict) else {}


def _no_type(draft: Draft) -> Iterator[str]:
    for tensor in draft.tensors("inputs"):
        if not _ensures_float32(tensor):
            yield (
                f'the preprocessing of "{tensor.get("id")}" does not begin with ensure_dtype '
                "float32: integer images fail"
            )


def _ensures_float32(tensor: Described) -> bool:
    first = _steps(tensor, "preprocessing")[:1]
    return [(step.get("id"), _kwargs(step).get("dtype")) for step in first] == [
        ("ensure_dtype", "float32")
    ]


def _ensure_type(draft: Draft) -> None:
    for tensor in draft.tensors("inputs"):
        if not _ensures_float32(tensor):
            tensor["preprocessing"] = [
                {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}},
                *_steps(tensor, "preprocessing"),
            ]


def _ranges(draft: Draft) -> Iterator[tuple[Described, Described]]:
    """The inputs and their steps scale_range."""
    for tensor in draft.tensors("inputs"):
        for step in _steps(tensor, "preprocessing"):
            if step.get("id") == "scale_range":
                yield tensor, step


def _no_axes(draft: Draft) -> Iterator[str]:
    for tensor, step in _ranges(draft):
        if not _kwargs(step).get("axes"):
            yield (
                f'scale_range of "{tensor.get("id")}" names no axes: its statistics are those of '
                "all images of a batch together"
            )


def _name_axes(draft: Draft) -> None:
    """All but the batch's: for one image that is the same."""
    for tensor, step in _ranges(draft):
        if not _kwargs(step).get("axes"):
            axes = [axis_id(axis) for axis in tensor["axes"] if axis.get("type") != "batch"]
            step["kwargs"] = {"axes": axes, **_kwargs(step)}


def _batch_listed(draft: Draft) -> Iterator[str]:
    for tensor, step in _ranges(draft):
        if "batch" in (_kwargs(step).get("axes") or ()):
            yield f'scale_range of "{tensor.get("id")}" mixes the images of a batch'


def _unlist_batch(draft: Draft) -> None:
    for _, step in _ranges(draft):
        axes = _kwargs(step).get("axes")
        if axes:
            step["kwargs"] = {**_kwargs(step), "axes": [axis for axis in axes if axis != "batch"]}


def _numbers_as_text(draft: Draft) -> list[tuple[Described, str]]:
    """The arguments of steps that are a number but for their type."""
    return [
        (step["kwargs"], key)
        for side, listed in _SIDES.items()
        for tensor in draft.tensors(side)
        for step in _steps(tensor, listed)
        for key, value in _kwargs(step).items()
        if isinstance(value, str) and _is_number(value)
    ]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _text(draft: Draft) -> Iterator[str]:
    for kwargs, key in _numbers_as_text(draft):
        yield f"{key} is written as {kwargs[key]}, which many readers of YAML take for a text"


def _write_numbers(draft: Draft) -> None:
    for kwargs, key in _numbers_as_text(draft):
        kwargs[key] = float(kwargs[key])


def _refused_after(draft: Draft) -> Iterator[str]:
    for tensor in draft.tensors("outputs"):
        for step in _steps(tensor, "postprocessing"):
            if step.get("id") == "scale_mean_variance":
                yield f'scale_mean_variance of "{tensor.get("id")}" raises an error there'


PROCESSING_RULES = (
    Rule(
        "ensure-dtype",
        (CORE, DEEPIMAGEJ),
        "error",
        _no_type,
        "put ensure_dtype with dtype: float32 first",
        _ensure_type,
    ),
    Rule(
        "scale-range-axes",
        (CORE, DEEPIMAGEJ),
        "error",
        _no_axes,
        "name the axes along which statistics are taken: [z, y, x]",
        _name_axes,
    ),
    Rule(
        "scale-range-batch",
        (CORE, DEEPIMAGEJ),
        "error",
        _batch_listed,
        "leave batch out of its axes",
        _unlist_batch,
    ),
    Rule(
        "numbers-as-text",
        (OLD_CORE, DEEPIMAGEJ),
        "warning",
        _text,
        "write a point before the e: 1.0e-06",
        _write_numbers,
    ),
    Rule(
        "scale-mean-variance",
        (CORE, DEEPIMAGEJ),
        "error",
        _refused_after,
        "use fixed scales (scale_linear), or leave the output normalised",
    ),
)
