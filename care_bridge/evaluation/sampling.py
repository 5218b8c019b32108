"""How much more finely a truth is sampled than the input that it is compared with."""

from __future__ import annotations

from care_bridge.images.image import Image

_TOLERANCE = 1e-3


def sampling_factors(
    recorded: Image, truth: Image, made: Image | None = None
) -> tuple[float, ...] | None:
    """Pixels of the truth a pixel of the input, along Z, Y and X; None where there is no such.

    A factor is 1 for equal sizes, the whole number of times that the truth is as large, or else the
    ratio of the voxel sizes that both files say, if bins of so many pixels, or slices so far apart,
    come to the input's size; or else that of `made`, an image made of the input (`made_factor`).
    Slices of an input whose truth has one slice are no matter: that is a projection of them, and
    the factor 1, if Y and X agree.
    """
    planes = [[image.sizes.get(axis, 1) for axis in "YX"] for image in (recorded, truth)]
    if truth.sizes.get("Z", 1) == 1 < recorded.sizes.get("Z", 1):
        return (1.0, 1.0, 1.0) if planes[0] == planes[1] else None
    factors = []
    for axis in "ZYX":
        factor = _factor(recorded, truth, axis)
        if factor is None and made is not None:
            factor = made_factor(recorded, made, axis)
        if factor is None:
            return None
        factors.append(factor)
    return tuple(factors)


def made_factor(recorded: Image, made: Image, axis: str) -> float | None:
    """How many times as finely an image that was made of the input is sampled along Z, Y or X; None
    where that cannot be told. Steps between slices may be what became a whole number of times as
    many, from the first slice to the last."""
    factor = _factor(recorded, made, axis)
    few, many = (image.sizes.get(axis, 1) for image in (recorded, made))
    if factor is None and axis == "Z" and few > 1 and (many - 1) % (few - 1) == 0:
        return (many - 1) / (few - 1)
    return factor


def _factor(recorded: Image, finer: Image, axis: str) -> float | None:
    few, many = recorded.sizes.get(axis, 1), finer.sizes.get(axis, 1)
    if many % few == 0:
        # A single slice says nothing of others.
        return many / few if few > 1 or many == 1 else None
    known = [image.calibration.voxel_size.get(axis, 0.0) for image in (recorded, finer)]
    if few > many or min(known) <= 0:
        return None
    factor = known[0] / known[1]
    bins = int(many / factor + _TOLERANCE)
    planes = int((many - 1) / factor + _TOLERANCE) + 1
    return factor if few in (bins, planes) else None
