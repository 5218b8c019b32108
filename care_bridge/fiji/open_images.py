"""The images that are open in ImageJ."""

from __future__ import annotations

import difflib
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
