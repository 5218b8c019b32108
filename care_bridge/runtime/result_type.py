"""The pixel type of a result."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Any

import numpy as np

from care_bridge.errors import ConfigError
from care_bridge.normalization import Scale, ScaleRange
from care_bridge.package.steps import Operations
from care_bridge.runtime.told import once

# Below this span of grey levels, rounding to integers costs more than 0.1 dB.
SMALLEST_INTEGER_SPAN = 64
_FLOAT32 = np.dtype(np.float32)
_INTEGERS = {"bool": "uint8", "uint8": "uint8", "uint16": "uint16"}

log = logging.getLogger("care_bridge")


def full_type(wanted: str, given: np.dtype[Any]) -> np.dtype[Any]:
    """The type of a result in the range "full" for the option `wanted` (see RestoreOptions.dtype)
    and a `given` input: an integer one."""
    if wanted == "auto":
        return given if given.kind == "u" else np.dtype(np.uint16)
    if wanted == "input" and given.kind != "u":
        raise ConfigError(
            f"range full needs an integer dtype, the image is {given} and dtype input keeps that: "
            "use dtype uint8 or uint16"
        )
    return given if wanted == "input" else np.dtype(wanted)


def natural_type(normalization: object) -> np.dtype[Any]:
    """The type of a result that is not in grey levels: that of an integer type of images where
    the package's last step makes one, else float32."""
    steps = normalization.output if isinstance(normalization, Operations) else ()
    made = "float32"
    for step in steps[-1:]:
        made = {"binarize": "uint8", "ensure_dtype": step.kwargs.get("dtype", "")}.get(step.id, "")
    return np.dtype(_INTEGERS.get(made, "float32"))


def normalized_type(
    wanted: str, given: np.dtype[Any], natural: np.dtype[Any] = _FLOAT32
) -> np.dtype[Any]:
    """The type of a result that is not in grey levels, but about 0 to 1: its `natural` one, unless
    `wanted` (see RestoreOptions.dtype) says otherwise of a `given` input."""
    if wanted == "auto":
        return natural
    dtype = given if wanted == "input" else np.dtype(wanted)
    if dtype.kind == "u" and natural.kind == "f":
        log.warning(
            "the result is not scaled back to grey levels: %s rounds it to whole numbers "
            "(dtype=float32 does not)",
            dtype,
            extra=once("not scaled back"),
        )
    return dtype


def result_type(
    wanted: str, given: np.dtype[Any], before: Sequence[Scale], after: Sequence[Scale]
) -> np.dtype[Any]:
    """The type of a result in grey levels for the option `wanted` (see RestoreOptions.dtype) and
    a `given` input, whose scales `before` and `after` the network are all given."""
    scales = [scale for scale in (*before, *after) if scale.span > 0]
    narrowest = min(scales, key=lambda scale: scale.span, default=None)
    narrow = narrowest if narrowest and narrowest.span < SMALLEST_INTEGER_SPAN else None
    if wanted == "auto":
        if given.kind == "u" and narrow:
            log.info(
                "result is float32: %s, and rounding to %s would cost precision (dtype=input "
                "keeps %s)",
                _contrast(narrow),
                given,
                given,
                extra=once(f"float32 for {given}"),
            )
            return np.dtype(np.float32)
        return given
    dtype = given if wanted == "input" else np.dtype(wanted)
    brightest = max(scale.offset + scale.gain for scale in after)
    if dtype.kind == "u" and brightest > np.iinfo(dtype).max:
        log.warning(
            "grey levels reach %.4g, more than %s holds: brighter ones become %d",
            brightest,
            dtype,
            np.iinfo(dtype).max,
        )
    if dtype.kind == "u" and narrow:
        log.warning(
            "%s: rounding to %s costs precision (dtype=float32 does not)",
            _contrast(narrow),
            dtype,
            extra=once(f"rounded to {dtype}"),
        )
    return dtype


def _contrast(scale: Scale) -> str:
    if isinstance(scale, ScaleRange):
        return f"the grey levels that are scaled to 0 and 1 are only {scale.span:.4g} apart"
    return f"the model expects a contrast of about {scale.span:.4g} grey levels of every image"
