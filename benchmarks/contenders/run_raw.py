"""python run_raw.py PACKAGE IMAGE.npy [PROVIDER]: a bare ONNX Runtime session on the whole image,
with its defaults, but float32 where the provider would take less."""

import json
import sys
from pathlib import Path

import numpy as np
import onnxruntime
from serve import serve

package, image = sys.argv[1:3]
provider = sys.argv[3] if len(sys.argv) > 3 else "CPUExecutionProvider"
options = {
    "CPUExecutionProvider": {},
    "CUDAExecutionProvider": {"use_tf32": "0"},
    "OpenVINOExecutionProvider": {
        "load_config": json.dumps({"CPU": {"INFERENCE_PRECISION_HINT": "f32"}})
    },
}[provider]
if provider == "CUDAExecutionProvider":
    onnxruntime.preload_dlls()
session = onnxruntime.InferenceSession(
    (Path(package) / "weights.onnx").read_bytes(), providers=[(provider, options)]
)
if session.get_providers()[0] != provider:
    sys.exit(f"{provider} could not be started")
tensor = np.load(image).astype(np.float32)[None, None] / 1000
name = session.get_inputs()[0].name
serve(lambda: session.run(None, {name: tensor}), [], f"ONNX Runtime {onnxruntime.__version__} bare")
