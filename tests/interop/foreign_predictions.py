"""Run inside the environment of scripts/interop-env: bioimageio.core's predictions of packages.

    python foreign_predictions.py FOLDER

Writes PACKAGE/core.npy, its output for the test input, for each package in the folder.
"""

import sys
from pathlib import Path

import numpy as np
from bioimageio.core import create_prediction_pipeline, load_model_description
from bioimageio.core.digest_spec import get_test_input_sample

for folder in Path(sys.argv[1]).iterdir():
    model = load_model_description(folder / "rdf.yaml")
    sample = create_prediction_pipeline(model).predict_sample_without_blocking(
        get_test_input_sample(model), skip_input_padding=True, skip_output_cropping=True
    )
    np.save(folder / "core.npy", np.asarray(sample.members["output"].data, np.float32))
