"""python run_core.py PACKAGE IMAGE.npy TILE: bioimageio.core in blocks of TILE pixels a side."""

import sys

import numpy as np
from bioimageio.core import create_prediction_pipeline, load_model_description, predict
from serve import serve

package, file, tile = sys.argv[1:]
pipeline = create_prediction_pipeline(load_model_description(f"{package}/rdf.yaml"))
tensor = np.load(file).astype(np.float32)[None, None]
block = {"input": {"batch": 1, "channel": 1, "y": int(tile), "x": int(tile)}}
serve(
    lambda: predict(model=pipeline, inputs={"input": tensor}, input_block_shape=block),
    ["bioimageio.core", "onnxruntime"],
)
