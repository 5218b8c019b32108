"""python run_careamics.py IMAGE.npy AXES TILE OVERLAP: careamics' own prediction pipeline around
csbdeep's default network (care_bridge's PyTorch module of it, which has the same layers)."""

import sys
import tempfile
from pathlib import Path

import numpy as np
from careamics import CAREamist
from careamics.config import create_care_config
from serve import serve

sys.path.insert(0, str(Path(__file__).parents[2]))
from care_bridge.training.networks.unet import UNet

file, axes, tile, overlap = sys.argv[1:]
config = create_care_config(
    experiment_name="benchmark",
    data_type="array",
    axes=axes,
    patch_size=[64] * len(axes),
    batch_size=1,
    num_epochs=1,
    num_steps=1,
)
careamist = CAREamist(config, work_dir=tempfile.mkdtemp(), enable_progress_bar=False)
careamist.model.model = UNet(
    dimensions=len(axes),
    channels_in=1,
    channels_out=1,
    depth=2,
    kernel={"YX": 5, "ZYX": 3}[axes],
    n_first=32,
    convolutions=2,
    residual=True,
)
image = np.load(file).astype(np.float32)
small = image[..., :128, :128]
# Prediction takes the checkpoint of a training, so one batch is trained.
careamist.train(train_data=small, train_data_target=small, val_data=small, val_data_target=small)


def run() -> None:
    sizes = (int(tile),) * len(axes)
    overlaps = (int(overlap),) * len(axes)
    careamist.predict(image, axes=axes, batch_size=1, tile_size=sizes, tile_overlap=overlaps)


serve(run, ["careamics", "torch"])
