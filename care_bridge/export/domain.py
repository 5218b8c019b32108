"""What images a model was trained for, in a form that programs can read."""

from __future__ import annotations

from collections.abc import Mapping

from care_bridge.axes import rdf_id
from care_bridge.export.about import About
from care_bridge.training.checkpoint import Checkpoint


def domain_content(checkpoint: Checkpoint, about: About) -> dict[str, object]:
    """config.care_bridge.domain: modality; pixel_size, the lowest and the highest by axis in
    micrometres; noise, the lowest and the highest standard deviation of that of the training
    images in the normalised range. What is not known is left out."""
    content: dict[str, object] = {}
    if about.modality:
        content["modality"] = about.modality
    sizes = pixel_size(checkpoint, about)
    if sizes:
        ranges = {rdf_id(axis): [low, high] for axis, (low, high) in sizes.items()}
        content["pixel_size"] = {"unit": "micrometer", **ranges}
    if checkpoint.noise[1]:
        content["noise"] = [round(end, 4) for end in checkpoint.noise]
    return content


def pixel_size(checkpoint: Checkpoint, about: About) -> Mapping[str, tuple[float, float]]:
    """What is told of the training images' pixel size, lowest and highest in micrometres by axis;
    along other axes what their files say."""
    return {**checkpoint.pixel_size, **about.pixel_size}


def noise_line(checkpoint: Checkpoint) -> str:
    """The noise of the training images for people; "" where it is not known."""
    if not checkpoint.noise[1]:
        return ""
    ends = dict.fromkeys(f"{100 * end:.2g}" for end in checkpoint.noise)
    unit = (
        "of the standard deviation of all training images"
        if checkpoint.config.normalization.mode == "fixed"
        else "of the span between an image's percentiles"
    )
    return f"{' to '.join(ends)} % {unit}"
