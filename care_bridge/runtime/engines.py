"""Which engine computes on which device, with which settings: names only, nothing is loaded."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Collection
from dataclasses import dataclass, field

from care_bridge.errors import DeviceError

_PROVIDERS = {
    "cpu": "CPUExecutionProvider",
    "cuda": "CUDAExecutionProvider",
    "openvino": "OpenVINOExecutionProvider",
    "directml": "DmlExecutionProvider",
}
_AUTO = ("cuda", "openvino", "cpu")
_TITLES = {"cpu": "CPU", "cuda": "CUDA", "openvino": "OpenVINO", "directml": "DirectML"}
_TO_INSTALL = {
    "cuda": "install the extra gpu in place of cpu",
    "openvino": "install the extra openvino in place of cpu",
    "directml": "install onnxruntime-directml (Windows; untested) in place of the extra cpu",
}
_TO_CHECK = {
    "cpu": "check the installation of onnxruntime",
    "cuda": "check the NVIDIA driver, with nvidia-smi, and the extra gpu",
    "openvino": "check that OpenVINO has this device here, with its driver",
    "directml": "check the graphics driver",
}
# Measured on U-Nets of 4 to 32 first filters: OpenVINO took 1.15 to 1.35 of ONNX Runtime's memory
# in 3D, 0.54 to 0.80 in 2D, and less than ONNX Runtime in bf16.
_OPENVINO_MEMORY_3D = 1.35
_OPENVINO_DEVICES = re.compile(r"(CPU|NPU|GPU(\.[0-9]+)?)?")
_NEEDED = {
    "tf32": "an NVIDIA GPU (device cuda)",
    "bf16": "OpenVINO on a CPU that has bf16 (extra openvino, device openvino)",
    # CUDA would need a network converted to float16.
    "fp16": "OpenVINO on an Intel GPU (device openvino:GPU)",
}


@dataclass(frozen=True)
class Engine:
    """An execution provider of ONNX Runtime on a device, and its settings.

    device: as users name it, "cpu" for OpenVINO on the CPU too. kind: "cpu", "cuda", "openvino"
    or "directml". title: for people. options: the provider's.
    """

    device: str
    kind: str
    title: str
    options: dict[str, str] = field(default_factory=dict)

    @property
    def provider(self) -> str:
        """ONNX Runtime's name for it."""
        return _PROVIDERS[self.kind]

    @property
    def one_shape(self) -> bool:
        """Whether it computes faster where it knows the input's shape beforehand: OpenVINO takes
        0.8 of the time in 3D."""
        return self.kind == "openvino"

    @property
    def to_check(self) -> str:
        """What to look at where it does not start."""
        return _TO_CHECK[self.kind]

    @property
    def number(self) -> int:
        """The number of the GPU, 0 where there is none."""
        return int(self.options.get("device_id", "0"))


def engines(
    device: str, precision: str, memory: int | None, available: Collection[str], version: str
) -> tuple[Engine, ...]:
    """The engines to try for a device and a precision of RestoreOptions, the best first.

    memory: the most bytes on a GPU, None for no limit. available, version: ONNX Runtime's
    providers and its version. DeviceError where this installation, or the precision, has none.
    """
    kind, _, which = device.partition(":")
    if kind == "openvino" and not _OPENVINO_DEVICES.fullmatch(which := which.upper()):
        # ONNX Runtime would take its CPU without a word
        raise DeviceError(
            f"device {device}: OpenVINO knows no such one, use openvino, openvino:GPU, "
            "openvino:GPU.1 or openvino:NPU"
        )
    kinds = _AUTO if device == "auto" else (kind,)
    installed = [each for each in kinds if _PROVIDERS[each] in available]
    if not installed:
        raise DeviceError(
            f"device {device} was asked for, but the installed ONNX Runtime {version} has no "
            f"{_TITLES[kind]}: {_TO_INSTALL[kind]}, or use device cpu"
        )
    found = [_engine(each, which, precision, memory) for each in installed]
    usable = tuple(engine for engine in found if engine is not None)
    if not usable:
        raise DeviceError(
            f"precision {precision} cannot be had on device {device} with the installed ONNX "
            f"Runtime {version}: it needs {_NEEDED[precision]}; or use precision float32"
        )
    return usable


def memory_factor(engine: Engine, precision: str, is_3d: bool) -> float:
    """What a pixel of a tile costs on this engine, at most, in parts of a package's
    memory_per_pixel, which is of ONNX Runtime's CPU engine."""
    exact_openvino = engine.kind == "openvino" and precision == "float32"
    return _OPENVINO_MEMORY_3D if exact_openvino and is_3d else 1.0


def compute_threads() -> int:
    """The physical cores that this process may use."""
    import psutil

    cores = psutil.cpu_count(logical=False) or psutil.cpu_count() or 1
    if sys.platform == "linux":
        import os

        return min(cores, len(os.sched_getaffinity(0)))
    return cores


def _engine(kind: str, which: str, precision: str, memory: int | None) -> Engine | None:
    """The engine of this kind, None where it does not compute in this precision."""
    if kind == "cuda" and precision in ("float32", "tf32"):
        return _cuda(which or "0", precision, memory)
    if kind == "openvino" and which in ("", "CPU") and precision in ("float32", "bf16"):
        return _openvino_cpu(precision)
    if kind == "openvino" and which not in ("", "CPU") and precision in ("float32", "fp16"):
        wanted = {"float32": "FP32", "fp16": "FP16"}[precision]
        options = {"device_type": which, "precision": wanted}
        return Engine(f"openvino:{which}", kind, f"OpenVINO on {which}", options)
    if kind in ("cpu", "directml") and precision == "float32":
        return Engine(kind, kind, _TITLES[kind])
    return None


def _cuda(number: str, precision: str, memory: int | None) -> Engine:
    options = {
        "device_id": number,
        # On by default, and no float32: its products have 10 bits of mantissa.
        "use_tf32": "1" if precision == "tf32" else "0",
        # The exhaustive search runs every algorithm at each new shape, in all of its memory.
        "cudnn_conv_algo_search": "HEURISTIC",
        "arena_extend_strategy": "kSameAsRequested",
    }
    if memory is not None:
        options["gpu_mem_limit"] = str(memory)
    return Engine(f"cuda:{number}", "cuda", "CUDA", options)


def _openvino_cpu(precision: str) -> Engine:
    # Left to itself, OpenVINO takes bf16 on a CPU that has it. The provider's own option knows no
    # bf16 on a CPU, so both precisions go to OpenVINO itself.
    hints = {
        "INFERENCE_PRECISION_HINT": {"float32": "f32", "bf16": "bf16"}[precision],
        "INFERENCE_NUM_THREADS": str(compute_threads()),
    }
    options = {"device_type": "CPU", "load_config": json.dumps({"CPU": hints})}
    return Engine("cpu", "openvino", "OpenVINO", options)
