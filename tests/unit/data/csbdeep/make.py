"""Makes the models in this folder, with csbdeep and TensorFlow in an environment of their own:

    pip install csbdeep tensorflow-cpu tf-keras
    python make.py FOLDER

Untrained networks with random weights and biases, a noisy image each, and what csbdeep makes of it:
`restored` is CARE.predict of `image`; `scale` is the second half of predict_probabilistic, where
the model is probabilistic.
"""

import os
import sys
from pathlib import Path

import numpy as np

os.environ["TF_USE_LEGACY_KERAS"] = "1"
from csbdeep.models import CARE, Config

MODELS = {
    "2d": {"axes": "YX", "unet_n_first": 2, "shape": (20, 24)},
    "3d": {
        "axes": "ZYX",
        "n_channel_in": 2,
        "n_channel_out": 2,
        "unet_n_first": 2,
        "unet_n_depth": 1,
        "shape": (6, 8, 10, 2),
    },
    "probabilistic": {
        "axes": "YX",
        "probabilistic": True,
        "unet_n_first": 4,
        "unet_n_depth": 1,
        "unet_kern_size": 3,
        "shape": (16, 12),
    },
}


def make(name: str, shape: tuple[int, ...], folder: Path, **settings: object) -> None:
    rng = np.random.default_rng(len(name))
    model = CARE(Config(**settings), name, folder)
    network = model.keras_model
    # Wide enough for every layer to pass on what it gets, biases included.
    network.set_weights(
        [
            rng.normal(
                0,
                np.sqrt(2 / np.prod(weights.shape[:-1])) if weights.ndim > 1 else 0.2,
                weights.shape,
            )
            for weights in network.get_weights()
        ]
    )
    network.save_weights(folder / name / "weights_best.h5")
    image = rng.poisson(rng.gamma(2, 40, shape)).astype(np.uint16)
    axes = settings["axes"] + "C" * (len(shape) - len(settings["axes"]))
    reference = {"image": image, "restored": model.predict(image, axes)}
    if settings.get("probabilistic"):
        reference["scale"] = model.predict_probabilistic(image, axes).scale()
    np.savez_compressed(folder / name / "reference.npz", **reference)


if __name__ == "__main__":
    for name, settings in MODELS.items():
        make(name, folder=Path(sys.argv[1]), **settings)
