"""python train_ours.py RUNS PRECISION STEPS BATCH SIDE: an epoch of care_bridge's own training, the
same network, patches drawn from images on disk; each run leaves its log in RUNS."""

import sys
import tempfile
from itertools import count
from pathlib import Path

import numpy as np
import tifffile
from serve import serve

from care_bridge.training.care import prepare
from care_bridge.training.config import load_config
from care_bridge.training.trainer import Trainer

runs, precision = Path(sys.argv[1]), sys.argv[2]
steps, batch, side = map(int, sys.argv[3:])
folder = Path(tempfile.mkdtemp(dir=runs))
generator = np.random.default_rng(0)
for part in ("source", "GT"):
    (folder / part).mkdir()
    for number in range(4):
        noise = generator.poisson(np.linspace(100, 1000, 4 * side), (4 * side, 4 * side))
        tifffile.imwrite(folder / part / f"{number}.tif", noise.astype(np.uint16))
settings = {
    "training.steps": steps,
    "training.steps_per_epoch": steps,
    "training.batch_size": batch,
    "training.precision": precision,
    "training.device": "cpu",
    "patches.size": [side, side],
    "patches.validation_batches": 1,
}
config = load_config(None, [f"{key}={value}" for key, value in settings.items()])
(folder / "pixels").mkdir()
task = prepare(folder, config, folder / "pixels")
numbers = count()


def run() -> None:
    here = folder / f"run{next(numbers)}"
    here.mkdir()
    Trainer(task, here).fit()


serve(run, ["care-bridge", "torch", "lightning"])
