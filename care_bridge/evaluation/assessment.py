"""Everything that is found out about one field of view, as plain values.

Needs scikit-image and scipy (extra `evaluate`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from care_bridge.evaluation.figures import FullFigures, full_figures
from care_bridge.evaluation.filters import Baseline, best_filters, interpolated, projected
from care_bridge.evaluation.metrics import fit_to_truth
from care_bridge.evaluation.objects import Found, compare_objects, find_objects
from care_bridge.evaluation.pictures import Line, profile
from care_bridge.evaluation.reliability import Reliability, calibration, laplaces_of_image
from care_bridge.evaluation.samples import Block, Sample
from care_bridge.evaluation.spectra import Isotropy, spectral_isotropy
from care_bridge.evaluation.without_truth import ResolutionScaled, resolution_scaled
from care_bridge.normalization import Percentiles

_EPS = 1e-6
_FEWEST_SLICES = 8
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
    difference of `unexplained` are empty without Request.pictures.
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


def assess(sample: Sample, request: Request, photons: float | None = None) -> Assessment:
    """Compare everything in `sample` with its truth; without truth, the restored image with its
    input. photons: said in the rows. Objects, spectra, profiles, planes and the resolution-scaled
    error are those of the first frame of the first channel. Raises ImageError where images do not
    fit together."""
    blocks = sample.blocks
    unexplained = None
    comparable = {"restored", "input"} <= blocks.keys()
    if comparable and ("truth" not in blocks or same_shape(blocks["restored"], blocks["input"])):
        unexplained = resolution_scaled(_volume(blocks["restored"]), _volume(blocks["input"]))
        if not request.pictures:
            unexplained = replace(unexplained, difference=_NO_PLANE)
    if "truth" not in blocks:
        return Assessment(sample.name, photons, (), unexplained=unexplained)
    truth = blocks["truth"]
    reliability = None
    if "members" in blocks and sample.whole_truth is not None:
        reliability = _reliability(sample, sample.whole_truth, request)
    methods, settings = _methods(sample, request.baselines)
    rows = tuple(
        Row(sample.name, name, channel, frame, at, photons, settings.get(name, ""), figures)
        for name, block in methods.items()
        for channel, frame, at, figures in _figures(block, truth)
    )
    planes = {}
    if request.pictures or request.line:
        planes = _planes(methods, truth)
    line = request.line
    return Assessment(
        name=sample.name,
        photons=photons,
        rows=rows,
        objects=_objects(methods, truth) if request.objects else {},
        isotropy=_isotropy(methods, truth, sample.spacing),
        profiles={name: profile(plane, line) for name, plane in planes.items()} if line else {},
        planes=planes if request.pictures else {},
        unexplained=unexplained,
        reliability=reliability,
    )


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
            said.setdefault(baseline.name, {})[baseline.setting] = None
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
        yield channel, None, None, full_figures(image, true)
        for frame in range(frames):
            if frames > 1:
                part = image[frame : frame + 1], true[frame : frame + 1]
                yield channel, frame, None, _unless_blank(*part)
            for at in range(slices if slices > 1 else 0):
                plane = image[None, frame, at : at + 1], true[None, frame, at : at + 1]
                yield channel, frame if frames > 1 else None, at, _unless_blank(*plane)


def _unless_blank(image: Block, truth: Block) -> FullFigures | None:
    low, high = np.percentile(truth.astype(np.float64), (0.1, 99.9))
    return full_figures(image, truth) if high > low else None


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
    methods: Mapping[str, Block], truth: Block, spacing: tuple[float, float, float]
) -> dict[str, Isotropy]:
    if min(truth.shape[2:]) < _FEWEST_SLICES:
        return {}
    volumes = {**methods, "truth": truth}
    return {
        name: spectral_isotropy(block[0, 0], spacing)
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
