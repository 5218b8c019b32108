import numpy as np
import pytest

from care_bridge.images.source import boxes_of


@pytest.mark.parametrize("seed", range(40))
def test_boxes_cover_any_box_once_and_cut_no_piece_in_two(seed):
    random = np.random.default_rng(seed)
    shape = tuple(int(n) for n in random.integers(1, 9, 6))
    pieces = tuple(int(n) for n in random.integers(1, 9, 6))
    starts = [int(random.integers(0, size)) for size in shape]
    asked = tuple(
        slice(start, int(random.integers(start + 1, size + 1)))
        for start, size in zip(starts, shape, strict=True)
    )
    covered = np.zeros(shape, int)
    box_of_piece = {}
    for box in boxes_of(asked, pieces, int(random.integers(1, 500))):
        covered[box] += 1
        places = [
            {at // piece for at in range(bounds.start, bounds.stop)}
            for bounds, piece in zip(box, pieces, strict=True)
        ]
        for piece in np.array(np.meshgrid(*map(list, places))).reshape(6, -1).T:
            assert box_of_piece.setdefault(tuple(piece), box) == box
    expected = np.zeros(shape, int)
    expected[asked] = 1
    np.testing.assert_array_equal(covered, expected)
