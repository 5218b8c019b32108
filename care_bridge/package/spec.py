"""What a model package says of its model, as frozen values: no YAML, no files, no spec library.

The words are the bioimage.io spec's where it has a word.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from care_bridge.errors import AxesError
from care_bridge.normalization import FixedScale, Percentiles
from care_bridge.package.procedure import Procedure
from care_bridge.tiling import AxisLimits

RESTORED, MEMBERS = "restored", "members"
"""The outputs of a probabilistic network: the distributions, and before them their mean."""

CONFIG_FORMAT = 1  # of config.care_bridge; raise it when an old reader would go wrong


@dataclass(frozen=True)
class TensorSpec:
    """An input or output of the network.

    axes: its axes in order, B for batch (e.g. "BCYX"). channel_names: one for each channel.
    test_tensor, sample_tensor: file names in the package.
    """

    id: str
    axes: str
    channel_names: tuple[str, ...]
    test_tensor: str
    sample_tensor: str | None


@dataclass(frozen=True)
class Weights:
    """The ONNX file: its name in the package, its SHA-256 (hex, lower case) and opset."""

    source: str
    sha256: str
    opset: int


@dataclass(frozen=True)
class ModelSpec:
    """A parsed package description (RDF).

    rdf_sha256 identifies it. tiling: what the network asks of each spatial axis, by letter, in
    the order ZYX; an axis that is not there is no axis of the model. normalization: percentiles
    fitted on each image, inverted by the runtime; or fixed scales. memory_per_pixel: bytes the
    engine needs for each pixel of a tile, measured at export; None where the package does not say.
    config: the RDF's config.care_bridge, plain data ({} for foreign packages). procedure: what is
    done around the network. members: the second output of a probabilistic network: the means and
    then the scales of Laplace distributions, for all channels of the output, of each member after
    the other; in the range of the output.
    """

    name: str
    nickname: str
    version: str
    description: str
    license: str
    format_version: str
    rdf_sha256: str
    input: TensorSpec
    output: TensorSpec
    weights: Weights
    tiling: Mapping[str, AxisLimits]
    normalization: Percentiles | FixedScale
    memory_per_pixel: float | None
    config: Mapping[str, object]
    procedure: Procedure = field(default_factory=Procedure)
    members: TensorSpec | None = None

    @property
    def spatial_axes(self) -> str:
        """ "YX" for a 2D model or one that projects, "ZYX" for a 3D one."""
        return "".join(self.tiling)

    @property
    def projects(self) -> bool:
        """Does the network make one plane of a stack? Then Z is no axis of `tiling`."""
        return "Z" in self.input.axes and "Z" not in self.output.axes

    @property
    def sees_volumes(self) -> bool:
        """Are images restored a volume at a time, not a plane?"""
        return "Z" in self.image_tiling or self.projects

    @property
    def image_tiling(self) -> Mapping[str, AxisLimits]:
        """What is asked of each spatial axis of an image, in the order ZYX. It is the network's
        `tiling`, unless planes of a volume go through a 2D network: then their first axis is Z."""
        if not self.procedure.combination:
            return self.tiling
        return {"Z": self.tiling["Y"], "Y": self.tiling["X"], "X": self.tiling["X"]}

    @property
    def channels_in(self) -> int:
        """Number of input channels."""
        return len(self.input.channel_names)

    @property
    def channels_out(self) -> int:
        """Number of output channels."""
        return len(self.output.channel_names)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The input and the outputs."""
        outputs = (self.output,) if self.members is None else (self.output, self.members)
        return (self.input, *outputs)

    @property
    def member_count(self) -> int:
        """How many distributions are predicted for each pixel; 0 where none is."""
        return len(self.members.channel_names) // (2 * self.channels_out) if self.members else 0

    def check_axes(self, sizes: Mapping[str, int], rgb: bool) -> None:
        """Raise AxesError, saying what to do, where an image of these sizes cannot be restored."""
        has = "".join(axis for axis in sizes)
        channels = sizes.get("C", 1)
        if rgb and self.channels_in != 3:
            raise AxesError(
                f"the image is an RGB picture, the model {self.name} expects "
                f"{_channels(self.channels_in)}: split it into channels or convert it to grey first"
            )
        if self.sees_volumes and "Z" not in sizes:
            raise AxesError(
                f"the image has axes {has}, the 3D model {self.name} expects Z, Y and X: "
                "open a stack, or use a 2D model"
            )
        if self.channels_in > 1 and channels != self.channels_in:
            raise AxesError(
                f"the image has {_channels(channels)}, the model {self.name} expects "
                f"{_channels(self.channels_in)} ({', '.join(self.input.channel_names)})"
            )


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
