"""care_bridge: content-aware image restoration from PyTorch to Fiji.

Names are resolved on first use: importing care_bridge loads no numpy, torch, ONNX Runtime,
pydantic or Java.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from care_bridge.images.files import open_image, write_image
    from care_bridge.package.package import Package, load_package
    from care_bridge.package.spec import ModelSpec
    from care_bridge.runtime.batch import restore_files
    from care_bridge.runtime.check import check_package
    from care_bridge.runtime.options import RestoreOptions
    from care_bridge.runtime.restorer import Restorer, restore
    from care_bridge.tiling import TileGrid

__version__ = "0.1.0"

_HOMES = {
    "ModelSpec": "care_bridge.package.spec",
    "Package": "care_bridge.package.package",
    "RestoreOptions": "care_bridge.runtime.options",
    "Restorer": "care_bridge.runtime.restorer",
    "TileGrid": "care_bridge.tiling",
    "check_package": "care_bridge.runtime.check",
    "load_package": "care_bridge.package.package",
    "open_image": "care_bridge.images.files",
    "restore": "care_bridge.runtime.restorer",
    "restore_files": "care_bridge.runtime.batch",
    "write_image": "care_bridge.images.files",
}

__all__ = [
    "ModelSpec",
    "Package",
    "RestoreOptions",
    "Restorer",
    "TileGrid",
    "check_package",
    "load_package",
    "open_image",
    "restore",
    "restore_files",
    "write_image",
]


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'care_bridge' has no attribute '{name}'")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
