"""The tags of a package, by which people find it.

Where bioimage.io has a word for a thing, it is that: of the categories modality, dims, framework,
software, network and task in bioimageio.spec's tag_categories.json, and of the site's methods. What
images show (its category content) only people know.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from care_bridge.export.about import About
from care_bridge.export.tasks import TASKS
from care_bridge.export.torch_weights import STATE_DICT, TORCHSCRIPT
from care_bridge.package.procedure import Procedure
from care_bridge.package.spec import ModelSpec
from care_bridge.training.checkpoint import Checkpoint

_MODALITIES = {
    "fluorescence-light-microscopy": "fluoresc|confocal|spinning.dis[ck]|wide.?field|light.?sheet"
    "|photon",
    "super-resolution-microscopy": r"super.?resolution|structured.illum|\b(sted|storm|palm|sim)\b",
    "transmission-light-microscopy": "bright.?field|phase.contrast|interference.contrast",
    "electron-microscopy": "electron",
}
"""By what people call such a microscope, in small letters."""

_PRESETS = {
    "denoise": ("denoising",),
    "deconvolve": ("deconvolution",),
    "aberration": ("aberration-correction",),
    "resolution": ("super-resolution",),
}
_WEIGHTS = {TORCHSCRIPT: ("pytorch", "ilastik"), STATE_DICT: ("pytorch",)}
"""Who runs them."""


def tags_of(
    spec: ModelSpec, checkpoint: Checkpoint, about: About, weights: Collection[str]
) -> tuple[str, ...]:
    """Those that people give, then those of what the model does, what images it takes, and what it
    is run with. weights: the formats besides ONNX."""
    task, preset = TASKS[checkpoint.config.task], checkpoint.config.preset
    modality = about.modality.lower()
    # Fiji runs it by deepImageJ, which does nothing around a network.
    alone = spec.procedure == Procedure()
    found = (
        *about.tags,
        *task.tags,
        *(_PRESETS[preset] if preset else ()),
        "image-restoration",
        *(("uncertainty",) if checkpoint.members else ()),
        *(("ensemble",) if checkpoint.members > 1 else ()),
        f"{task.dimensions(checkpoint.axes)}d",
        *(tag for tag, names in _MODALITIES.items() if re.search(names, modality)),
        task.network_tag,
        "onnx",
        *(tag for kind in weights for tag in _WEIGHTS[kind]),
        *(("fiji", "deepimagej") if alone else ()),
        "care-bridge",
    )
    return tuple(dict.fromkeys(found))
