"""Everything that is found out about one field of view, as plain values.

Needs scikit-image and scipy (extra `evaluate`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ImageError
from care_bridge.evaluation.figures import FullFigures, full_figures
from care_bridge.evaluation.filters import Baseline, best_filters, interpolated, projected
from care_bridge.evaluation.metrics import fit_to_truth, is_blank
from care_bridge.evaluation.objects import Found, compare_objects, find_objects
from care_bridge.evaluation.pictures import Line, profile
from care_bridge.evaluation.reliability import Reliability, calibration, laplaces_of_image
from care_bridge.evaluation.samples import Block, Sample
from care_bridge.evaluation.spectra import FEWEST_SLICES, Isotropy, spectral_isotropy
from care_bridge.evaluation.without_truth import ResolutionScaled, resolution_scaled
from care_bridge.normalization import Percentiles

Part = TypeVar("Part")

_EPS = 1e-6
_NO_PLANE = np.empty((0, 0))


@dataclass(frozen=True)
class Request:
    """What is wanted besides the figures. baselines: names of filters. objects: the segmentation
    proof. line: for profiles. members_percentiles: the truth's, by which it is scaled as the
    predicted distributions are; None: they are in its grey levels. pictures: keep planes to be
    shown."""

    baselines: tuple[str, ...] = ()
    objects: bool = False
    line: Line | None = None
    members_percentiles: tuple[float, float] | None = (2.0, 99.8)
    pictures: bool = False


@dataclass(frozen=True)
class Row:
    """Figures of one method. channel counts from 0; frame, slice: None for all of them. photons:
    of the simulated exposure, None for images as they are. setting: of a baseline. figures: None
    where the truth is blank."""

    image: str
    method: str
    channel: int
    frame: int | None
    slice: int | None
    photons: float | None
    setting: str
    figures: FullFigures | None


@dataclass(frozen=True)
class Assessment:
    """What was found out about one field of view; by method where there are several.

    planes: one plane of the truth in its scale and of each method fitted to it. They and the
    difference of `unexplained` are empty without Request.pictures. notes: what could not be found
    out, and why, a line each.
    """

    name: str
    photons: float | None
    rows: tuple[Row, ...]
    objects: Mapping[str, Found] = field(default_factory=dict)
    isotropy: Mapping[str, Isotropy] = field(default_factory=dict)
    profiles: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    planes: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    unexplained: ResolutionScaled | None = None
    reliability: Reliability | None = None
    notes: tuple[str, ...] = ()


def assess(sample: Sample, request: Request, photons: float | None = None) -> Assessment:
    """Compare everything in `sample` with its truth; without truth, the restored image with its
    input. photons: said in the rows. Objects, spectra, profiles, planes and the resolution-scaled
    error are those of the first frame of the first channel. Raises ImageError where images do not
    fit together, or the whole truth is blank; what else is not defined is left out with a note."""
    blocks = sample.blocks
    notes = list(sample.notes)
    if "truth" not in blocks:
        return Assessment(sample.name, photons, (), unexplained=_unexplained(sample, request))
    truth = blocks["truth"]
    unexplained = None
    if {"restored", "input"} <= blocks.keys() and same_shape(blocks["restored"], blocks["input"]):
        unexplained = _unless_undefined(
            "resolution-scaled error", lambda: _unexplained(sample, request), notes
        )
    reliability = None
    if "members" in blocks and sample.whole_truth is not None:
        reliability = _reliability(sample, sample.whole_truth, request)
    methods, settings = _methods(sample, request.baselines)
    rows = tuple(
        Row(sample.name, name, channel, frame, at, photons, settings.get(name, ""), figures)
        for name, block in methods.items()
        for channel, frame, at, figures in _figures(block, truth)
    )
    blank = [str(number) for number, channel in enumerate(truth) if is_blank(channel)]
    if len(blank) == len(truth):
        raise ImageError("the truth is blank where it is compared: nothing can be compared with it")
    if blank:
        notes.append(f"no figures of channel {', '.join(blank)}: its truth is blank")
    objects, planes = None, None
    if request.objects:
        objects = _unless_undefined("objects", lambda: _objects(methods, truth), notes)
    line = request.line
    if request.pictures or line:
        planes = _unless_undefined("panels and profiles", lambda: _planes(methods, truth), notes)
    isotropy = _isotropy(methods, truth, sample.spacing)
    if isotropy and sample.spacing is None:
        notes.append("spectral isotropy: the voxel size is not known, slices count as pixels apart")
    return Assessment(
        name=sample.name,
        photons=photons,
        rows=rows,
        objects=objects or {},
        isotropy=isotropy,
        profiles={name: profile(plane, line) for name, plane in planes.items()}
        if planes and line
        else {},
        planes=planes if planes and request.pictures else {},
        unexplained=unexplained,
        reliability=reliability,
        notes=tuple(notes),
    )


def _unless_undefined(what: str, found: Callable[[], Part], notes: list[str]) -> Part | None:
    """What `found` returns, or None and a note where these images have no such thing."""
    try:
        return found()
    except ImageError as error:
        notes.append(f"no {what}: {error}")
        return None


def _unexplained(sample: Sample, request: Request) -> ResolutionScaled:
    restored, recorded = (_volume(sample.blocks[role]) for role in ("restored", "input"))
    found = resolution_scaled(restored, recorded)
    return found if request.pictures else replace(found, difference=_NO_PLANE)


def same_shape(one: Block, other: Block) -> bool:
    """Whether two blocks show the same pixels."""
    return one.shape == other.shape


def _methods(sample: Sample, names: Sequence[str]) -> tuple[dict[str, Block], dict[str, str]]:
    """The images that are compared with the truth, by name, and the settings of baselines."""
    blocks, truth = sample.blocks, sample.blocks["truth"]
    methods = {"restored": blocks["restored"]} if "restored" in blocks else {}
    settings: dict[str, str] = {}
    if "input" not in blocks:
        return methods, settings
    recorded = blocks["input"]
    tried: dict[str, list[NDArray[np.float32]]] = {}
    said: dict[str, dict[str, None]] = {}
    for index in np.ndindex(truth.shape[:2]):
        for baseline in _baselines(recorded[index], truth[index], sample.factors, names):
            image = baseline.image.reshape(truth[index].shape)
            tried.setdefault(baseline.name, []).append(image)
            # No setting suits a blank truth better than another.
            texts = {} if is_blank(truth[index]) else {baseline.setting: None}
            said.setdefault(baseline.name, {}).update(texts)
    if same_shape(recorded, truth):
        methods = {"input": recorded, **methods}
    methods |= {name: np.stack(done).reshape(truth.shape) for name, done in tried.items()}
    return methods, {name: " / ".join(texts) for name, texts in said.items()}


def _baselines(
    recorded: NDArray[np.generic],
    truth: NDArray[np.generic],
    factors: Sequence[float],
    names: Sequence[str],
) -> Iterator[Baseline]:
    """Those of one volume (Z, Y, X). An input of other pixels than the truth is brought to them
    first; that is a baseline itself, which the filters then smooth."""
    if recorded.shape == truth.shape:
        yield from best_filters(np.squeeze(recorded), np.squeeze(truth), names)
        return
    if len(truth) == 1 < len(recorded):
        brought = projected(recorded, truth[0])
    else:
        brought = interpolated(recorded, truth, factors)
    yield brought
    for found in best_filters(np.squeeze(brought.image), np.squeeze(truth), names):
        yield replace(found, setting=f"{found.setting}, after {brought.name}")


def _figures(
    block: Block, truth: Block
) -> Iterator[tuple[int, int | None, int | None, FullFigures | None]]:
    """(channel, frame, slice, figures) of all, of each frame and of each slice, where there are
    several."""
    channels, frames, slices = truth.shape[:3]
    for channel in range(channels):
        image, true = block[channel], truth[channel]
        yield channel, None, None, _unless_blank(image, true)
        for frame in range(frames):
            if frames > 1:
                part = image[frame : frame + 1], true[frame : frame + 1]
                yield channel, frame, None, _unless_blank(*part)
            for at in range(slices if slices > 1 else 0):
                plane = image[None, frame, at : at + 1], true[None, frame, at : at + 1]
                yield channel, frame if frames > 1 else None, at, _unless_blank(*plane)


def _unless_blank(image: Block, truth: Block) -> FullFigures | None:
    return None if is_blank(truth) else full_figures(image, truth)


def _volume(block: Block) -> Block:
    """The first channel's first frame, (Y, X) or (Z, Y, X)."""
    frame: Block = block[0, 0]
    return frame[0] if len(frame) == 1 else frame


def _planes(methods: Mapping[str, Block], truth: Block) -> dict[str, NDArray[np.float64]]:
    """The middle slice of the first frame of the first channel, all in the truth's scale."""
    middle = truth.shape[2] // 2
    shown: dict[str, NDArray[np.float64]] = {}
    for name, block in methods.items():
        fitted, scaled = fit_to_truth(block[0, 0], truth[0, 0])
        shown |= {name: fitted[middle], "truth": scaled[middle]}
    return shown


def _objects(methods: Mapping[str, Block], truth: Block) -> dict[str, Found]:
    true_labels = find_objects(_volume(truth))
    return {
        name: compare_objects(find_objects(_volume(block)), true_labels)
        for name, block in methods.items()
    }


def _isotropy(
    methods: Mapping[str, Block], truth: Block, spacing: tuple[float, float, float] | None
) -> dict[str, Isotropy]:
    if min(truth.shape[2:]) < FEWEST_SLICES:
        return {}
    volumes = {**methods, "truth": truth}
    return {
        name: spectral_isotropy(block[0, 0], spacing or (1.0, 1.0, 1.0))
        for name, block in volumes.items()
        if np.ptp(block[0, 0]) > 0
    }


def _reliability(sample: Sample, whole_truth: Block, request: Request) -> Reliability:
    """In the members' scale, mostly the target's normalised one, a channel by its percentiles over
    all frames of the whole image: members were predicted for it, whatever region is compared."""
    truth = sample.blocks["truth"]
    if request.members_percentiles:
        percents = Percentiles(*request.members_percentiles, _EPS)
        channels = zip(truth, whole_truth, strict=True)
        truth = np.stack([percents.fit(whole).apply(part) for part, whole in channels])
    return calibration(truth, laplaces_of_image(sample.blocks["members"], len(truth)))
