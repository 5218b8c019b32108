"""python quality_csbdeep.py JOB: csbdeep's recipe for CARE. JOB (JSON): bench.training.Job."""

import json
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tensorflow as tf
import tifffile
from csbdeep.data import RawData, create_patches
from csbdeep.models import CARE, Config

job = json.loads(sys.argv[1])
out = Path(job["out"])
np.random.seed(job["seed"])
tf.random.set_seed(job["seed"])

raw = RawData.from_folder(job["data"], ["source"], "GT", job["axes"])
patches_per_image = {"YX": 256, "ZYX": 128}[job["axes"]]  # as its manual advises
sources, targets, _ = create_patches(raw, job["patch"], patches_per_image, verbose=False)
sources, targets = np.moveaxis(sources, 1, -1), np.moveaxis(targets, 1, -1)
kept = job["validation_batches"] * job["batch"]
config = Config(
    job["axes"],
    unet_n_first=job["filters"],
    train_batch_size=job["batch"],
    train_steps_per_epoch=job["steps_per_epoch"],
    train_epochs=job["steps"] // job["steps_per_epoch"],
    train_tensorboard=False,
)
model = CARE(config, "model", str(out))
model.train(sources[kept:], targets[kept:], validation_data=(sources[:kept], targets[:kept]))
for file in sorted(Path(job["data"], "test").iterdir()):
    np.save(out / f"{file.stem}.npy", model.predict(tifffile.imread(file), job["axes"]))
versions = [f"{name} {version(name)}" for name in ("csbdeep", "tensorflow")]
(out / "versions.json").write_text(json.dumps(versions))
