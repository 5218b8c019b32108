"""python make_package.py DIMS FILTERS OUT: csbdeep's default network, untrained, as a package."""

import sys
from pathlib import Path

import numpy as np

from care_bridge.export.about import About
from care_bridge.export.builder import export_checkpoint
from care_bridge.normalization import Scale
from care_bridge.training.checkpoint import Checkpoint, Example, build_network
from care_bridge.training.config import parse_config
from care_bridge.training.scales import Intensities

dims, filters, out = int(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
axes = "ZYX"[-dims:]
config = parse_config({"network": {"axes": axes, "n_first": filters}}).resolved(axes)
shape = (1, 32, 96, 96) if dims == 3 else (1, 256, 256)
source = np.random.default_rng(0).poisson(200, shape).astype(np.uint16)
checkpoint = Checkpoint(
    config=config,
    network=build_network(config, 1, 1).requires_grad_(False).eval(),
    axes=axes,
    channels_in=1,
    channels_out=1,
    step=0,
    validation={},
    example=Example(source, source),
    intensities=Intensities((Scale(gain=1.0, offset=0.0),), (Scale(gain=1.0, offset=0.0),)),
    images={"training": [], "validation": []},
    versions={},
)
export_checkpoint(checkpoint, out, About(f"Benchmark {dims}D {filters}", "Untrained, for timing"))
