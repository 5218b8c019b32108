"""Whether images show one field of view, and the part of each that is compared."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from care_bridge.errors import ConfigError, ImageError
from care_bridge.evaluation.region import Region
from care_bridge.evaluation.reliability import check_member_channels
from care_bridge.evaluation.sampling import made_factor, sampling_factors
from care_bridge.images.image import Image

_SAME_SAMPLING = (1.0, 1.0, 1.0)


@dataclass(frozen=True)
class OneField:
    """images: what is compared, by role ("truth", "restored", "input", "members"). factors: pixels
    of the truth a pixel of the input along Z, Y and X, the slices of a projection aside. notes:
    what is left out, and why, a line each."""

    images: Mapping[str, Image]
    factors: tuple[float, ...]
    notes: tuple[str, ...]


def one_field(
    images: Mapping[str, Image], names: Mapping[str, str], region: Region, *, filters: bool
) -> OneField:
    """The images cut to the region. names: of the images, for messages.

    An input of other channels than the truth is left out where it is not all that there is to
    compare. So is what the truth has beyond the end of an image that was made of a coarser input,
    if that is less than one pixel of the input. Raises ImageError where images show other pixels
    than the truth: the restored one and the members must not, the input may be a stack of which the
    truth is a projection, or sampled more coarsely (see `sampling.sampling_factors`). ConfigError
    where the region does not fit, or an input of other channels is to be filtered (`filters`).
    """
    images, notes = _without_surplus(images)
    _check_region(images, names, region)
    cut = {role: _cut(role, images, names[role], region) for role in images}
    if "input" in cut and _channels(cut["input"]) != _channels(_reference(cut)):
        notes.append(_without_input(cut, names, filters=filters))
        del cut["input"]
    _check_same_pixels(cut, images, names)
    return OneField(cut, _factors(cut, names), tuple(notes))


def _without_surplus(images: Mapping[str, Image]) -> tuple[Mapping[str, Image], list[str]]:
    """The images, the truth without what it has beyond the end of the restored image, if that is
    fewer pixels than the restored image has for one of the input; and what was left out."""
    made = _made(images)
    if made is None or not {"truth", "input"} <= images.keys():
        return images, []
    truth, notes = images["truth"], []
    for axis in "ZYX":
        size, many = (image.sizes.get(axis, 1) for image in (made, truth))
        factor = made_factor(images["input"], made, axis)
        if factor is not None and 0 < many - size < factor:
            kept = Region(((axis, 0, size),))
            truth = truth.replace(pixels=kept.cut(truth.pixels, truth.axes, "the truth"))
            notes.append(
                f"the truth's last {many - size} of {many} along {axis} left out: the input ends "
                "before"
            )
    return {**images, "truth": truth}, notes


def _check_region(images: Mapping[str, Image], names: Mapping[str, str], region: Region) -> None:
    """Raise ConfigError where the region cuts an axis along which the input has other pixels."""
    if not {"truth", "input"} <= images.keys():
        return
    for axis in "ZYX":
        few, many = (images[role].sizes.get(axis, 1) for role in ("input", "truth"))
        if few != many and axis in region.axes:
            raise ConfigError(
                f"--roi cuts {axis}, along which {names['input']} has {few} pixels and its truth "
                f"{many}: leave {axis} out of the region, or --input out"
            )


def _cut(role: str, images: Mapping[str, Image], name: str, region: Region) -> Image:
    """The region of an image; members have several channels for each of the truth."""
    image = images[role]
    if role == "members" and "C" in region.axes:
        count, channels = _channels(image), _channels(images["truth"])
        check_member_channels(count, channels)
        region = region.times("C", count // channels)
    return image.replace(pixels=region.cut(image.pixels, image.axes, name))


def _reference(images: Mapping[str, Image]) -> Image:
    """What the others are compared with."""
    return images["truth"] if "truth" in images else images["restored"]


def _made(images: Mapping[str, Image]) -> Image | None:
    """What was made of the input; it has the truth's pixels."""
    return images.get("restored", images.get("members"))


def _without_input(images: Mapping[str, Image], names: Mapping[str, str], *, filters: bool) -> str:
    """Why an input of other channels than the truth is left out; an error where it cannot be."""
    recorded, truth = images["input"], _reference(images)
    counts = [_channels(image) for image in (recorded, truth)]
    choose = f"--roi C=0:{min(counts)} chooses channels of both"
    if "truth" not in images:
        raise ImageError(
            f"{names['restored']} has {_told(truth)}, its input {_told(recorded)}: nothing says "
            f"which channels belong together; {choose}"
        )
    if filters:
        raise ConfigError(
            f"--baselines filter {names['input']}, which has {counts[0]} channels, its truth "
            f"{counts[1]}: leave --baselines out; or {choose}"
        )
    if not {"restored", "members"} & images.keys():
        raise ImageError(
            f"{names['input']} has {_told(recorded)}, its truth {_told(truth)}: nothing says which "
            f"channels belong together; {choose}"
        )
    return (
        f"the input is left out, as it has {counts[0]} channels and the truth {counts[1]}; {choose}"
    )


def _check_same_pixels(
    images: Mapping[str, Image], whole: Mapping[str, Image], names: Mapping[str, str]
) -> None:
    """Raise ImageError where images do not show what the truth shows; an input may have other
    pixels. whole: before the region was cut."""
    if "truth" not in images:
        return
    truth = images["truth"]
    for role, axes in (("restored", "CSTZYX"), ("members", "STZYX"), ("input", "ST")):
        if role in images and _lengths(images[role], axes) != _lengths(truth, axes):
            raise ImageError(
                f"{names[role]} has {_told(images[role])}, its truth {_told(truth)}: both must "
                + ("be of one field of view" if role == "input" else "show the same pixels")
                + _shared(whole[role], whole["truth"], axes)
            )


def _shared(image: Image, truth: Image, axes: str) -> str:
    """The region that both have, for a message."""
    sizes = {axis: [each.sizes.get(axis, 1) for each in (image, truth)] for axis in axes}
    ranges = [f"{axis}=0:{min(both)}" for axis, both in sizes.items() if both[0] != both[1]]
    return f" (--roi {','.join(ranges)} compares what both have, if they begin alike)"


def _factors(images: Mapping[str, Image], names: Mapping[str, str]) -> tuple[float, ...]:
    if not {"truth", "input"} <= images.keys():
        return _SAME_SAMPLING
    recorded, truth = images["input"], images["truth"]
    factors = sampling_factors(recorded, truth, _made(images))
    if factors is None:
        raise ImageError(
            f"{names['input']} has {_told(recorded)}, its truth {_told(truth)}: neither is "
            "the truth a whole number of times as large (or as the files' voxel sizes say), nor a "
            "projection of it; compare images of one field of view"
        )
    return factors


def _channels(image: Image) -> int:
    return image.sizes.get("C", 1)


def _lengths(image: Image, axes: str) -> list[int]:
    return [image.sizes.get(axis, 1) for axis in axes]


def _told(image: Image) -> str:
    return " ".join(f"{axis}={size}" for axis, size in image.sizes.items())
