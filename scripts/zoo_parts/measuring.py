"""What a model does on images that training has not seen, beside every plain method.

Figures are those of `care-bridge evaluate`: of its rows PSNR and SSIM in the metric of the CARE
paper, every filter at the setting that suits the truth best. Filters take most of the time, so
theirs are kept in a file by the images' pixels.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from care_bridge.atomic import replacing
from care_bridge.cli.evaluated_model import EvaluatedModel
from care_bridge.evaluation.assessment import Assessment, Request, assess
from care_bridge.evaluation.exposures import exposed
from care_bridge.evaluation.filters import FILTERS
from care_bridge.evaluation.matched_files import match_files
from care_bridge.evaluation.region import Region
from care_bridge.evaluation.samples import Sample, as_image, read_sample
from care_bridge.images import open_image
from zoo_parts.recipe import RealImage

Figures = dict[str, list[float]]
"""[PSNR in dB, SSIM] by method: "input", those of plain methods, "restored"."""

_SEED = 0


class PlainMethods:
    """Figures of input, interpolation, projection and filters, kept in a JSON file."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._known: dict[str, Figures] = json.loads(file.read_text()) if file.exists() else {}

    def figures(self, sample: Sample) -> Figures:
        """Those of one field of view."""
        blocks = {role: sample.blocks[role] for role in ("input", "truth")}
        pixels = b"".join(np.ascontiguousarray(block).tobytes() for block in blocks.values())
        key = hashlib.sha256(pixels).hexdigest()
        if key not in self._known:
            found = assess(replace(sample, blocks=blocks), Request(baselines=tuple(FILTERS)))
            self._known[key] = _figures(found)
            with replacing(self._file) as partial:
                partial.write_text(json.dumps(self._known), encoding="utf-8")
        return self._known[key]


@dataclass(frozen=True)
class OnHeldOut:
    """Figures of each pair, by what precedes "-" in its name, and of probabilistic models the
    expected calibration error of each pair."""

    figures: Mapping[str, list[Figures]]
    calibration: Sequence[float]


def on_held_out(model: EvaluatedModel, folder: Path, plain: PlainMethods) -> OnHeldOut:
    """What is found on the pairs in folder/source and folder/GT."""
    found: dict[str, list[Figures]] = {}
    calibration = []
    for files in match_files({"truth": folder / "GT", "input": folder / "source"}):
        sample = read_sample(files, None, Region())
        told = assess(*model.restored(sample, Request(), open_image(files["input"])))
        figures = plain.figures(sample) | _figures(told)
        found.setdefault(sample.name.split("-")[0], []).append(figures)
        if told.reliability:
            calibration.append(told.reliability.error)
    return OnHeldOut(found, calibration)


def on_real(
    model: EvaluatedModel, real: RealImage, file: Path, plain: PlainMethods
) -> dict[float, Figures]:
    """Figures of a simulated exposure of `file` for each number of photons."""
    sample = read_sample({"truth": file}, None, Region.parse(real.region))
    found = {}
    for photons in real.photons:
        taken = exposed(sample, photons, _SEED, real.black)
        image = as_image(taken.blocks["input"])
        told = assess(*model.restored(taken, Request(), image, exposed=True))
        found[photons] = plain.figures(taken) | _figures(told)
    return found


def mean_of(several: Iterable[Figures]) -> Figures:
    """The mean figures of each method."""
    rows = list(several)
    return {
        method: [float(value) for value in np.mean([row[method] for row in rows], axis=0)]
        for method in rows[0]
    }


def best_plain(figures: Mapping[str, list[float]]) -> str:
    """The plain method with the highest PSNR."""
    plain = [method for method in figures if method not in ("images", "input", "restored")]
    return max(plain, key=lambda method: figures[method][0])


def _figures(found: Assessment) -> Figures:
    return {
        row.method: [row.figures.psnr, row.figures.ssim]
        for row in found.rows
        if row.figures and row.frame is None and row.slice is None
    }
