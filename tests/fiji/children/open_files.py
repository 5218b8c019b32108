"""Opens every TIFF file of a folder in ImageJ and writes down what it became there.

Arguments: the Fiji ("" for plain ImageJ), the folder.
"""

import pickle
import sys
from pathlib import Path

from care_bridge.fiji.gateway import start

start(sys.argv[1] or None)

from jpype import JClass  # noqa: E402

from care_bridge.fiji.images import from_imageplus  # noqa: E402

opened = {}
for path in sorted(Path(sys.argv[2]).glob("*.tif")):
    imp = JClass("ij.IJ").openImage(str(path))
    dimensions = tuple(int(size) for size in imp.getDimensions())  # X Y C Z T
    opened[path.stem] = (dimensions, from_imageplus(imp))
(Path(sys.argv[2]) / "opened.pickle").write_bytes(pickle.dumps(opened))
