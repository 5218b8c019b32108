"""Images as pairs take them from files: some of their channels or frames, or their frames' mean."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import TrainingError
from care_bridge.images import open_source
from care_bridge.images.image import Display, ImageInfo
from care_bridge.images.source import Box, ImageSource
from care_bridge.training.layouts.fields import View

_FRAME, _CHANNEL = 1, 2


@contextmanager
def open_view(view: View) -> Iterator[ImageSource]:
    """The image to be read box by box; a mean of frames is float32.

    TrainingError where the file has no such channels, or no frames to choose from; else the errors
    of `open_source`.
    """
    with open_source(view.path, view.axes) as source:
        seen: ImageSource = source
        if view.channels is not None:
            seen = _Channels(seen, view)
        if view.frames != "each":
            _check_frames(seen, view)
            seen = _Mean(seen) if view.frames == "mean" else _Shifted(seen, view)
        yield seen


def _check_frames(source: ImageSource, view: View) -> None:
    if source.info.sizes.get("T", 1) < 2:
        raise TrainingError(
            f"{view.path} has axes {source.info.axes} and no frames (axis T), which "
            "data.target_frames makes targets of: give movies, or leave it out"
        )


def _resized(info: ImageInfo, axis: str, size: int) -> ImageInfo:
    sizes = info.sizes | ({axis: size} if axis in info.axes else {})
    return info.replace(shape=tuple(sizes.values()))


class _Channels:
    """Some channels of an image, in any order."""

    def __init__(self, source: ImageSource, view: View) -> None:
        self._source = source
        self._chosen = view.channels or ()
        count = source.info.sizes.get("C", 1)
        for channel in self._chosen:
            if channel >= count:
                raise TrainingError(
                    f"{view.path} has no channel {channel}: it has {count}, counted from 0 "
                    "(data.source_channels, data.target_channels)"
                )
        info = _resized(source.info, "C", len(self._chosen))
        self.info = info.replace(display=Display(), rgb=False)
        self.pieces = tuple(
            1 if axis == _CHANNEL else size for axis, size in enumerate(source.pieces)
        )
        self.memory = source.memory

    def read(self, box: Box) -> NDArray[np.generic]:
        """The pixels of a box."""
        read = [
            self._source.read(_moved(box, _CHANNEL, channel, channel + 1))
            for channel in self._chosen[box[_CHANNEL]]
        ]
        return np.concatenate(read, axis=_CHANNEL)


class _Shifted:
    """All frames of an image but the last, or but the first."""

    def __init__(self, source: ImageSource, view: View) -> None:
        self._source = source
        self._first = 1 if view.frames == "but first" else 0
        self.info = _resized(source.info, "T", source.info.sizes["T"] - 1)
        self.pieces = source.pieces
        self.memory = source.memory

    def read(self, box: Box) -> NDArray[np.generic]:
        """The pixels of a box."""
        frames = box[_FRAME]
        start, stop = frames.start + self._first, frames.stop + self._first
        return self._source.read(_moved(box, _FRAME, start, stop))


class _Mean:
    """The mean of an image's frames, as its only one; summed up in float64."""

    def __init__(self, source: ImageSource) -> None:
        self._source = source
        self._frames = source.info.sizes["T"]
        self.info = _resized(source.info, "T", 1).replace(dtype=np.dtype(np.float32))
        self.pieces = source.pieces
        self.memory = source.memory

    def read(self, box: Box) -> NDArray[np.generic]:
        """The pixels of a box."""
        total = np.zeros([bounds.stop - bounds.start for bounds in box])
        for frame in range(self._frames):
            total += np.asarray(self._source.read(_moved(box, _FRAME, frame, frame + 1)), float)
        return (total / self._frames).astype(np.float32)


def _moved(box: Box, axis: int, start: int, stop: int) -> Box:
    return (*box[:axis], slice(start, stop), *box[axis + 1 :])
