"""What a data set holds, and what in it would spoil a training run."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, prod

import numpy as np
from numpy.typing import NDArray

from care_bridge.training.copies import said_of_copies
from care_bridge.training.dataset import Dataset
from care_bridge.training.image_statistics import Statistics
from care_bridge.training.patches import Foreground
from care_bridge.training.pixels import Pixels
from care_bridge.training.registration import Shift, find_shift
from care_bridge.training.stacks import Stack

SHIFT_LIMIT = 0.75
SATURATION_LIMIT = 0.001
VALIDATION_LIMIT = 0.05
_BINS = 96
_SAMPLED = 1 << 16
_BATCHES = 4
_NAMED = 5


@dataclass(frozen=True)
class Side:
    """The sources or the targets of one file. low, high: the percentiles that prediction scales by,
    a channel each. saturated: share of pixels at the highest level there is, if that is a whole
    number. blank: numbers of the frames without contrast."""

    dtype: str
    low: tuple[float, ...]
    high: tuple[float, ...]
    saturated: float
    blank: tuple[int, ...]


@dataclass(frozen=True)
class FileSurvey:
    """One pair of files. shape: of a frame as the network sees it, [Z,] Y, X. centres: pixels that
    patches may be drawn around, in `places` that there are. shift: of the first frame that is not
    blank, None where all are."""

    name: str
    part: str
    frames: int
    shape: tuple[int, ...]
    source: Side
    target: Side
    centres: int
    places: int
    shift: Shift | None


@dataclass(frozen=True)
class Histogram:
    """edges: of the bins, grey levels or the normalised scale. source, target: share of pixels."""

    edges: NDArray[np.float64]
    source: NDArray[np.float64]
    target: NDArray[np.float64]


@dataclass(frozen=True)
class Survey:
    """Everything that is found out about a data set before training.

    said: the layout and the split. patches: pairs (source, target) as training draws them,
    (C, [Z,] Y, X), normalised. before, after: normalisation. warnings: a line each, empty for data
    without fault.
    """

    said: str
    files: tuple[FileSurvey, ...]
    patch: tuple[int, ...]
    patches: tuple[tuple[NDArray[np.float32], NDArray[np.float32]], ...]
    before: Histogram
    after: Histogram
    warnings: tuple[str, ...]


def survey(dataset: Dataset) -> Survey:
    """Look at every frame once, and draw the first batches as training would."""
    patch = dataset.config.patches.size or ()
    files = tuple(
        _file(name, part, stacks, dataset)
        for part, all_stacks in (("training", dataset.training), ("validation", dataset.validation))
        for name, stacks in _by_name(all_stacks)
    )
    source = dataset.training_patches()
    drawn = [source.batch(k) for k in range(_BATCHES)]
    patches = tuple(
        pair for sources, targets in drawn for pair in zip(sources, targets, strict=True)
    )
    return Survey(
        said=dataset.said,
        files=files,
        patch=patch,
        patches=patches,
        before=_histogram(
            np.concatenate([_sampled(stack.source) for stack in dataset.training]),
            np.concatenate([_sampled(stack.target) for stack in dataset.training]),
            whole=any(
                np.issubdtype(side.dtype, np.integer)
                for stack in dataset.training
                for side in (stack.source, stack.target)
            ),
        ),
        after=_histogram(
            np.concatenate([sources.ravel() for sources, _ in drawn]),
            np.concatenate([targets.ravel() for _, targets in drawn]),
        ),
        warnings=tuple(_warnings(files, dataset)),
    )


def _by_name(stacks: Sequence[Stack]) -> Iterator[tuple[str, list[Stack]]]:
    grouped: dict[str, list[Stack]] = {}
    for stack in stacks:
        grouped.setdefault(stack.name, []).append(stack)
    yield from grouped.items()


def _file(name: str, part: str, stacks: Sequence[Stack], dataset: Dataset) -> FileSurvey:
    patch, share = dataset.config.patches.size or (), dataset.config.patches.background
    first = stacks[0]
    seen = [stack for stack in stacks if not (_flat(stack.source) or _flat(stack.target))]
    places = prod(size - pixels + 1 for size, pixels in zip(first.shape, patch, strict=True))
    return FileSurvey(
        name=name,
        part=part,
        frames=len(stacks),
        shape=first.shape,
        source=_side([stack.source for stack in stacks], first.source_statistics, dataset),
        target=_side([stack.target for stack in stacks], first.target_statistics, dataset),
        centres=sum(Foreground.find(stack, patch, share).count for stack in stacks),
        places=places * len(stacks),
        shift=find_shift(seen[0]) if seen else None,
    )


def _side(frames: Sequence[Pixels], statistics: Statistics, dataset: Dataset) -> Side:
    normalization = dataset.config.normalization
    return Side(
        dtype=str(frames[0].dtype),
        low=tuple(statistics.level(normalization.low).tolist()),
        high=tuple(statistics.level(normalization.high).tolist()),
        saturated=_saturated(frames),
        blank=tuple(index for index, frame in enumerate(frames) if _flat(frame)),
    )


def _flat(frame: Pixels) -> bool:
    lowest, highest = zip(*((block.min(), block.max()) for block in frame.blocks()), strict=True)
    return bool(min(lowest) == max(highest))


def _saturated(frames: Sequence[Pixels]) -> float:
    """Share of pixels at the highest grey level of all frames: cameras of 12 bits saturate below
    the file's limit. One pixel has to be the brightest, so it is not counted. Levels between whole
    numbers were computed, and may be flat at the top."""
    highest = max(block.max() for frame in frames for block in frame.blocks())
    if highest != round(float(highest)):
        return 0.0
    count = sum(
        int(np.count_nonzero(block == highest)) for frame in frames for block in frame.blocks()
    )
    return (count - 1) / sum(frame.size for frame in frames)


def _sampled(pixels: Pixels) -> NDArray[np.float64]:
    """About _SAMPLED of the pixels, evenly spread over the parts in which they are read."""
    step = max(1, pixels.size // _SAMPLED)
    read, found = 0, []
    for block in pixels.blocks():
        found.append(block.reshape(-1)[-read % step :: step].astype(np.float64))
        read += block.size
    return np.concatenate(found)


def _histogram(
    source: NDArray[np.floating], target: NDArray[np.floating], *, whole: bool = False
) -> Histogram:
    """Of both over one range, which leaves out the outermost thousandth on either side.

    whole: the pixels are whole numbers, and so are the bins' widths; else some bins would hold one
    grey level more than their neighbours.
    """
    low, high = np.percentile(np.concatenate([source, target]), (0.1, 99.9))
    if whole:
        width = max(ceil((high - low + 1) / _BINS), 1)
        edges = np.arange(floor(low), high + width, width) - 0.5
        edges = np.append(edges, edges[-1] + width)
    else:
        edges = np.linspace(low, high if high > low else low + 1, _BINS + 1)
    shares = [np.histogram(side, edges)[0] / side.size for side in (source, target)]
    return Histogram(edges, *shares)


def _warnings(files: Sequence[FileSurvey], dataset: Dataset) -> Iterator[str]:
    yield from (f"not trained on: {reason}" for reason in dataset.refused)
    copies = said_of_copies(dataset)
    if copies:
        yield copies
    unlike = [file.name for file in files if file.shift and not file.shift.alike]
    if unlike:
        yield (
            f"{_first(unlike)}: source and target do not look alike: is it the right partner? "
            "(right ones look so, too, where noise hides nearly all, or far shifts)"
        )
    for file in files:
        shift = file.shift
        if shift and shift.length > SHIFT_LIMIT:
            axes = dataset.config.network.axes[-len(shift.pixels) :]
            told = ", ".join(f"{a} {p:+.1f}" for a, p in zip(axes, shift.pixels, strict=True))
            yield (
                f"{file.name}: source and target are shifted by {told} pixels: register them, or "
                "leave the pair out"
            )
        for label, side in (("source", file.source), ("target", file.target)):
            if side.saturated > SATURATION_LIMIT:
                yield (
                    f"{file.name}: {100 * side.saturated:.1f} % of the {label} is saturated: "
                    "bright structures have lost their shape; take it with less exposure"
                )
            if side.blank:
                yield f"{file.name}: blank {label} frames ({_first(side.blank)}): leave them out"
        if not file.centres:
            yield (
                f"{file.name}: no patch is drawn from it: nothing in it is brighter than "
                f"patches.background={dataset.config.patches.background:g} of its brightest"
            )
    counts = {
        part: sum(file.frames * prod(file.shape) for file in files if file.part == part)
        for part in ("training", "validation")
    }
    share = counts["validation"] / sum(counts.values())
    if share < VALIDATION_LIMIT:
        yield (
            f"only {100 * share:.1f} % of the pixels are kept for validation: its loss will be "
            "noisy; set a larger data.validation"
        )


def _first(things: Sequence[object]) -> str:
    """The first few of them."""
    return ", ".join(map(str, things[:_NAMED])) + (" …" if len(things) > _NAMED else "")
