"""python first_csbdeep.py IMAGE.npy: from nothing to csbdeep's first result."""

import sys

import numpy as np
from csbdeep.models import CARE, Config

model = CARE(Config("YX", 1, 1, unet_n_depth=2, unet_kern_size=5), "benchmark", basedir=None)
model.predict(np.load(sys.argv[1]), "YX")
