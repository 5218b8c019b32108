"""Parsed package descriptions, kept as JSON under the user's cache folder.

A description is known by the SHA-256 of its RDF, so a known package is read without the spec
library, whose import takes longer than restoring a small image.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from platformdirs import user_cache_path

from care_bridge.atomic import replacing
from care_bridge.normalization import FixedScale, Percentiles, Scale
from care_bridge.package.procedure import Procedure
from care_bridge.package.spec import ModelSpec, OutputSpec, Placement, TensorSpec, Weights
from care_bridge.package.steps import Operations, Step
from care_bridge.tiling import AxisLimits

# Raise it whenever ModelSpec, or what rdf.py makes of an RDF, changes.
VERSION = 6


def load_spec(rdf_sha256: str) -> ModelSpec | None:
    """The parsed description of the RDF with this hash, or None where it is not known."""
    try:
        return spec_from_json(_file(rdf_sha256).read_text("utf-8"))
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        # Nothing is lost by parsing again what is missing, damaged or of another shape.
        return None


def save_spec(spec: ModelSpec) -> None:
    """Keep `spec`; where the cache cannot be written, go on without it."""
    file = _file(spec.rdf_sha256)
    # A cache only saves time: a full disk or a read-only home must not stop a restoration.
    with contextlib.suppress(OSError), replacing(file) as partial:
        partial.write_text(spec_to_json(spec), "utf-8")


def spec_to_json(spec: ModelSpec) -> str:
    """`spec` as JSON text."""
    return json.dumps(asdict(spec))


def spec_from_json(text: str) -> ModelSpec:
    """The inverse of `spec_to_json`."""
    fields: dict[str, Any] = json.loads(text)
    return ModelSpec(
        **{
            **fields,
            "input": _tensor(fields["input"]),
            "output": _tensor(fields["output"]),
            "weights": Weights(**fields["weights"]),
            **_about_output(fields),
            "procedure": Procedure(**fields["procedure"]),
            "members": _tensor(fields["members"]) if fields["members"] else None,
            "more_inputs": tuple(map(_tensor, fields["more_inputs"])),
            "outputs": tuple(
                OutputSpec(
                    **{**output, "tensor": _tensor(output["tensor"]), **_about_output(output)}
                )
                for output in fields["outputs"]
            ),
        }
    )


def _file(rdf_sha256: str) -> Path:
    return user_cache_path("care_bridge") / f"specs-{VERSION}" / f"{rdf_sha256}.json"


def _about_output(fields: dict[str, Any]) -> dict[str, Any]:
    """What both ModelSpec and OutputSpec say of an output."""
    return {
        "tiling": {axis: AxisLimits(**limits) for axis, limits in fields["tiling"].items()},
        "placement": {axis: Placement(**place) for axis, place in fields["placement"].items()},
        "depth": AxisLimits(**fields["depth"]) if fields["depth"] else None,
        "normalization": _normalization(fields["normalization"]),
    }


def _tensor(fields: dict[str, Any]) -> TensorSpec:
    return TensorSpec(**{**fields, "channel_names": tuple(fields["channel_names"])})


def _normalization(fields: dict[str, Any]) -> Percentiles | FixedScale | Operations:
    if "low" in fields:
        return Percentiles(**fields)
    if "inputs" in fields:
        return Operations(tuple(map(_steps, fields["inputs"])), _steps(fields["output"]))
    return FixedScale(
        before=tuple(Scale(**scale) for scale in fields["before"]),
        after=tuple(Scale(**scale) for scale in fields["after"]),
        inverted=fields["inverted"],
    )


def _steps(listed: list[dict[str, Any]]) -> tuple[Step, ...]:
    return tuple(Step(**step) for step in listed)
