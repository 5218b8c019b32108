"""python run_conversion.py WAY STACK: a stack (.npy, uint16) taken to ImageJ, or out of it.

WAY: to-ours, to-buffer, to-slice, from-ours, from-buffer or from-view.
"""

import sys

import numpy as np
from serve import serve

from care_bridge.axes import Axes
from care_bridge.fiji import start
from care_bridge.images.image import Image

way, file = sys.argv[1:]
planes = np.load(file)
gateway = start()

from jpype import JArray, JClass, JShort  # noqa: E402
from jpype.nio import convertToDirectBuffer  # noqa: E402

from care_bridge.fiji.images import from_imageplus, to_imageplus  # noqa: E402

order = JClass("java.nio.ByteOrder").nativeOrder()
image = Image(planes, Axes("ZYX"))
count, height, width = planes.shape


def shorts(plane):
    return convertToDirectBuffer(plane).order(order).asShortBuffer()


def stack_of(fill):
    """An ij.ImagePlus whose arrays `fill` has filled."""
    stack = JClass("ij.ImageStack")(width, height)
    for plane in planes:
        pixels = JArray(JShort)(plane.size)
        fill(plane, pixels)
        stack.addSlice(None, pixels)
    return JClass("ij.ImagePlus")("stack", stack)


def by_buffer(plane, pixels):
    shorts(plane).get(pixels)


def by_slice(plane, pixels):
    pixels[:] = plane.reshape(-1).view(np.int16)


def put_into_buffers():
    taken = np.empty_like(planes)
    for number, plane in enumerate(taken, 1):
        shorts(plane).put(stack.getPixels(number))
    return taken


def viewed():
    taken = np.empty_like(planes)
    for number, plane in enumerate(taken, 1):
        plane[...] = np.asarray(stack.getPixels(number)).view(np.uint16).reshape(height, width)
    return taken


imp = to_imageplus(image, "stack")
stack = imp.getStack()
ways = {
    "to-ours": lambda: to_imageplus(image, "stack"),
    "to-buffer": lambda: stack_of(by_buffer),
    "to-slice": lambda: stack_of(by_slice),
    "from-ours": lambda: from_imageplus(imp),
    "from-buffer": put_into_buffers,
    "from-view": viewed,
}
same = ways[way]()
if way.startswith("from"):
    same = same.pixels if way == "from-ours" else same
    assert np.array_equal(same, planes)
else:
    assert np.array_equal(from_imageplus(same).pixels, planes)
del same
serve(ways[way], ["care-bridge", "pyimagej", "jpype1"], f"ImageJ {gateway.version}")
