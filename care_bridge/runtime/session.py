"""One ONNX model loaded into one engine on one device: the only importer of onnxruntime.

float32 stays float32: TF32 and bf16, which some engines switch on by themselves, are off.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import (
    DeviceError,
    InferenceError,
    MissingExtraError,
    OutOfMemoryError,
)

_CUDA = "CUDAExecutionProvider"
_OPENVINO = "OpenVINOExecutionProvider"
_CPU = "CPUExecutionProvider"
_ONLY_FATAL = 4
_MEMORY_WORDS = ("bad_alloc", "bad allocation", "allocate memory", "out of memory")


class Session:
    """A loaded model.

    weights: the ONNX file's bytes. device: "auto", "cpu", "cuda" or "cuda:NUMBER". Raises
    DeviceError where the named device cannot be used and InferenceError where the engine refuses
    the model. `device` and `engine` say what was taken.
    """

    def __init__(self, weights: bytes, device: str = "auto") -> None:
        runtime = _onnxruntime()
        self._errors = _engine_errors(runtime)
        available = runtime.get_available_providers()
        if device.startswith("cuda") and _CUDA not in available:
            raise DeviceError(
                f"device {device} was asked for, but the installed ONNX Runtime "
                f"{runtime.__version__} has no CUDA: install the extra gpu in place of cpu, or "
                "use device cpu"
            )
        wanted = _providers(device, available)
        if any(name == _CUDA for name, _ in wanted):
            runtime.preload_dlls()
        options = runtime.SessionOptions()
        options.log_severity_level = _ONLY_FATAL
        # With the memory pattern on, the engine's peak is up to twice as high and depends on the
        # shapes it saw before.
        options.enable_mem_pattern = False
        try:
            self._session = runtime.InferenceSession(weights, options, providers=wanted)
        except self._errors as error:
            raise InferenceError(
                f"ONNX Runtime refuses the model: {_first_line(error)}: check the package"
            ) from error
        taken = self._session.get_providers()[0]
        if device.startswith("cuda") and taken != _CUDA:
            raise DeviceError(
                f"device {device} was asked for, but CUDA could not be started: check the NVIDIA "
                "driver (nvidia-smi) and the extra gpu, or use device cpu"
            )
        self.device = _device_name(device) if taken == _CUDA else "cpu"
        self.engine = (
            f"ONNX Runtime {runtime.__version__}, {taken.removesuffix('ExecutionProvider')}"
        )
        counts = len(self._session.get_inputs()), len(self._session.get_outputs())
        if counts != (1, 1):
            raise InferenceError(
                f"the network has {counts[0]} inputs and {counts[1]} outputs, one of each is "
                "expected: export the model again"
            )
        self._input = self._session.get_inputs()[0].name
        self._output = self._session.get_outputs()[0].name

    def run(self, tile: NDArray[np.float32]) -> NDArray[np.float32]:
        """The network's first output for `tile` (float32, the model's axes and sizes)."""
        try:
            (result,) = self._session.run([self._output], {self._input: tile})
        except self._errors as error:
            message = _first_line(error)
            if any(word in str(error).lower() for word in _MEMORY_WORDS):
                raise OutOfMemoryError(
                    f"a tile of shape {tile.shape} does not fit into the memory of {self.device}: "
                    "use a smaller tile",
                    {},
                ) from error
            raise InferenceError(
                f"ONNX Runtime failed on a tile of shape {tile.shape}: {message}"
            ) from error
        return np.asarray(result, np.float32)


def _onnxruntime() -> ModuleType:
    try:
        import onnxruntime
    except ImportError as error:
        raise MissingExtraError("restoring (ONNX Runtime)", "cpu") from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise MissingExtraError("restoring (ONNX Runtime, of which only a part is left)", "cpu")
    module: ModuleType = onnxruntime
    return module


def _engine_errors(runtime: ModuleType) -> tuple[type[Exception], ...]:
    state = runtime.capi.onnxruntime_pybind11_state
    names = (
        "EPFail",
        "EngineError",
        "Fail",
        "InvalidArgument",
        "InvalidGraph",
        "InvalidProtobuf",
        "NoModel",
        "NotImplemented",
        "RuntimeException",
    )
    return tuple(getattr(state, name) for name in names)


def _providers(device: str, available: list[str]) -> list[tuple[str, dict[str, Any]]]:
    providers: list[tuple[str, dict[str, Any]]] = []
    if device != "cpu" and _CUDA in available:
        providers.append(
            (
                _CUDA,
                {
                    "device_id": _device_name(device).partition(":")[2],
                    "use_tf32": "0",
                    "cudnn_conv_algo_search": "HEURISTIC",
                },
            )
        )
    if _OPENVINO in available:
        providers.append((_OPENVINO, {"device_type": "CPU", "precision": "FP32"}))
    return [*providers, (_CPU, {})]


def _device_name(device: str) -> str:
    return device if ":" in device else "cuda:0"


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0]
