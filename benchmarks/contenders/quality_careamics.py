"""python quality_careamics.py JOB: careamics' recipe for Noise2Void. JOB (JSON): a
bench.training.Job."""

import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
import tifffile
from careamics import CAREamist
from careamics.config.factories.n2v_factory import create_advanced_n2v_config

job = json.loads(sys.argv[1])
out = Path(job["out"])
config = create_advanced_n2v_config(
    experiment_name="benchmark",
    data_type="array",
    axes=job["axes"],
    patch_size=job["patch"],
    batch_size=job["batch"],
    num_epochs=job["steps"] // job["steps_per_epoch"],
    num_steps=job["steps_per_epoch"],
    n_val_patches=job["validation_batches"] * job["batch"],
    model_params={"num_channels_init": job["filters"]},
    num_workers=0,
    seed=job["seed"] + 1,  # it refuses 0
)
careamist = CAREamist(config, work_dir=out, enable_progress_bar=False)
images = [tifffile.imread(file) for file in sorted(Path(job["data"], "source").iterdir())]
# An epoch passes once over the images: they are repeated until it has the wanted steps.
patches = sum(image.size // math.prod(job["patch"]) for image in images)
wanted = job["steps_per_epoch"] * job["batch"] + config.data_config.n_val_patches
careamist.train(train_data=images * math.ceil(wanted / patches))
for file in sorted(Path(job["data"], "test").iterdir()):
    image = tifffile.imread(file)
    predicted, _ = careamist.predict(image, axes=job["axes"], batch_size=1, checkpoint=None)
    np.save(out / f"{file.stem}.npy", np.squeeze(predicted[0]).reshape(image.shape))
versions = [f"{name} {version(name)}" for name in ("careamics", "torch")]
(out / "versions.json").write_text(json.dumps(versions))
