"""One ONNX model loaded into one engine on one device: the only importer of onnxruntime.

float32 stays float32: TF32 and bf16, which some engines switch on by themselves, are off.
"""

from __future__ import annotations

import contextlib
import io
import itertools
import platform
import re
import sys
from collections import OrderedDict
from collections.abc import Mapping
from functools import lru_cache
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
from care_bridge.runtime.binding import DeviceTensors
from care_bridge.runtime.engines import Engine, compute_threads, engines, memory_factor
from care_bridge.runtime.stopping import left_at_signals, stoppable

_ONLY_FATAL = 4
_DIMENSIONS_OF_3D = 5
_SHAPES_KEPT = 2
_LARGEST_CONSTANT = "optimization.constant_folding_max_output_size_in_bytes"
_LARGEST_CONSTANT_BYTES = 16 << 20
_FLOAT32 = "tensor(float)"
# ONNX Runtime's names of numpy's types.
_TYPES = {"float": "float32", "double": "float64"} | {
    name: name for name in ("float16", "bool", "int8", "uint8", "int16", "uint16", "int32", "int64")
}
_UNKNOWN_OPERATOR = "is not a registered function/op"
_MODEL_ERRORS = ("InvalidArgument", "InvalidGraph", "InvalidProtobuf", "NoModel", "NotImplemented")
_ENGINE_ERRORS = ("EPFail", "EngineError", "Fail", "RuntimeException")
# In lower case: ONNX Runtime's arena, C++, CUDA with cuDNN and cuBLAS, OpenVINO, OpenCL.
_MEMORY_WORDS = (
    "allocate memory",
    "bad allocation",
    "bad_alloc",
    "alloc_failed",
    "failed to allocate",
    "mem_object_allocation",
    "memoryallocation",
    "out of gpu resources",
    "out of memory",
    "out_of_resources",
    "smaller than requested bytes",
)


class Session:
    """A loaded model.

    weights: the ONNX file's bytes. device, precision: as in RestoreOptions. memory: the most
    bytes that it may take on a GPU, None for no limit. Raises DeviceError where the named device,
    or the precision on it, cannot be used and InferenceError where the engine refuses the model.

    device: what was taken, "cpu", "cuda:0", "openvino:GPU" or "directml"; "cpu" means that it
    computes in main memory. engine: with what and why, e.g. "ONNX Runtime 1.31.1, CPU; no CUDA
    in this build". advice: what would make this model faster here, in one line, empty if nothing.
    memory_factor: what a pixel costs here, in parts of the package's memory_per_pixel.
    One thread runs a session; any other may cancel, also by `stop_all`.
    """

    def __init__(
        self,
        weights: bytes,
        device: str = "auto",
        precision: str = "float32",
        memory: int | None = None,
    ) -> None:
        self._runtime = runtime = _onnxruntime()
        self._errors: tuple[type[Exception], ...] = (
            *_errors(runtime, _MODEL_ERRORS + _ENGINE_ERRORS),
            MemoryError,
        )
        available = runtime.get_available_providers()
        candidates = engines(device, precision, memory, available, runtime.__version__)
        engine, self._session, passed_over = _start(runtime, weights, candidates, device)
        self._engine = engine
        self._weights = weights if engine.one_shape else b""
        self._of_shape: OrderedDict[tuple[int, ...], Any] = OrderedDict()
        self.device = engine.device
        self.engine = _described(engine, precision, runtime, available, device, passed_over)
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        if not inputs or not outputs:
            raise InferenceError(
                f"the network has {len(inputs)} inputs and {len(outputs)} outputs, at least one of "
                "each is expected: have the model exported again"
            )
        self._inputs = {each.name: _Input(each) for each in inputs}
        self._outputs = [output.name for output in outputs]
        is_3d = len(inputs[0].shape) == _DIMENSIONS_OF_3D
        self.advice = _advice(engine, is_3d, available)
        self.memory_factor = memory_factor(engine, precision, is_3d)
        self._on_gpu = (
            DeviceTensors(
                runtime, self._session, inputs[0].name, self._outputs, ("cuda", engine.number)
            )
            if engine.kind == "cuda" and len(inputs) == 1 and inputs[0].type == _FLOAT32
            else None
        )
        self._running: Any = None

    @property
    def tensors(self) -> tuple[int, int]:
        """How many inputs and outputs the network has."""
        return len(self._inputs), len(self._outputs)

    def run(self, *tiles: NDArray[np.float32], output: int = 0) -> NDArray[np.float32]:
        """The network's output number `output` for the tiles of its inputs (float32, contiguous,
        the model's axes and sizes).

        Raises as `run_all`.
        """
        return self._run(tiles, slice(output, output + 1))[0]

    def run_all(self, *tiles: NDArray[np.float32]) -> list[NDArray[np.float32]]:
        """All of the network's outputs for the tiles of its inputs.

        Raises OutOfMemoryError (its tile is not filled in), and InferenceError where the engine
        fails or the run was cancelled.
        """
        return self._run(tiles, slice(None))

    def _run(
        self, tiles: tuple[NDArray[np.float32], ...], wanted: slice
    ) -> list[NDArray[np.float32]]:
        """The wanted outputs."""
        tile = tiles[0]
        self._running = options = self._runtime.RunOptions()
        options.log_severity_level = _ONLY_FATAL
        try:
            with stoppable(self.cancel):
                return self._computed(tiles, wanted, options)
        except self._errors as error:
            if options.terminate:
                raise InferenceError(f"a tile of shape {tile.shape} was cancelled") from error
            if isinstance(error, MemoryError) or _is_of_memory(str(error)):
                raise OutOfMemoryError(
                    f"a tile of shape {tile.shape} does not fit into the memory of {self.device}: "
                    "free some memory",
                    {},
                ) from error
            raise InferenceError(
                f"ONNX Runtime failed on a tile of shape {tile.shape}: {_first_line(str(error))}"
            ) from error
        finally:
            self._running = None

    def cancel(self) -> None:
        """Stop the tile that is running now, from another thread: `run` raises InferenceError
        there. The next one runs again, so the caller must ask for none. ONNX Runtime's own engines
        stop within a layer; OpenVINO finishes the tile, which is then returned."""
        running = self._running
        if running is not None:
            running.terminate = True

    def _computed(
        self, tiles: tuple[NDArray[np.float32], ...], wanted: slice, options: Any
    ) -> list[NDArray[np.float32]]:
        if self._on_gpu is not None:
            return self._on_gpu.run(tiles[0], wanted, options)
        session = self._for_shape(*tiles) if self._engine.one_shape else self._session
        given = {
            name: tile.astype(each.dtype, copy=False)
            for (name, each), tile in zip(self._inputs.items(), tiles, strict=True)
        }
        results = session.run(self._outputs[wanted], given, options)
        return [np.asarray(result, np.float32) for result in results]

    def _for_shape(self, *tiles: NDArray[np.float32]) -> Any:
        """The InferenceSession for inputs of one shape; tiles of an image have one, or, where it is
        restored from two sides, two."""
        shape = tuple(itertools.chain.from_iterable(tile.shape for tile in tiles))
        if shape not in self._of_shape:
            while len(self._of_shape) >= _SHAPES_KEPT:
                self._of_shape.popitem(last=False)
            axes = itertools.chain.from_iterable(each.axes for each in self._inputs.values())
            sizes = {
                name: size for name, size in zip(axes, shape, strict=True) if isinstance(name, str)
            }
            session, reason = _try(self._runtime, self._weights, self._engine, sizes)
            if session is None and _is_of_memory(reason):
                raise MemoryError(reason)
            if session is None:
                raise InferenceError(
                    f"the engine refuses a tile of shape {shape}: {_first_line(reason)}"
                )
            self._of_shape[shape] = session
        self._of_shape.move_to_end(shape)
        return self._of_shape[shape]


class _Input:
    """An input of the network: the names or sizes of its axes, and the type that it takes.
    InferenceError where that is none of numbers."""

    def __init__(self, described: Any) -> None:
        self.axes: list[int | str | None] = described.shape
        kind = described.type.removeprefix("tensor(").removesuffix(")")
        if kind not in _TYPES:
            raise InferenceError(
                f'the network\'s input "{described.name}" is {described.type}, numbers are '
                "expected: have the model exported again"
            )
        self.dtype = np.dtype(_TYPES[kind])


@lru_cache(maxsize=1)
def _share_exact_arena(runtime: ModuleType) -> None:
    """Let all sessions of this process take main memory as they need it, up to what is free now, or
    half of all where that is more.

    By default an arena grows by powers of two, up to half more than a network needs, by no rule
    that a plan of its tiles could follow. Without the limit a network that asks for more than
    there is would have the system end this process, or others. It cannot be changed later: what is
    free now alone would keep a worker that was started at a full moment small for good.
    """
    place = runtime.OrtMemoryInfo(
        "Cpu", runtime.OrtAllocatorType.ORT_ARENA_ALLOCATOR, 0, runtime.OrtMemType.DEFAULT
    )
    import psutil

    same_as_requested = 1
    memory = psutil.virtual_memory()
    limits = {
        "arena_extend_strategy": same_as_requested,
        "max_mem": max(memory.available, memory.total // 2),
    }
    runtime.create_and_register_allocator(place, runtime.OrtArenaCfg(limits))


def _onnxruntime() -> ModuleType:
    try:
        import onnxruntime
    except ModuleNotFoundError as error:
        raise MissingExtraError("restoring (ONNX Runtime)", "cpu") from error
    except ImportError as error:
        if isinstance(error.__cause__, KeyboardInterrupt):  # while its C++ was loading
            raise type(error.__cause__) from error
        raise InferenceError(
            f"ONNX Runtime is installed, but cannot be loaded ({_first_line(str(error))}): install "
            "it anew"
        ) from error
    if not hasattr(onnxruntime, "InferenceSession"):
        raise MissingExtraError("restoring (ONNX Runtime, of which only a part is left)", "cpu")
    module: ModuleType = onnxruntime
    return module


def _errors(runtime: ModuleType, names: tuple[str, ...]) -> tuple[type[Exception], ...]:
    state = runtime.capi.onnxruntime_pybind11_state
    return tuple(getattr(state, name) for name in names)


def _is_of_memory(text: str) -> bool:
    """Whether an engine's complaint is that memory ran out."""
    return any(word in text.lower() for word in _MEMORY_WORDS)


def _start(
    runtime: ModuleType, weights: bytes, candidates: tuple[Engine, ...], device: str
) -> tuple[Engine, Any, list[str]]:
    """The first engine that starts, its InferenceSession, and why those before it did not."""
    passed_over: list[str] = []
    for engine in candidates:
        session, reason = _try(runtime, weights, engine, {})
        if session is not None:
            return engine, session, passed_over
        passed_over.append(f"{engine.title} could not be started ({_first_line(reason)})")
    raise DeviceError(f"device {device} was asked for, but {passed_over[-1]}; or use device cpu")


def _try(
    runtime: ModuleType, weights: bytes, engine: Engine, sizes: Mapping[str, int]
) -> tuple[Any, str]:
    """The InferenceSession on this engine, or None and why it cannot be had. sizes: of axes of the
    input, by the names that the network gives them; the others may have any."""
    printed = io.StringIO()
    if engine.kind == "cuda":
        # It prints what it misses on stdout, among the results.
        with contextlib.redirect_stdout(printed):
            runtime.preload_dlls()
    providers = [(engine.provider, engine.options)]
    about_engine: tuple[type[Exception], ...] = ()
    # Why a provider does not start, or a tensor does not fit, goes to a log besides the error.
    runtime.set_default_logger_severity(_ONLY_FATAL)
    if engine.kind != "cpu":
        providers.append(("CPUExecutionProvider", {}))  # for what the engine cannot compute
        about_engine = (*_errors(runtime, _ENGINE_ERRORS), RuntimeError)
    options = runtime.SessionOptions()
    options.log_severity_level = _ONLY_FATAL
    options.intra_op_num_threads = compute_threads()
    # With the memory pattern on, the engine's peak is up to twice as high and depends on the
    # shapes it saw before.
    options.enable_mem_pattern = False
    for name, size in sizes.items():
        options.add_free_dimension_override_by_name(name, size)
    _share_exact_arena(runtime)
    options.add_session_config_entry("session.use_env_allocators", "1")
    # What is computed while a model is loaded does not count in the arena.
    options.add_session_config_entry(_LARGEST_CONSTANT, str(_LARGEST_CONSTANT_BYTES))
    try:
        # Without its own fallback, which prints on stdout.
        session = left_at_signals(
            lambda: runtime.InferenceSession(
                weights, options, providers=providers, enable_fallback=0
            )
        )
    except about_engine as error:
        return None, str(error)
    except _errors(runtime, _MODEL_ERRORS + _ENGINE_ERRORS) as error:
        named = re.search(rf"(\S+?)(\(\S*\))? {_UNKNOWN_OPERATOR}", str(error))
        if named:
            raise InferenceError(
                f"the network uses the operator {named[1]}, which ONNX Runtime does not have: "
                "export the model without it"
            ) from error
        raise InferenceError(
            f"ONNX Runtime refuses the model: {_first_line(str(error))}: have the model "
            "exported again"
        ) from error
    if session.get_providers()[0] != engine.provider:
        return None, printed.getvalue() or engine.to_check
    return session, ""


def _described(
    engine: Engine,
    precision: str,
    runtime: ModuleType,
    available: list[str],
    device: str,
    passed_over: list[str],
) -> str:
    """What Session.engine says."""
    lowered = [] if precision == "float32" else [precision]
    title = ", ".join([f"ONNX Runtime {runtime.__version__}", engine.title, *lowered])
    missing = device == "auto" and "CUDAExecutionProvider" not in available
    return "; ".join([title, *(["no CUDA in this build"] if missing else []), *passed_over])


def _advice(engine: Engine, is_3d: bool, available: list[str]) -> str:
    installable = platform.machine().lower() in ("x86_64", "amd64") and sys.platform != "darwin"
    missing = "OpenVINOExecutionProvider" not in available
    if engine.kind != "cpu" or not (is_3d and installable and missing):
        return ""
    return "3D models run about 1.6 times faster on a CPU with the extra openvino in place of cpu"


def _first_line(text: str) -> str:
    return text.strip().partition("\n")[0].strip()
