"""Rules on what is done to tensors before and after the network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from care_bridge.package.consumers.draft import DATA_TYPES, Described, Draft, data_type
from care_bridge.package.consumers.rule import CORE, DEEPIMAGEJ, OLD_CORE, Rule
from care_bridge.package.steps import FLOAT32, Step, written

_LISTS = {"inputs": "preprocessing", "outputs": "postprocessing"}
_OF_STATISTICS = ("scale_range", "zero_mean_unit_variance")


def _steps_of(tensor: Described, key: str) -> list[Described]:
    listed = tensor.get(key)
    return [step for step in (listed if isinstance(listed, list) else []) if isinstance(step, dict)]


def _kwargs(step: Described) -> Described:
    kwargs = step.get("kwargs")
    return kwargs if isinstance(kwargs, dict) else {}


def _no_type(draft: Draft) -> Iterator[str]:
    for tensor in _without_float32(draft):
        yield (
            f'the preprocessing of "{tensor.get("id")}" does not begin with ensure_dtype float32: '
            "integer images fail"
        )


def _without_float32(draft: Draft) -> list[Described]:
    """The inputs of networks of float32 that are not made such first."""
    return [
        tensor
        for tensor, kind in draft.network_inputs()
        if kind == FLOAT32.kwargs["dtype"] and not _ensures_float32(tensor)
    ]


def _ensures_float32(tensor: Described) -> bool:
    first = _steps_of(tensor, "preprocessing")[:1]
    return [Step(str(step.get("id")), _kwargs(step)) for step in first] == [FLOAT32]


def _ensure_type(draft: Draft) -> None:
    for tensor in _without_float32(draft):
        tensor["preprocessing"] = [written(FLOAT32), *_steps_of(tensor, "preprocessing")]


def _other_type(draft: Draft) -> Iterator[str]:
    for tensor, taken in draft.network_inputs():
        made_by, kind = _reaching(tensor)
        if taken in DATA_TYPES and kind != taken:
            yield (
                f'{made_by} makes "{tensor.get("id")}" of type {kind} for the network, which takes '
                f"{taken}"
            )


def _reaching(tensor: Described) -> tuple[str, str]:
    """What makes an input the type that the network is given, and that type: the last step, if it
    is one that makes a type, else that of the tensor's data, to which it is converted then."""
    last = next(reversed(_steps_of(tensor, "preprocessing")), {})
    if last.get("id") == FLOAT32.id:
        return FLOAT32.id, str(_kwargs(last).get("dtype"))
    if last.get("id") == "binarize":
        return "binarize", "bool"
    return "the type of its data", data_type(tensor)


def _end_with_type(draft: Draft) -> None:
    for tensor, taken in draft.network_inputs():
        if taken in DATA_TYPES and _reaching(tensor)[1] != taken:
            step = written(Step(FLOAT32.id, {"dtype": taken}))
            tensor["preprocessing"] = [*_steps_of(tensor, "preprocessing"), step]


def _type_without_name(draft: Draft) -> Iterator[str]:
    for tensor, taken in draft.network_inputs():
        if taken not in DATA_TYPES:
            yield (
                f'the network takes {taken} as "{tensor.get("id")}", which no description can ask '
                "for"
            )


def _statistics(
    draft: Draft, side: Literal["inputs", "outputs"]
) -> Iterator[tuple[Described, Described]]:
    """The tensors of a side and their steps that take statistics of an image."""
    for tensor in draft.tensors(side):
        for step in _steps_of(tensor, _LISTS[side]):
            kwargs = _kwargs(step)
            clips = step.get("id") == "clip" and {"min_percentile", "max_percentile"} & set(kwargs)
            if step.get("id") in _OF_STATISTICS or clips:
                yield tensor, step


def _no_axes(draft: Draft) -> Iterator[str]:
    for tensor, step in _statistics(draft, "inputs"):
        if not _kwargs(step).get("axes"):
            yield (
                f'{step.get("id")} of "{tensor.get("id")}" names no axes: its statistics are '
                "those of all images of a batch together"
            )


def _batch_listed(draft: Draft) -> Iterator[str]:
    for tensor, step in _statistics(draft, "inputs"):
        if "batch" in (_kwargs(step).get("axes") or ()):
            yield f'{step.get("id")} of "{tensor.get("id")}" mixes the images of a batch'


def _numbers_as_text(draft: Draft) -> list[tuple[Described, str]]:
    """The arguments of steps that are a number but for their type."""
    return [
        (step["kwargs"], key)
        for side, listed in _LISTS.items()
        for tensor in draft.tensors(side)
        for step in _steps_of(tensor, listed)
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
        for step in _steps_of(tensor, "postprocessing"):
            if step.get("id") == "scale_mean_variance":
                yield f'scale_mean_variance of "{tensor.get("id")}" raises an error there'


def _statistics_after(draft: Draft) -> Iterator[str]:
    for tensor, step in _statistics(draft, "outputs"):
        if _kwargs(step).get("reference_tensor") in (None, tensor.get("id")):
            yield (
                f'{step.get("id")} of "{tensor.get("id")}" takes statistics of the output itself, '
                "at which 0.10 and newer stop"
            )


def _reference_after(draft: Draft) -> Iterator[str]:
    for tensor, step in _statistics(draft, "outputs"):
        reference = _kwargs(step).get("reference_tensor")
        if reference not in (None, tensor.get("id")):
            yield (
                f'{step.get("id")} of "{tensor.get("id")}" takes statistics of "{reference}", at '
                "which 0.9 stops"
            )


def _linear_along_axes(draft: Draft) -> Iterator[str]:
    if not str(draft.content.get("format_version")).startswith("0.4."):
        return
    for side, key in _LISTS.items():
        listed = draft.content.get(side)
        for tensor in listed if isinstance(listed, list) else ():
            for step in _steps_of(tensor, key) if isinstance(tensor, dict) else ():
                if step.get("name") == "scale_linear" and _kwargs(step).get("axes") is not None:
                    yield (
                        f'scale_linear of "{tensor.get("name")}" names axes, which is not '
                        "implemented for format 0.4"
                    )


PROCESSING_RULES = (
    Rule(
        "linear-axes",
        (CORE,),
        "error",
        _linear_along_axes,
        "write the package as format 0.5 (bioimageio update-format)",
    ),
    Rule(
        "ensure-dtype",
        (DEEPIMAGEJ,),
        "error",
        _no_type,
        "put ensure_dtype with dtype: float32 first",
        _ensure_type,
    ),
    Rule(
        "network-type",
        (CORE,),
        "error",
        _other_type,
        "put ensure_dtype with the type that the network takes last",
        _end_with_type,
    ),
    Rule(
        "network-type-known",
        (CORE,),
        "error",
        _type_without_name,
        "have the network cast from float32 to its type",
    ),
    # Not mended: other statistics are another model's.
    Rule(
        "statistics-axes",
        (CORE, DEEPIMAGEJ),
        "error",
        _no_axes,
        "name the axes along which statistics are taken, without batch: results of several images "
        "change",
    ),
    Rule(
        "statistics-batch",
        (CORE, DEEPIMAGEJ),
        "error",
        _batch_listed,
        "leave batch out of its axes, if each image is to be taken by itself: results change",
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
        "output-statistics",
        (CORE,),
        "error",
        _statistics_after,
        "leave the output as the network gives it, or use fixed numbers",
    ),
    Rule(
        "reference-tensor",
        (OLD_CORE,),
        "error",
        _reference_after,
        "leave the output as the network gives it, or use fixed numbers",
    ),
    Rule(
        "scale-mean-variance",
        (CORE, DEEPIMAGEJ),
        "error",
        _refused_after,
        "use fixed scales (scale_linear), or leave the output normalised",
    ),
)
