"""What a lower precision costs: a package's own test tensors, run on the engine at hand."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from care_bridge.errors import PackageFormatError
from care_bridge.package.package import Package
from care_bridge.runtime.prediction import predict
from care_bridge.runtime.session import Session


@dataclass(frozen=True)
class Deviation:
    """How far an output is from the float32 one of the package, its largest and its root mean
    square difference, in parts of the latter's range."""

    largest: float
    rms: float

    def __str__(self) -> str:
        decibels = -20 * math.log10(self.rms) if self.rms else math.inf
        return (
            f"at most {self.largest:.1e}, rms {self.rms:.1e} of the test output's range "
            f"({decibels:.0f} dB)"
        )


def precision_line(package: Package, session: Session, precision: str) -> str:
    """What is to be told of a session in this precision, in one line: how exact it is."""
    try:
        error = precision_error(package, session)
    except PackageFormatError as reason:
        return f"how far {precision} is from float32 is not known: {reason}"
    return f"{precision} differs from float32 by {error}"


def precision_error(package: Package, session: Session) -> Deviation:
    """How far `session` is from the test output that the package was exported with (float32),
    before any scaling back to grey levels. PackageFormatError where that output has another shape
    than the network's."""
    spec = package.spec
    expected = package.tensor(spec.output.test_tensor).astype(np.float64)
    output = predict(
        spec, session, *(package.tensor(each.test_tensor) for each in spec.input_tensors)
    )[0]
    if output.shape != expected.shape:
        raise PackageFormatError(
            f"{package.source}: the test input gives an output of shape {output.shape}, the test "
            f"output has {expected.shape}: get the package again"
        )
    difference = (output - expected) / (np.ptp(expected) or 1.0)
    return Deviation(
        largest=float(np.abs(difference).max()), rms=float(np.sqrt(np.mean(difference**2)))
    )
