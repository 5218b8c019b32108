"""The configuration of what a run is trained on: where the images lie and what belongs together."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from care_bridge.training.section import Section

Channel = Annotated[int, Field(ge=0)]


def _several(value: Any) -> Any:
    """One folder stands for a list of one."""
    return (value,) if isinstance(value, str) else value


def _groups(value: Any) -> Any:
    """A number in a list of groups stands for a group of one."""
    if not isinstance(value, list | tuple):
        return value
    return tuple((each,) if isinstance(each, int) else each for each in value)


class DataConfig(Section):
    """Where the images lie, and what is paired with what (layouts/).

    source: folders inside DATA (or absolute paths), a name or a list; several share one target.
    target: the folder of the targets; None: noisy images alone. Files belong together that have
    the same name. axes, target_axes: of plain TIFF files that do not say their own; targets by
    default as sources. source_channels: channels, from 0, or lists of channels, each of which is a
    source of its own; None: all channels together are one. target_channels: those of the target.
    target_frames: "each" frame is the target of the source's, their "mean" is that of all, or the
    "next" frame is that of the one before. Where target_channels or target_frames are given and
    there is no folder of targets, targets are in the sources' files.
    validation: share of the fields of view kept for validation, at least one. validation_folder:
    for validation alone, in DATA's layout, in DATA or absolute; None: val/ where there is one, else
    by share.
    """

    source: Annotated[tuple[str, ...], Field(min_length=1), BeforeValidator(_several)] = ("source",)
    target: str | None = "GT"
    axes: str | None = None
    target_axes: str | None = None
    source_channels: (
        Annotated[
            tuple[Annotated[tuple[Channel, ...], Field(min_length=1)], ...],
            Field(min_length=1),
            BeforeValidator(_groups),
        ]
        | None
    ) = None
    target_channels: Annotated[tuple[Channel, ...], Field(min_length=1)] | None = None
    target_frames: Literal["each", "mean", "next"] = "each"
    validation: Annotated[float, Field(gt=0, lt=1)] = 0.1
    validation_folder: str | None = None
