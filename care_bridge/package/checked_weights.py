"""Which ONNX files were checked before, by their SHA-256, kept under the user's cache folder.

So a known network is not parsed again by the onnx library, whose import takes longer than
restoring a small image.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

from platformdirs import user_cache_path

from care_bridge.atomic import replacing

# Raise it whenever check_network refuses what it took before.
VERSION = 1


def check_once(data: bytes, sha256: str, name: str) -> None:
    """`check_network`, unless the file with this hash passed it before; errors as there."""
    file = _file(sha256)
    if file.exists():
        return
    from care_bridge.package.onnx_graph import check_network

    check_network(data, name)
    # A cache only saves time: a full disk or a read-only home must not stop a restoration.
    with contextlib.suppress(OSError), replacing(file) as partial:
        partial.touch()


def _file(sha256: str) -> Path:
    return user_cache_path("care_bridge") / f"networks-{VERSION}" / sha256.lower()
