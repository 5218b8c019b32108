"""Several images in one file: exposures as its channels, or as its frames."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from care_bridge.errors import ConfigError
from care_bridge.training.data_config import DataConfig
from care_bridge.training.layouts.fields import Field, Frames, View

_TARGET_FRAMES: dict[str, Frames] = {"each": "each", "mean": "mean", "next": "but first"}


def holds_targets(config: DataConfig) -> bool:
    """Whether sources and targets may lie in one file."""
    return config.target_channels is not None or config.target_frames != "each"


def taken(field: Field, config: DataConfig) -> Field:
    """The field with what the configuration takes of its files: for each group of channels a source
    of its own, and the target's channels and frames. A field that has no target gets one out of its
    source's file, where the configuration says how.

    ConfigError where the source would be its own target.
    """
    target = field.target
    if target is None and config.target is not None:
        (source,) = field.sources
        if config.target_frames == "each" and config.source_channels is None:
            raise ConfigError(
                f"data.target_channels takes the targets out of the sources' files ({source.path}):"
                " say which channels are the sources, e.g. data.source_channels=[1]"
            )
        target = source
    elif target is not None and config.target_frames == "next":
        raise ConfigError(
            f"data.target_frames=next pairs the frames of one file, but {field.sources[0].path} "
            f"has its target in {target.path}: leave it out, or give a folder of movies alone"
        )
    following = config.target_frames == "next"
    sources = tuple(
        replace(part, frames="but last" if following else "each")
        for source in field.sources
        for part in _parts(source, config)
    )
    if target is None:
        return replace(field, sources=sources)
    target = replace(
        target, channels=config.target_channels, frames=_TARGET_FRAMES[config.target_frames]
    )
    for source in sources:
        if config.target_frames == "each" and _holds(source, target):
            raise ConfigError(
                f"{source.path} would be its own target: name other images with data.target, or "
                "other channels with data.source_channels and data.target_channels"
            )
    return replace(field, sources=sources, target=target)


def said(config: DataConfig) -> str:
    """What is taken of each file, as it is told to people; "" where it is all."""
    told = []
    if config.source_channels:
        groups = ", ".join("+".join(map(str, group)) for group in config.source_channels)
        several = len(config.source_channels) > 1
        told.append(f"channels {groups} as sources" if several else f"channel {groups} as source")
    if config.target_channels:
        told.append(f"channel {'+'.join(map(str, config.target_channels))} as target")
    if config.target_frames == "mean":
        told.append("the mean of all frames as target")
    if config.target_frames == "next":
        told.append("the next frame as target")
    return "; ".join(told)


def _holds(source: View, target: View) -> bool:
    """Whether all that the target shows is in the source."""
    if source.path.resolve() != target.path.resolve():
        return False
    if source.channels is None or target.channels is None:
        return source.channels is None
    return set(target.channels) <= set(source.channels)


def _parts(view: View, config: DataConfig) -> Iterator[View]:
    groups = config.source_channels
    if groups is None:
        yield view
        return
    for group in groups:
        told = "+".join(map(str, group))
        name = f"{view.name} channel {told}" if len(groups) > 1 else view.name
        yield replace(view, name=name, channels=group)
