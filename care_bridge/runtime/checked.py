"""What the parts of a check look at."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import PackageFormatError, PackageIntegrityError
from care_bridge.package.onnx_cost import Cost, cost_of
from care_bridge.package.package import Package
from care_bridge.package.spec import TensorSpec
from care_bridge.runtime.report import Finding
from care_bridge.runtime.session import Session

Pixel = TypeVar("Pixel", bound=np.generic)

GET_AGAIN = "get the package again"
EXPORT_AGAIN = "have the model exported again"

# For each number of the tensors that go in and come out: twice what the largest networks take. The
# widest (SwinIR with 180 channels) hold 1600 numbers for it at a time, the heaviest (RCAN in 3D
# with 64 channels and 400 convolutions) have 4.4e7 products for a voxel, which is two such numbers.
_MEMORY_OF_NUMBER = 12 << 10
_MEMORY_ANYWAY = 256 << 20
_OPERATIONS_OF_NUMBER = 5 * 10**7
_OPERATIONS_ANYWAY = 10**10
# Of RCAN on a stack of 64 x 64 x 64 it is a quarter, some 10 minutes of a good CPU.
_OPERATIONS_AT_MOST = 5 * 10**13


@dataclass(frozen=True)
class Checked:
    """A package and its network, loaded."""

    package: Package
    weights: bytes
    session: Session

    @classmethod
    def of(cls, package: Package) -> Checked:
        """The package, its network loaded on the CPU. PackageIntegrityError where that takes more
        for the test input than any network has need of; errors as of `Package.weights`, `cost_of`
        and `Session`."""
        weights, spec = package.weights(), package.spec
        given = [_tensor(package, each) for each in spec.input_tensors]
        expected = [package.tensor(each.test_tensor) for each in spec.output_tensors]
        cost = cost_of(weights, spec.weights.source, [each.shape for each in given])
        said = unusual_cost(cost, sum(each.size for each in (*given, *expected)))
        if said:
            raise PackageIntegrityError(
                f"its network {said} for its test input: do not use this package"
            )
        return cls(package, weights, Session(weights, "cpu"))

    def by_output(self) -> dict[str, Checked]:
        """The package with each of its outputs as the one that is restored, under what a finding
        on that output begins with: "" where there is only one."""
        if not self.package.spec.outputs:
            return {"": self}
        names = [output.tensor.id for output in self.package.spec.outputs]
        return {f'output "{name}": ': self._restoring(name) for name in names}

    def _restoring(self, output: str) -> Checked:
        spec = self.package.spec.with_output(output)
        return replace(self, package=replace(self.package, spec=spec))

    def test_inputs(self) -> list[NDArray[np.generic]]:
        """The test tensors of all inputs."""
        return [self.test_tensor(each) for each in self.package.spec.input_tensors]

    def test_tensor(self, spec: TensorSpec) -> NDArray[np.generic]:
        """The test tensor of an input or output; PackageFormatError where it is not of its axes,
        or holds no numbers."""
        return _tensor(self.package, spec)


def _tensor(package: Package, spec: TensorSpec) -> NDArray[np.generic]:
    tensor = package.tensor(spec.test_tensor)
    channels, channel = len(spec.channel_names), spec.axes.find("C")
    fits = tensor.ndim == len(spec.axes)
    if not fits or (channel >= 0 and tensor.shape[channel] != channels):
        raise PackageFormatError(
            f'"{spec.test_tensor}" has the shape {tensor.shape}, the description says the axes '
            f"{spec.axes} with C of size {channels}: {GET_AGAIN}"
        )
    wrong = int(tensor.size - np.isfinite(tensor).sum())
    if wrong:
        raise PackageFormatError(
            f'"{spec.test_tensor}" holds {wrong} numbers that are NaN or infinite, which test '
            f"nothing: {EXPORT_AGAIN}"
        )
    return tensor


def unusual_cost(cost: Cost, numbers: int) -> str:
    """What is beyond any use in what a network takes for tensors of so many `numbers`; "" where
    nothing is."""
    memory = max(_MEMORY_ANYWAY, _MEMORY_OF_NUMBER * numbers)
    if cost.memory > memory:
        return (
            f"takes {cost.memory >> 20} MB of memory, where at most {memory >> 20} MB are expected,"
        )
    operations = max(_OPERATIONS_ANYWAY, _OPERATIONS_OF_NUMBER * numbers)
    operations = min(operations, _OPERATIONS_AT_MOST)
    if cost.operations > operations:
        return (
            f"computes {cost.operations:.1e} products, where at most {operations:.1e} are expected,"
        )
    return ""


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
