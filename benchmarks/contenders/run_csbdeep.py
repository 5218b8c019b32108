"""python run_csbdeep.py IMAGE.npy AXES TILES: csbdeep's default network, e.g. TILES 1,2,2."""

import sys

import numpy as np
from csbdeep.models import CARE, Config
from serve import serve

file, axes, tiles = sys.argv[1:]
kernel = {"YX": 5, "ZYX": 3}[axes]
model = CARE(Config(axes, 1, 1, unet_n_depth=2, unet_kern_size=kernel), "benchmark", basedir=None)
image = np.load(file)
counts = tuple(map(int, tiles.split(",")))
serve(lambda: model.predict(image, axes, n_tiles=counts), ["csbdeep", "tensorflow"])
