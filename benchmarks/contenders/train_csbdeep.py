"""python train_csbdeep.py STEPS BATCH SIDE: an epoch of csbdeep's own training, default network."""

import sys

import numpy as np
from csbdeep.models import CARE, Config
from serve import serve

steps, batch, side = map(int, sys.argv[1:])
config = Config(
    "YX",
    1,
    1,
    unet_n_depth=2,
    unet_kern_size=5,
    unet_n_first=32,
    train_batch_size=batch,
    train_steps_per_epoch=steps,
    train_epochs=1,
)
model = CARE(config, "benchmark", basedir=None)
patches = np.random.default_rng(0).random((2, 4 * batch, side, side, 1)).astype(np.float32)
held_out = tuple(patches[:, :batch])
serve(lambda: model.train(*patches, validation_data=held_out), ["csbdeep", "tensorflow"])
