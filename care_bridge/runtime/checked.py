"""What the parts of a check look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import PackageFormatError
from care_bridge.package.package import Package
from care_bridge.package.spec import TensorSpec
from care_bridge.runtime.report import Finding
from care_bridge.runtime.session import Session

Pixel = TypeVar("Pixel", bound=np.generic)

GET_AGAIN = "get the package again"
EXPORT_AGAIN = "export the model again"


@dataclass(frozen=True)
class Checked:
    """A package and its network, loaded."""

    package: Package
    session: Session

    def test_inputs(self) -> list[NDArray[np.generic]]:
        """The test tensors of all inputs."""
        return [self.test_tensor(each) for each in self.package.spec.input_tensors]

    def test_tensor(self, spec: TensorSpec) -> NDArray[np.generic]:
        """The test tensor of an input or output; PackageFormatError where it is not of its axes."""
        tensor = self.package.tensor(spec.test_tensor)
        channels, channel = len(spec.channel_names), spec.axes.find("C")
        fits = tensor.ndim == len(spec.axes)
        if not fits or (channel >= 0 and tensor.shape[channel] != channels):
            raise PackageFormatError(
                f'"{spec.test_tensor}" has the shape {tensor.shape}, the description says the axes '
                f"{spec.axes} with C of size {channels}: {GET_AGAIN}"
            )
        return tensor


def channels_of(tensor: NDArray[Pixel], axes: str) -> Iterator[NDArray[Pixel]]:
    """Each channel of each sample of a tensor with these axes, a view of it."""
    outer = [dimension for dimension, axis in enumerate(axes) if axis in "BC"]
    moved = np.moveaxis(tensor, outer, range(len(outer)))
    for index in np.ndindex(moved.shape[: len(outer)]):
        yield moved[index]


def relative(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    """The largest difference, in parts of the range of `other`; NaN where either holds one."""
    reference = other.astype(np.float64)
    return float(np.abs(one.astype(np.float64) - reference).max() / (np.ptp(reference) or 1.0))


def within(what: str, difference: float, most: float, remedy: str, rule: str) -> Finding:
    """The finding that `what` differs by `difference`, of which `most` is allowed; NaN is more."""
    if difference <= most:
        return Finding("ok", what)
    return Finding("error", f"{what}, at most {most:.0e} is allowed", remedy, rule)
