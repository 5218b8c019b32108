"""What a shim asks for, and the images that it gives."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import tifffile

from care_bridge.errors import FijiError
from care_bridge.fiji.described import check_levels
from care_bridge.fiji.macro_text import quoted
from care_bridge.fiji.shim_client import PROGRESS
from care_bridge.images import open_image, write_image
from care_bridge.images.image import Image


@dataclass(frozen=True)
class Request:
    """What a shim asks for: its options by key, the folder with its images, the active image's
    title and ID (0: there is none), the selected rectangle (x, y, width, height), whether the image
    is on the disk, and whether no window can be shown."""

    given: Mapping[str, str]
    folder: Path
    title: str
    source: int
    part: tuple[int, ...]
    virtual: bool
    headless: bool

    def image(self, role: str, title: str) -> Image | None:
        """The image that the shim has kept under this name, if any; FijiError where its grey levels
        are calibrated."""
        file = self.folder / f"{role}.tif"
        if not file.exists():
            return None
        with tifffile.TiffFile(file) as tif:
            check_levels(title, calibrated="cf" in (tif.imagej_metadata or {}))
        return open_image(file)

    def active(self) -> Image:
        """The active image; FijiError where there is none."""
        image = self.image("image", self.title)
        if image is None:
            raise FijiError("there is no active image: open one first")
        return image

    def window(self, image: Image) -> dict[str, slice] | None:
        """The selected rectangle by axis; None where the whole image is meant."""
        if not self.part:
            return None
        x, y, width, height = self.part
        window = {
            "Y": slice(max(y, 0), min(y + height, image.sizes["Y"])),
            "X": slice(max(x, 0), min(x + width, image.sizes["X"])),
        }
        lengths = {axis: each.stop - each.start for axis, each in window.items()}
        whole = all(lengths[axis] == image.sizes[axis] for axis in lengths)
        return None if whole or min(lengths.values()) <= 0 else window

    def progress(self, done: int, total: int) -> None:
        """Write down how far it is, for the shim to show."""
        (self.folder / PROGRESS).write_text(f"{done} {total}", "ascii")

    def check_shown(self) -> None:
        """Raise FijiError where a new image would not be its caller's active one: without windows
        each thread of Java has its own."""
        if self.headless:
            raise FijiError(
                "a headless Fiji without Python cannot give a macro a new image: use "
                "result=replace or CARE Batch Restore, or run the macro with care-bridge fiji run"
            )

    def result(self, image: Image, name: str = "result") -> str:
        """The path, as macro code, of the file that is written for the shim to open."""
        path = self.folder / f"{name}.tif"
        write_image(image, path)
        return quoted(str(path))
