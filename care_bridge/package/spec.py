"""What a model package says of its model, as frozen values: no YAML, no files, no spec library.

The words are the bioimage.io spec's where it has a word.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from care_bridge.axes import Axes
from care_bridge.errors import AxesError, ConfigError
from care_bridge.normalization import FixedScale, Percentiles
from care_bridge.package.procedure import Procedure
from care_bridge.package.steps import Operations
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

    @property
    def image_axes(self) -> Axes:
        """Its axes as those of an image, the batch as samples."""
        return Axes(self.axes.replace("B", "S"))


@dataclass(frozen=True)
class Weights:
    """The ONNX file: its name in the package, its SHA-256 (hex, lower case) and opset, None where
    the RDF does not say."""

    source: str
    sha256: str
    opset: int | None


@dataclass(frozen=True)
class Placement:
    """Where an output's pixels are along an axis: size * up / down + offset of them for an input of
    `size` pixels, half of the offset before the first one. up is 0 for an axis that the input does
    not have."""

    up: int = 1
    down: int = 1
    offset: int = 0

    def size(self, size: int) -> int:
        """The output's size for an input of `size` pixels that may not fit the network."""
        return math.ceil(size * self.up / self.down) + self.offset

    def start(self, pixel: int) -> int:
        """The output's pixel that lies where `pixel` of the input begins, from the output's first
        one; of two tiles that meet there the second one keeps it."""
        return pixel * self.up // self.down + self.offset // 2

    def span(self, span: slice, size: int) -> slice:
        """What of the output belongs to a part of an input of `size` pixels; to its first and
        last pixel belongs all that lies beyond."""
        last = self.size(size)
        start = min(max(self.start(span.start), 0), last) if span.start else 0
        return slice(start, max(start, self.start(span.stop)) if span.stop < size else last)

    def first(self, pixel: int) -> int:
        """The first pixel of the output of a tile that starts at `pixel`."""
        return pixel * self.up // self.down


SAME = Placement()


@dataclass(frozen=True)
class OutputSpec:
    """One of the images that a network gives: its tensor, its number among the network's outputs,
    and what of ModelSpec depends on it."""

    tensor: TensorSpec
    position: int
    tiling: Mapping[str, AxisLimits]
    placement: Mapping[str, Placement]
    depth: AxisLimits | None
    normalization: Percentiles | FixedScale | Operations


@dataclass(frozen=True)
class ModelSpec:
    """A parsed package description (RDF).

    rdf_sha256 identifies it. tiling: what the network asks of each spatial axis, by letter, in
    the order ZYX; an axis that is not there is no axis of the model. normalization: percentiles
    fitted on each image, inverted by the runtime; fixed scales; or the operations that others'
    packages name. memory_per_pixel: bytes the engine needs for each pixel of a tile, measured at
    export; None where the package does not say.
    config: the RDF's config.care_bridge, plain data ({} for foreign packages). procedure: what is
    done around the network. members: the second output of a probabilistic network: the means and
    then the scales of Laplace distributions, for all channels of the output, of each member after
    the other; in the range of the output. more_inputs: the network's inputs besides `input`.
    position: the number of `output` among the network's outputs. placement: by axis Z, Y and X
    where the output's pixels are, if not where the input's are. depth: the sizes of Z that a
    network that projects takes. spread: the factor of the members' distances from their mean, and
    of their scales, with which intervals hold. outputs: all that `with_output` gives; () where
    there is one.
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
    normalization: Percentiles | FixedScale | Operations
    memory_per_pixel: float | None
    config: Mapping[str, object]
    procedure: Procedure = field(default_factory=Procedure)
    members: TensorSpec | None = None
    more_inputs: tuple[TensorSpec, ...] = ()
    position: int = 0
    placement: Mapping[str, Placement] = field(default_factory=dict)
    depth: AxisLimits | None = None
    spread: float = 1.0
    outputs: tuple[OutputSpec, ...] = ()

    def with_output(self, name: str | None) -> ModelSpec:
        """The same model, restoring with its output called `name`; None: with the first one.
        ConfigError where it has none of that name."""
        known = [output.tensor.id for output in self.outputs] or [self.output.id]
        if name is None or name == self.output.id:
            return self
        if name not in known:
            raise ConfigError(
                f'the model {self.name} has no output "{name}" that is an image: use '
                + " or ".join(f'"{each}"' for each in known)
            )
        chosen = self.outputs[known.index(name)]
        return replace(
            self,
            output=chosen.tensor,
            position=chosen.position,
            tiling=chosen.tiling,
            placement=chosen.placement,
            depth=chosen.depth,
            normalization=chosen.normalization,
        )

    def result_span(self, axis: str, span: slice, size: int) -> slice:
        """What of the result belongs to a part of an image's axis Z, Y or X of `size` pixels."""
        return self.placement[axis].span(span, size) if axis in self.placement else span

    @property
    def in_grey_levels(self) -> bool:
        """Whether the result is in the grey levels of the image."""
        return not isinstance(self.normalization, Operations) and self.normalization.inverted

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
    def input_tensors(self) -> tuple[TensorSpec, ...]:
        """The network's inputs, in its order."""
        return (self.input, *self.more_inputs)

    @property
    def output_tensors(self) -> tuple[TensorSpec, ...]:
        """The network's outputs that are images, in its order."""
        if self.outputs:
            return tuple(output.tensor for output in self.outputs)
        return (self.output,) if self.members is None else (self.output, self.members)

    @property
    def tensors(self) -> tuple[TensorSpec, ...]:
        """The inputs and the outputs."""
        return (*self.input_tensors, *self.output_tensors)

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
        depth = sizes.get("Z", 1)
        limits = self.depth
        if limits and not limits.padded(depth) == depth <= (limits.most or depth):
            raise AxesError(
                f"the image has {depth} slices, the model {self.name} sees a stack whole and takes "
                f"{limits.min}"
                + (f" and {limits.step} more at a time" if limits.most is None else "")
            )
        for axis, place in self.placement.items():
            if place.size(sizes.get(axis, 1)) < 1:
                raise AxesError(
                    f"the image has {sizes.get(axis, 1)} pixels along {axis}, of which the model "
                    f"{self.name} leaves none: give it a larger one"
                )
        if "Z" in self.placement and not self.sees_volumes and depth > 1:
            raise AxesError(
                f"the image has {depth} slices, the model {self.name} makes a stack of one: give "
                "it images without Z"
            )


def _channels(count: int) -> str:
    return "1 channel" if count == 1 else f"{count} channels"
