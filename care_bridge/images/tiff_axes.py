"""Which axes a TIFF's dimensions are: as the file says, or the user where it does not."""

from __future__ import annotations

from care_bridge.axes import CANONICAL, Axes
from care_bridge.errors import AxesError, ImageError


def settle_axes(
    letters: str, shape: tuple[int, ...], given: str | None, name: object
) -> tuple[Axes, tuple[int, ...]]:
    """The image's axes, and the shape by which its stored pixels get them (a plain reshape).

    letters: a TIFF reader's name of each dimension; S is the samples of a pixel, which become C,
    and letters outside STCZYX (I, Q) are dimensions that the file does not name. given: the
    user's axes, or None. Axes of length 1 other than Y and X are left out unless given.

    Raises AxesError where dimensions stay unnamed, or `given` contradicts the file but in what are
    slices and what frames, which many files confuse; `name` is the image's in messages.
    """
    dimensions = _samples_to_channels(list(zip(letters, shape, strict=True)), name)
    own = [(letter, size) for letter, size in dimensions if size > 1 or letter in "YX"]
    own_letters = "".join(letter for letter, _ in own)
    own_shape = tuple(size for _, size in own)
    if set(own_letters) <= set(CANONICAL):
        if given is None:
            return Axes(own_letters), own_shape
        chosen = Axes(given)
        if not _fits(chosen, own_letters, [letter for letter, _ in dimensions]):
            raise AxesError(
                f"{name} says that its axes are {own_letters}, but {chosen} was given: leave axes "
                "out, or correct the file (in ImageJ: Image > Properties)"
            )
        if len(chosen) == len(own):
            return chosen, own_shape
        return chosen, tuple(dict(own).get(letter, 1) for letter in chosen)
    if given is None:
        raise AxesError(
            f"{name} has {len(own)} dimensions of shape {own_shape} and does not say what they "
            f"are: give its axes, for example axes={_example(own_letters)}"
        )
    chosen = Axes(given)
    full_shape = tuple(size for _, size in dimensions)
    settled = full_shape if len(full_shape) == len(chosen) else own_shape
    if len(settled) != len(chosen):
        raise AxesError(
            f"{name} has shape {own_shape}, but axes {chosen} name {len(chosen)} dimensions: give "
            "one letter for each"
        )
    return chosen, settled


def _fits(chosen: Axes, own: str, stored: list[str]) -> bool:
    """Whether the user's axes can be the file's.

    own: its axes that are longer than 1; stored: all of its dimensions.
    """
    if len(chosen) == len(own):
        return all(
            given == letter or ({given, letter} == {"Z", "T"} and given not in own)
            for given, letter in zip(chosen, own, strict=True)
        )
    added = [letter for letter in chosen if letter not in stored]
    unnamed = [letter for letter in stored if letter not in CANONICAL]
    kept = [letter for letter in chosen if letter in own]
    return kept == list(own) and len(added) <= len(unnamed)


def _samples_to_channels(dimensions: list[tuple[str, int]], name: object) -> list[tuple[str, int]]:
    sizes = dict(dimensions)
    if sizes.get("S", 1) == 1:
        return [(letter, size) for letter, size in dimensions if letter != "S"]
    if sizes.get("C", 1) > 1:
        raise ImageError(
            f"{name} has {sizes['C']} channels of {sizes['S']} samples each, expected one of the "
            "two: save its channels as grayscale"
        )
    return [
        ("C" if letter == "S" else letter, size) for letter, size in dimensions if letter != "C"
    ]


def _example(letters: str) -> str:
    """The letters with the unknown ones replaced by likely axes."""
    spare = iter([letter for letter in "ZTCS" if letter not in letters])
    return "".join(letter if letter in CANONICAL else next(spare, letter) for letter in letters)
