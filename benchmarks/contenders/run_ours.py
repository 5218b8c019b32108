"""python run_ours.py PACKAGE IMAGE AXES [OPTION=VALUE …]: care_bridge on an open image (.npy).

With tiles_only=1 the tiles that are planned for a TIFF file go through the engine, without
reading, scaling and writing; the figure "computed" is computed over useful pixels.
"""

import sys
from pathlib import Path

import numpy as np
from serve import serve

from care_bridge.axes import Axes
from care_bridge.images import open_source
from care_bridge.images.image import Image
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.precision import precision_error
from care_bridge.runtime.restorer import Restorer

package, file, axes, *options = sys.argv[1:]
texts = dict(option.split("=", 1) for option in options)
tiles_only = texts.pop("tiles_only", "0") == "1"
restorer = Restorer(package, RestoreOptions.parse(texts))
engine = restorer.session.engine


def run_tiles() -> None:
    for _ in grid:
        restorer.session.run(tile)


if tiles_only:
    with open_source(Path(file)) as source:
        grid = restorer.plan(source).grid
    tile = np.full((1, 1, *grid.tile.values()), 0.5, np.float32)
    serve(run_tiles, ["care-bridge"], engine, computed=grid.computed_share, tiles=len(grid))
else:
    image = Image(np.load(file), Axes(axes))
    error = precision_error(restorer.package, restorer.session)
    serve(
        lambda: restorer.restore_image(image),
        ["care-bridge"],
        engine,
        largest_error=error.largest,
        rms_error=error.rms,
    )
