"""Run inside the environment of scripts/interop-env: bioimageio.core's own prediction.

    python core_prediction.py PACKAGE OUTPUT.npy [--padded]

Predicts the package's test input; --padded as core does by default: with the halo padded on, and
cropped off the output.
"""

import sys

import numpy as np
from bioimageio.core import create_prediction_pipeline, load_model_description
from bioimageio.core.digest_spec import get_test_input_sample

package, output, *flags = sys.argv[1:]
model = load_model_description(package)
bare = "--padded" not in flags
sample = create_prediction_pipeline(model).predict_sample_without_blocking(
    get_test_input_sample(model), skip_input_padding=bare, skip_output_cropping=bare
)
(tensor,) = sample.members.values()
np.save(output, np.asarray(tensor.data))
