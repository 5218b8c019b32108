"""A trained network as one ONNX file that every consumer of bioimage.io packages can run."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from torch import Tensor

from care_bridge.errors import ExportError
from care_bridge.package.consumers.weights import JDLL_IR_VERSION
from care_bridge.package.spec import MEMBERS, RESTORED
from care_bridge.runtime.session import Session
from care_bridge.training.networks.mixture import Mixture

LARGEST_DIFFERENCE = 1e-5
"""Of two ways to run one network in float32, see `relative_difference`: 170 roundings (of 2**-24
each). Trained networks were seen to differ by up to 4; one rounding to half precision is 8000."""

OPSET = 17
"""Of what is exported: one less than JDLL_OPSET, which changed the reductions."""

_INPUT = "input"
_ONE_OUTPUT = ("output",)
_TWO_OUTPUTS = (RESTORED, MEMBERS)
_NOISY = ("torch.onnx", "torch.export", "onnxscript", "onnx_ir")


def export_onnx(network: torch.nn.Module, axes: str, channels: int, steps: Sequence[int]) -> bytes:
    """The ONNX file of `network`, with free batch and image sizes; that of a Mixture has two
    outputs.

    axes: "YX" or "ZYX". channels: of its input. steps: its sizes are multiples of these, along
    each axis. ExportError where the graph is not one that all consumers run fast.
    """
    sizes = (2, channels, *(step * (4 + index) for index, step in enumerate(steps)))
    free = {0: torch.export.Dim("batch")}
    free |= {
        2 + index: step * torch.export.Dim(f"n{axis}")
        for index, (axis, step) in enumerate(zip(axes, steps, strict=True))
    }
    with _quiet(), torch.inference_mode():
        program = torch.onnx.export(
            network,
            (torch.zeros(sizes),),
            dynamo=True,
            dynamic_shapes=(free,),
            opset_version=OPSET,
            input_names=[_INPUT],
            output_names=list(_TWO_OUTPUTS if isinstance(network, Mixture) else _ONE_OUTPUT),
            external_data=False,
            verbose=False,
        )
    if program is None:
        raise ExportError("torch exported no ONNX model")
    model = _cleaned(program.model_proto, axes)
    _check(model, expands=len(axes) == 3 and not _projects(model))
    weights: bytes = model.SerializeToString()
    return weights


def compare_with_torch(
    weights: bytes, network: torch.nn.Module, channels: int, steps: Sequence[int]
) -> float:
    """The largest `relative_difference` between the ONNX file and `network`, over random inputs of
    several sizes and batches of one and two.

    ExportError where it is above LARGEST_DIFFERENCE.
    """
    session = Session(weights, "cpu")
    worst = 0.0
    for source in random_inputs(channels, steps):
        found = np.concatenate(session.run_all(source), axis=1)
        worst = max(worst, relative_difference(found, network, source))
    if not worst <= LARGEST_DIFFERENCE:
        raise ExportError(
            f"the exported ONNX model differs from the trained network by {worst:.1e} of its "
            f"layers' range, at most {LARGEST_DIFFERENCE:.0e} is expected: report this network's "
            "settings"
        )
    return worst


def relative_difference(
    found: NDArray[np.float32], network: torch.nn.Module, source: NDArray[np.float32]
) -> float:
    """The largest difference of `found` from what `network` makes of `source`, in parts of the
    largest range of what its layers put out.

    Float32 rounds in proportion to the numbers in the network. Those of its output may be much
    smaller: what takes noise away makes little of random inputs, out of large differences.
    """
    ranges = [np.ptp(source)]

    def note(_layer: torch.nn.Module, _inputs: object, output: Tensor) -> None:
        ranges.append(np.ptp(output.numpy()))

    layers = [layer for layer in network.modules() if not list(layer.children())]
    with ExitStack() as noting:
        for layer in layers:
            noting.callback(layer.register_forward_hook(note).remove)
        expected = run_torch(network, source)
    return float(np.abs(found - expected).max() / max(ranges))


def run_torch(network: torch.nn.Module, source: NDArray[np.float32]) -> NDArray[np.float32]:
    """The output of `network` for `source` (B, C, [Z,] Y, X); several ones after each other along
    the channels."""
    with torch.inference_mode():
        output = network(torch.from_numpy(source))
        joined: Tensor = torch.cat(output, dim=1) if isinstance(output, tuple) else output
    values: NDArray[np.float32] = joined.numpy()
    return values


def random_inputs(channels: int, steps: Sequence[int]) -> Iterator[NDArray[np.float32]]:
    """Inputs of a network (see `export_onnx`) of several sizes, in batches of one and two."""
    multiples = [(4, 4, 4), (2, 3, 7), (6, 16, 9)]
    shapes = [
        (
            batch,
            channels,
            *(step * factor for step, factor in zip(steps, factors[-len(steps) :], strict=True)),
        )
        for batch in (1, 2)
        for factors in multiples
    ]
    for seed, shape in enumerate(shapes):
        yield np.random.default_rng(seed).random(shape, np.float32)


def _cleaned(model: onnx.ModelProto, axes: str) -> onnx.ModelProto:
    """`model` stamped with JDLL_IR_VERSION, without the exporter's notes (which hold paths of
    this machine), its sizes named after the axes."""
    cleaned = onnx.ModelProto()
    cleaned.CopyFrom(model)
    cleaned.ir_version = JDLL_IR_VERSION
    cleaned.doc_string = ""
    graph = cleaned.graph
    graph.name = "network"
    graph.doc_string = ""
    graph.ClearField("value_info")
    noted = [cleaned, graph, *graph.node, *graph.initializer, *graph.input, *graph.output]
    for part in noted:
        part.ClearField("metadata_props")
    for node in graph.node:
        node.doc_string = ""
    for value in (*graph.input, *graph.output):
        sizes = value.type.tensor_type.shape.dim
        space = axes.lower()[2 - len(sizes) :]  # without Z where that was projected
        for size, name in zip((sizes[0], *sizes[2:]), ("batch", *space), strict=True):
            size.dim_param = name
    return cleaned


def _projects(model: onnx.ModelProto) -> bool:
    """Has the output fewer axes than the input? Then its last layers are two-dimensional."""
    ranks = [
        len(value.type.tensor_type.shape.dim) for value in (*model.graph.input, *model.graph.output)
    ]
    return min(ranks) < max(ranks)


def _check(model: onnx.ModelProto, *, expands: bool) -> None:
    onnx.checker.check_model(model, full_check=True)
    opsets = {entry.domain: entry.version for entry in model.opset_import}
    if opsets != {"": OPSET}:
        raise ExportError(f"torch exported operators {opsets}, expected ONNX opset {OPSET} only")
    operators = {node.op_type for node in model.graph.node}
    if expands and "Resize" in operators:
        raise ExportError(
            "the exported 3D graph upsamples with Resize, which is slow: the network must "
            "upsample by expanding"
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the exporter's warnings on opset conversion: the result is checked instead."""
    levels = {name: logging.getLogger(name).level for name in _NOISY}
    for name in levels:
        logging.getLogger(name).setLevel(logging.ERROR)
    try:
        yield
    finally:
        for name, level in levels.items():
            logging.getLogger(name).setLevel(level)
