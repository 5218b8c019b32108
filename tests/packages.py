"""Small real model packages for the tests, made in a moment and without torch."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import tifffile
import yaml
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

from care_bridge.normalization import FixedScale, Percentiles, Scale
from care_bridge.package.rdf_content import Card, Person, rdf_content
from care_bridge.package.spec import ModelSpec, TensorSpec, Weights
from care_bridge.runtime.conventions import with_agreeing_percentiles
from care_bridge.runtime.report import CheckReport
from care_bridge.tiling import AxisLimits

STEP = 4
# Reach of tiny_network along each axis from a tile whose start is a multiple of 4: three levels
# of one 3-wide convolution a side, counted through the poolings, and measured in test_halo.py.
HALO = 12
MEMORY_PER_PIXEL = 300.0
FIXED_INPUT = Scale(gain=180.0, offset=110.0)
FIXED_OUTPUT = Scale(gain=210.0, offset=95.0)


def tiny_package(
    folder: Path,
    *,
    dims: int = 2,
    channels: int = 1,
    halo: int = HALO,
    percentiles: tuple[float, float] = (2.0, 99.8),
    fixed: bool = False,
    name: str = "Tiny network for tests",
    members: int = 0,
    spread: float = 1.0,
) -> Path:
    """A valid package in `folder` (made if it is not there), which is returned.

    Its network is a residual U-Net with two poolings and random weights, whose output differs
    from its input by some percent of the range. halo: what the package claims, in pixels. members:
    how many Laplace distributions it predicts for each pixel. spread: of these, as it claims.
    """
    axes = "ZYX"[-dims:]
    weights = tiny_network(dims, channels, members=members)
    normalization = (
        FixedScale(before=(FIXED_INPUT,) * channels, after=(FIXED_OUTPUT,) * channels)
        if fixed
        else Percentiles(*percentiles, eps=1e-6)
    )
    source = test_image(dims, channels)
    if isinstance(normalization, Percentiles):
        source[0] = [with_agreeing_percentiles(plane, normalization) for plane in source[0]]
    restored, *predicted = run_by_hand(weights, source, normalization)
    files = {
        "weights.onnx": weights,
        "test_input.npy": npy(source),
        "test_output.npy": npy(restored),
        "sample_input.tif": _tiff(source),
        "sample_output.tif": _tiff(restored),
        "README.md": b"# Tiny network\n\n# Validation\n\nNone: it is for tests.\n",
        "cover.png": _cover(source),
        **({"test_members.npy": npy(predicted[0])} if predicted else {}),
    }
    names = tuple(f"channel{index}" for index in range(channels))
    spec = ModelSpec(
        name=name,
        nickname="tiny-network",
        version="0.1.0",
        description="A random residual network for tests",
        license="CC0-1.0",
        format_version="0.5.4",
        rdf_sha256="",
        input=TensorSpec("input", f"BC{axes}", names, "test_input.npy", "sample_input.tif"),
        output=TensorSpec("output", f"BC{axes}", names, "test_output.npy", "sample_output.tif"),
        weights=Weights("weights.onnx", hashlib.sha256(weights).hexdigest(), opset=17),
        tiling={axis: AxisLimits(step=STEP, min=STEP, halo=halo) for axis in axes},
        normalization=normalization,
        memory_per_pixel=MEMORY_PER_PIXEL,
        config={"task": "care", "training": {}},
        spread=spread,
        members=TensorSpec(
            "members",
            f"BC{axes}",
            tuple(f"predicted{index}" for index in range(2 * members * channels)),
            "test_members.npy",
            None,
        )
        if members
        else None,
    )
    card = Card(
        authors=(Person("Test"),),
        tags=("denoising", f"{dims}d"),
        timestamp=datetime.fromisoformat("2026-01-02T03:04:05"),
        tiled_axes=axes,
    )
    hashes = {file: hashlib.sha256(data).hexdigest() for file, data in files.items()}
    write_package(folder, files, rdf_content(spec, card, hashes))
    return folder


def is_clean(report: CheckReport) -> bool:
    """Whether a check found neither an error nor a warning."""
    return not any(each.severity in ("error", "warning") for each in report.findings)


def write_package(folder: Path, files: Mapping[str, bytes], rdf: Mapping[str, object]) -> None:
    """Write `files` and the RDF into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, data in files.items():
        (folder / file).write_bytes(data)
    (folder / "rdf.yaml").write_text(yaml.safe_dump(dict(rdf), sort_keys=False), "utf-8")


def test_image(dims: int, channels: int) -> NDArray[np.float32]:
    """(1, C, [Z,] Y, X): soft random blobs over a background, of several hundred grey levels."""
    rng = np.random.default_rng(5)
    shape = (32, 48, 48)[-dims:]
    places = np.meshgrid(*map(np.arange, shape), indexing="ij")
    image = np.full((1, channels, *shape), 100.0)
    for channel in range(channels):
        for _ in range(12):
            centre = [rng.uniform(0, size) for size in shape]
            square = sum((p - c) ** 2 for p, c in zip(places, centre, strict=True))
            image[0, channel] += rng.uniform(100, 400) * np.exp(
                -square / (2 * rng.uniform(2, 5) ** 2)
            )
    return rng.poisson(image).astype(np.float32)


test_image.__test__ = False  # type: ignore[attr-defined]


def run_by_hand(
    weights: bytes, source: NDArray[np.float32], normalization: Percentiles | FixedScale
) -> list[NDArray[np.float32]]:
    """The package's outputs for `source` (1, C, …) by numpy and a bare ONNX Runtime session:
    normalised in percentile mode, in grey levels in fixed mode."""
    space = tuple(range(2, source.ndim))
    if isinstance(normalization, Percentiles):
        low = np.percentile(source, normalization.low, axis=space, keepdims=True)
        high = np.percentile(source, normalization.high, axis=space, keepdims=True)
        normalized = (source - low) / (high - low + normalization.eps)
    else:
        normalized = (source - FIXED_INPUT.offset) / FIXED_INPUT.gain
    session = onnxruntime.InferenceSession(weights, providers=["CPUExecutionProvider"])
    outputs = session.run(None, {session.get_inputs()[0].name: normalized.astype(np.float32)})
    if isinstance(normalization, FixedScale):
        channels = source.shape[1]
        for output in outputs:
            output *= FIXED_OUTPUT.gain
            for first in range(0, output.shape[1], 2 * channels):  # the means
                output[:, first : first + channels] += FIXED_OUTPUT.offset
    return [np.asarray(output, np.float32) for output in outputs]


def tiny_network(dims: int = 2, channels: int = 1, seed: int = 3, members: int = 0) -> bytes:
    """An ONNX file (opset 17, IR 8): a residual U-Net with two poolings, four filters and one
    convolution of width 3 a level and side; sizes are multiples of 4. members: heads that predict
    Laplace distributions, with a second output "members"."""
    graph = _Graph(dims, np.random.default_rng(seed))
    top = graph.convolution("input", channels, 4)
    middle = graph.convolution(graph.pool(top), 4, 4)
    bottom = graph.convolution(graph.pool(middle), 4, 4)
    middle = graph.convolution(graph.join(graph.upsample(bottom), middle), 8, 4)
    top = graph.convolution(graph.join(graph.upsample(middle), top), 8, 4)
    sizes = ["batch", channels, *("z", "y", "x")[-dims:]]
    outputs = {"output": channels}
    if members:
        means, parts = [], []
        for _ in range(members):
            change = graph.convolution(top, 4, channels, relu=False, scale=0.2)
            means.append(graph.add("Add", ["input", change]))
            wide = graph.convolution(top, 4, channels, relu=False, scale=0.3)
            least = graph.constant(np.full(1, 0.02, np.float32))
            parts += [means[-1], graph.add("Add", [graph.add("Softplus", [wide]), least])]
        graph.add("Mean", means, output="output")
        graph.add("Concat", parts, output="members", axis=1)
        outputs["members"] = 2 * members * channels
    else:
        change = graph.convolution(top, 4, channels, relu=False, scale=0.1)
        graph.add("Add", ["input", change], output="output")
    model = helper.make_model(
        helper.make_graph(
            graph.nodes,
            "tiny",
            [helper.make_tensor_value_info("input", TensorProto.FLOAT, sizes)],
            [
                helper.make_tensor_value_info(
                    name, TensorProto.FLOAT, [sizes[0], count, *sizes[2:]]
                )
                for name, count in outputs.items()
            ],
            graph.weights,
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


class _Graph:
    def __init__(self, dims: int, rng: np.random.Generator) -> None:
        self.dims = dims
        self.rng = rng
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def add(self, operator: str, inputs: list[str], output: str = "", **attributes: object) -> str:
        output = output or f"{operator.lower()}{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, inputs, [output], **attributes))
        return output

    def constant(self, values: NDArray[np.generic]) -> str:
        name = f"weights{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(values, name))
        return name

    def convolution(
        self, x: str, into: int, out: int, *, relu: bool = True, scale: float = 1.0
    ) -> str:
        spread = scale * np.sqrt(2 / (into * 3**self.dims))
        kernel = self.rng.normal(0, spread, (out, into, *[3] * self.dims)).astype(np.float32)
        # A bias lifts most pixels above the ReLU, so that they pass changes on.
        bias = np.full(out, 0.3 if relu else 0, np.float32)
        inputs = [x, self.constant(kernel), self.constant(bias)]
        x = self.add("Conv", inputs, pads=[1] * 2 * self.dims, kernel_shape=[3] * self.dims)
        return self.add("Relu", [x]) if relu else x

    def pool(self, x: str) -> str:
        return self.add("MaxPool", [x], kernel_shape=[2] * self.dims, strides=[2] * self.dims)

    def upsample(self, x: str) -> str:
        """Nearest, by two: each pixel gets an axis of its own, which is repeated."""
        own_axes = self.constant(np.array([3 + 2 * axis for axis in range(self.dims)]))
        repeats = self.constant(np.array([1, 1, *[1, 2] * self.dims]))
        factors = self.constant(np.array([1, 1, *[2] * self.dims]))
        size = self.add("Mul", [self.add("Shape", [x]), factors])
        expanded = self.add("Expand", [self.add("Unsqueeze", [x, own_axes]), repeats])
        return self.add("Reshape", [expanded, size])

    def join(self, one: str, other: str) -> str:
        return self.add("Concat", [one, other], axis=1)


def npy(array: NDArray[np.generic]) -> bytes:
    """`array` as the bytes of a .npy file."""
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def _tiff(tensor: NDArray[np.float32]) -> bytes:
    """A tensor (1, C, [Z,] Y, X) as an ImageJ hyperstack."""
    planes = np.moveaxis(tensor[0], 0, -3)
    stream = io.BytesIO()
    tifffile.imwrite(stream, planes, imagej=True, metadata={"axes": "ZCYX"[-planes.ndim :]})
    return stream.getvalue()


def _cover(source: NDArray[np.float32]) -> bytes:
    plane = source[0, 0].reshape(-1, *source.shape[-2:])[0]
    stream = io.BytesIO()
    Image.fromarray((plane / plane.max() * 255).astype(np.uint8)).save(stream, "PNG")
    return stream.getvalue()
