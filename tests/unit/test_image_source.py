import math
import random

import numpy as np
import pytest

from care_bridge.axes import Axes
from care_bridge.images.image import Calibration, Image
from care_bridge.images.source import ImageInMemory, boxes_of, read_image


@pytest.mark.parametrize("seed", range(200))
def test_boxes_cover_each_pixel_once_and_do_not_share_pieces(seed):
    rng = random.Random(seed)
    shape = tuple(rng.randint(1, 9) for _ in range(6))
    pieces = tuple(rng.randint(1, 12) for _ in range(6))
    starts = [rng.randrange(size) for size in shape]
    box = tuple(
        slice(start, rng.randint(start + 1, size))
        for start, size in zip(starts, shape, strict=True)
    )
    most = rng.randint(1, 3000)
    seen = np.zeros(shape, int)
    readers = np.zeros([-(-size // piece) for size, piece in zip(shape, pieces, strict=True)], int)
    for each in boxes_of(box, pieces, most):
        seen[each] += 1
        touched = tuple(
            slice(bounds.start // piece, -(-bounds.stop // piece))
            for bounds, piece in zip(each, pieces, strict=True)
        )
        readers[touched] += 1
        sizes = [bounds.stop - bounds.start for bounds in each]
        assert math.prod(sizes) <= max(most, math.prod(pieces))
    assert (seen[box] == 1).all()
    assert seen.sum() == seen[box].size
    assert readers.max() == 1


def test_boxes_are_long_along_x():
    first = next(iter(boxes_of((slice(0, 1),) * 4 + (slice(0, 100), slice(0, 50)), (1,) * 6, 500)))
    assert first[4:] == (slice(0, 10), slice(0, 50))


def test_an_image_comes_back_from_its_own_source_and_sink():
    pixels = np.arange(2 * 3 * 4 * 5, dtype=np.uint16).reshape(2, 3, 4, 5)
    image = Image(pixels, Axes("CTYX"), Calibration({"Y": 2.0}, "nm"), history=("told",))
    source = ImageInMemory(image)
    sink = ImageInMemory.empty(source.info)
    for box in boxes_of(tuple(map(slice, (0,) * 6, source.info.canonical_shape)), (1,) * 6, 7):
        sink.write(box, source.read(box))
    for copy in (sink.image, read_image(source)):
        np.testing.assert_array_equal(copy.pixels, pixels)
        assert copy.info == image.info
