"""A model that `care-bridge evaluate` restores images with, to judge it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from care_bridge.errors import ImageError
from care_bridge.evaluation.assessment import Request, same_shape
from care_bridge.evaluation.samples import Block, Sample, as_block
from care_bridge.images.image import Image
from care_bridge.normalization import Percentiles
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer


class EvaluatedModel:
    """A loaded package."""

    def __init__(self, package: str | Path) -> None:
        self._restorer = Restorer(package)

    def made(
        self, image: Image, request: Request, *, exposed: bool = False
    ) -> tuple[dict[str, Image], Request]:
        """What is made of an image, by the role that it has in a `Sample`, and what is asked then.

        Of a probabilistic model the predicted distributions come along. They are in the truth's
        scale: by its own percentiles where the targets of training were scaled so, in its grey
        levels else, which exposed images (simulated) do not have: then they are left out.
        """
        made = {"restored": self._restorer.restore_image(image)}
        own = self._scaled_by_truth()
        if self._restorer.package.spec.member_count and (own or not exposed):
            options = RestoreOptions(
                uncertainty="members", range="0-1" if own else "input", dtype="float32"
            )
            told = self._restorer.with_options(options).restore_with_uncertainty(image)
            made["members"] = told[1]
            request = replace(request, members_percentiles=own)
        return made, request

    def restored(
        self, sample: Sample, request: Request, image: Image, *, exposed: bool = False
    ) -> tuple[Sample, Request]:
        """`sample` with what is made of `image`, and what is asked of it then; see `made`.

        ImageError where the model makes other pixels or channels than the sample's truth has.
        """
        made, request = self.made(image, request, exposed=exposed)
        blocks = {role: as_block(each.axes, each.pixels) for role, each in made.items()}
        results, truths = blocks["restored"], sample.blocks["truth"]
        if not same_shape(results, truths):
            raise ImageError(
                f"the model makes {_told(results)}, of {sample.name} {_told(truths)} are compared: "
                "take a model whose results are like its images, or give --input without --doses"
            )
        return replace(sample, blocks={**sample.blocks, **blocks}), request

    def _scaled_by_truth(self) -> tuple[float, float] | None:
        """The percentiles by which the targets of training were scaled, each by its own; None
        where they were scaled as their sources, or by fixed numbers."""
        spec = self._restorer.package.spec
        found: object = spec.config
        for key in ("training", "config", "normalization", "target"):
            found = found.get(key) if isinstance(found, Mapping) else None
        if not isinstance(spec.normalization, Percentiles) or found == "source":
            return None
        return spec.normalization.low, spec.normalization.high


def _told(block: Block) -> str:
    pixels = " x ".join(str(size) for size in block.shape[2:] if size > 1)
    return f"{len(block)} channels of {pixels} pixels"
