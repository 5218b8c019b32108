"""A trained network's weights for consumers that run torch: TorchScript, and a state dict with the
source of its architecture."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Sequence

import torch
from torch import nn

from care_bridge.errors import ExportError
from care_bridge.export.graph import (
    LARGEST_DIFFERENCE,
    random_inputs,
    relative_difference,
    run_torch,
)
from care_bridge.export.source_file import source_file
from care_bridge.package.rdf_content import MoreWeights
from care_bridge.training.architecture import Architecture

STATE_DICT, TORCHSCRIPT = "pytorch_state_dict", "torchscript"
SOURCE = "network.py"
_FILES = {STATE_DICT: "weights.pt", TORCHSCRIPT: "weights_torchscript.pt"}
_NOTES = ".debug_pkl"


def torch_weights(
    kind: str, network: nn.Module, built: Architecture, channels: int, steps: Sequence[int]
) -> tuple[MoreWeights, dict[str, bytes]]:
    """The weights of one kind as the RDF describes them, and the files of the package.

    network: in eval mode; built: what gives a freshly drawn one like it. channels, steps: see
    `export_onnx`. ExportError where what is written does not do what the network does.
    """
    entry: dict[str, object] = {"pytorch_version": torch.__version__.split("+")[0]}
    files = {_FILES[kind]: _script(network, channels, steps)}
    if kind == STATE_DICT:
        source = source_file(built.build)
        files = {_FILES[kind]: _state(network), SOURCE: source.encode()}
        entry["architecture"] = {"callable": built.build.__name__, "kwargs": built.settings}
        loaded = _built_by(source, built)
        loaded.load_state_dict(torch.load(io.BytesIO(files[_FILES[kind]]), weights_only=True))
    else:
        loaded = _loaded_script(files[_FILES[kind]])
    _compare(loaded.eval(), network, channels, steps, kind)
    return MoreWeights(kind, _FILES[kind], entry, SOURCE if kind == STATE_DICT else ""), files


def _state(network: nn.Module) -> bytes:
    stream = io.BytesIO()
    torch.save(network.state_dict(), stream)
    return stream.getvalue()


def _script(network: nn.Module, channels: int, steps: Sequence[int]) -> bytes:
    """The traced network, without the tracer's notes, which hold paths of this machine."""
    example = torch.from_numpy(next(random_inputs(channels, steps)))
    traced, plain = io.BytesIO(), io.BytesIO()
    with warnings.catch_warnings(), torch.inference_mode(False):
        warnings.simplefilter("ignore")  # of sizes taken for constants: they are compared instead
        script = torch.jit.trace(network, example, check_trace=False)  # type: ignore[no-untyped-call]
        torch.jit.save(script, traced)
    with zipfile.ZipFile(traced) as noted, zipfile.ZipFile(plain, "w") as kept:
        for entry in noted.infolist():
            if not entry.filename.endswith(_NOTES):
                kept.writestr(zipfile.ZipInfo(entry.filename), noted.read(entry))
    return plain.getvalue()


def _loaded_script(data: bytes) -> nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch's own, that it may end some day
        script: nn.Module = torch.jit.load(io.BytesIO(data))  # type: ignore[no-untyped-call]
    return script


def _built_by(source: str, built: Architecture) -> nn.Module:
    """The network that the written source builds by itself."""
    namespace: dict[str, object] = {"__name__": "network"}
    exec(compile(source, SOURCE, "exec"), namespace)
    build = namespace[built.build.__name__]
    assert callable(build)
    network = build(**built.settings)
    assert isinstance(network, nn.Module)
    return network


def _compare(
    loaded: nn.Module, network: nn.Module, channels: int, steps: Sequence[int], kind: str
) -> None:
    for source in random_inputs(channels, steps):
        difference = relative_difference(run_torch(loaded, source), network, source)
        if not difference <= LARGEST_DIFFERENCE:
            raise ExportError(
                f"the weights {kind} differ from the trained network by {difference:.1e} of its "
                f"layers' range, at most {LARGEST_DIFFERENCE:.0e} is expected: leave them out of "
                "--weights"
            )
