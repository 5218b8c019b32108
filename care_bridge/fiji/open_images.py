"""The images that are open in ImageJ."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jpype import JClass

from care_bridge.errors import FijiError
from care_bridge.fiji.images import from_imageplus
from care_bridge.images import open_image
from care_bridge.images.image import Image


def active_image() -> Any:
    """The active ij.ImagePlus; FijiError where there is none."""
    imp = JClass("ij.WindowManager").getCurrentImage()
    if imp is None:
        raise FijiError("there is no active image: open one first")
    return imp


def is_open(imp: Any) -> bool:
    """Whether an ij.ImagePlus is among the open images, with a window or without."""
    return JClass("ij.WindowManager").getImage(imp.getID()) is not None


@contextmanager
def locked(imp: Any) -> Iterator[None]:
    """Keep ImageJ's other commands from changing an image meanwhile; FijiError where another one
    works on it already."""
    if not imp.lockSilently():
        raise FijiError(
            f'another command works on "{imp.getTitle()}": wait until it has ended, or reset the '
            "image's lock (Plugins > Utilities > Reset...)"
        )
    try:
        yield
    finally:
        imp.unlock()


def titles() -> list[str]:
    """Titles of the open images."""
    manager = JClass("ij.WindowManager")
    identities = manager.getIDList() or ()
    return [str(manager.getImage(identity).getTitle()) for identity in identities]


def find_open(title: str) -> Any | None:
    """The open ij.ImagePlus with this title; the active one where several have it."""
    manager = JClass("ij.WindowManager")
    active = manager.getCurrentImage()
    if active is not None and str(active.getTitle()) == title:
        return active
    return manager.getImage(title)


def find_image(name: str) -> Image:
    """The open image with this title, or else the image file; FijiError where there is neither."""
    imp = find_open(name)
    if imp is not None:
        return from_imageplus(imp)
    path = Path(name).expanduser()
    if path.exists():
        return open_image(path)
    near = difflib.get_close_matches(name, titles(), n=1)
    guess = f'did you mean "{near[0]}"? ' if near else ""
    raise FijiError(
        f'there is no open image and no file "{name}": {guess}give the title of an open image '
        f"({', '.join(titles()) or 'none is open'}) or a file"
    )
