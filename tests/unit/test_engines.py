import json

import pytest

from care_bridge.errors import DeviceError
from care_bridge.runtime.engines import engines, memory_factor

CPU_BUILD = ("AzureExecutionProvider", "CPUExecutionProvider")
GPU_BUILD = ("TensorrtExecutionProvider", "CUDAExecutionProvider", "CPUExecutionProvider")
OPENVINO_BUILD = ("OpenVINOExecutionProvider", "CPUExecutionProvider")
DIRECTML_BUILD = ("DmlExecutionProvider", "CPUExecutionProvider")

# device, precision, build -> (kind, what Session.device would say) in the order they are tried
TAKEN = {
    "auto": ("auto", "float32", CPU_BUILD, [("cpu", "cpu")]),
    "auto-gpu": ("auto", "float32", GPU_BUILD, [("cuda", "cuda:0"), ("cpu", "cpu")]),
    "auto-openvino": ("auto", "float32", OPENVINO_BUILD, [("openvino", "cpu"), ("cpu", "cpu")]),
    "auto-directml": ("auto", "float32", DIRECTML_BUILD, [("cpu", "cpu")]),
    "auto-tf32": ("auto", "tf32", GPU_BUILD, [("cuda", "cuda:0")]),
    "auto-bf16": ("auto", "bf16", OPENVINO_BUILD, [("openvino", "cpu")]),
    "cpu-of-openvino": ("cpu", "float32", OPENVINO_BUILD, [("cpu", "cpu")]),
    "second-gpu": ("cuda:1", "float32", GPU_BUILD, [("cuda", "cuda:1")]),
    "openvino-gpu": ("openvino:GPU", "fp16", OPENVINO_BUILD, [("openvino", "openvino:GPU")]),
    "openvino-cpu": ("openvino:CPU", "bf16", OPENVINO_BUILD, [("openvino", "cpu")]),
    "openvino-lower-case": (
        "openvino:gpu.1",
        "fp16",
        OPENVINO_BUILD,
        [("openvino", "openvino:GPU.1")],
    ),
    "directml": ("directml", "float32", DIRECTML_BUILD, [("directml", "directml")]),
}

# device, precision, build -> what the message must say
REFUSED = {
    "no-cuda": ("cuda", "float32", CPU_BUILD, "no CUDA: install the extra gpu"),
    "no-openvino": ("openvino", "float32", GPU_BUILD, "no OpenVINO: install the extra openvino"),
    "openvino-misspelt": (
        "openvino:GPUU",
        "float32",
        OPENVINO_BUILD,
        "knows no such .*openvino:GPU",
    ),
    "no-directml": ("directml", "float32", CPU_BUILD, "onnxruntime-directml .*untested"),
    "tf32-on-cpu": ("cpu", "tf32", GPU_BUILD, "needs an NVIDIA GPU"),
    "tf32-without-gpu": ("auto", "tf32", CPU_BUILD, "needs an NVIDIA GPU"),
    "bf16-on-cpu": ("auto", "bf16", CPU_BUILD, "extra openvino"),
    "bf16-on-plain-cpu": ("cpu", "bf16", OPENVINO_BUILD, "device openvino"),
    "bf16-on-cuda": ("cuda", "bf16", GPU_BUILD, "extra openvino"),
    "fp16-on-cuda": ("cuda", "fp16", GPU_BUILD, "openvino:GPU"),
    "fp16-on-openvino-cpu": ("openvino", "fp16", OPENVINO_BUILD, "openvino:GPU"),
    "fp16-on-directml": ("directml", "fp16", DIRECTML_BUILD, "openvino:GPU"),
}


@pytest.mark.parametrize(("device", "precision", "build", "expected"), TAKEN.values(), ids=TAKEN)
def test_the_engines_to_try(device, precision, build, expected):
    found = engines(device, precision, None, build, "1.0")
    assert [(engine.kind, engine.device) for engine in found] == expected


@pytest.mark.parametrize(("device", "precision", "build", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_had_says_what_to_do(device, precision, build, message):
    with pytest.raises(DeviceError, match=message) as caught:
        engines(device, precision, None, build, "1.0")
    assert "\n" not in str(caught.value)
    assert device in str(caught.value)


@pytest.mark.parametrize(("precision", "tf32"), [("float32", "0"), ("tf32", "1")])
def test_cuda_multiplies_in_tf32_only_when_asked_to(precision, tf32):
    (cuda,) = engines("cuda:2", precision, None, GPU_BUILD, "1.0")
    assert (cuda.options["use_tf32"], cuda.options["device_id"]) == (tf32, "2")


@pytest.mark.parametrize(("precision", "hint"), [("float32", "f32"), ("bf16", "bf16")])
def test_openvino_is_told_its_precision(precision, hint):
    (openvino,) = engines("openvino", precision, None, OPENVINO_BUILD, "1.0")
    assert json.loads(openvino.options["load_config"])["CPU"]["INFERENCE_PRECISION_HINT"] == hint


def test_memory_limits_what_a_gpu_gives():
    limited, _ = engines("auto", "float32", 3 << 30, GPU_BUILD, "1.0")
    free, _ = engines("auto", "float32", None, GPU_BUILD, "1.0")
    assert limited.options["gpu_mem_limit"] == "3221225472"
    assert "gpu_mem_limit" not in free.options


def test_only_openvino_in_3d_needs_more_memory_than_a_package_says():
    needs = {
        (engine.kind, precision, dims): memory_factor(engine, precision, dims == 3)
        for precision in ("float32", "bf16")
        for engine in engines("auto", precision, None, OPENVINO_BUILD, "1.0")
        for dims in (2, 3)
    }
    assert {case for case, factor in needs.items() if factor > 1} == {("openvino", "float32", 3)}
