"""Packages whose test image is hostile or broken; its hash is right."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np

from tests.hostile.case import WHOLE, Case, good, in_folder, with_file


def header(text: str) -> bytes:
    """A .npy file with this header and four bytes."""
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode() + bytes(4)


def of_shape(shape: str, kind: str = "'<f4'") -> bytes:
    return header(f"{{'descr': {kind}, 'fortran_order': False, 'shape': {shape}}}\n")


def pickled() -> bytes:
    stream = io.BytesIO()
    np.save(stream, np.array([print], dtype=object), allow_pickle=True)
    return stream.getvalue()


def image(data: bytes | Callable[[], bytes]) -> Case:
    def make(folder: Path) -> Path:
        return in_folder(
            folder, with_file("test_input.npy", data if isinstance(data, bytes) else data())
        )

    return Case(make, "is no .npy array", WHOLE)


IMAGES = {
    "image-of-terabytes": image(of_shape("(1, 1, 1048576, 1048576)")),
    "image-beyond-64-bits": image(of_shape(f"(1, 1, {10**30}, 1)")),
    "image-negative": image(of_shape("(1, 1, -4, 4)")),
    "image-of-many-axes": image(of_shape("(" + "1," * 500 + ")")),
    "image-pickled": image(pickled),
    "image-of-records": image(of_shape("(1,)", "[('a', '<f4')]")),
    "image-of-a-type-in-types": image(of_shape("(1,)", "'" + "(2,)" * 40 + "<f4'")),
    "image-that-calls": image(header("__import__('os').system('touch evil')\n")),
    "image-with-a-bracket-too-many": image(
        header("{'descr': '<f4', 'fortran_order': False, 'shape': (1))}\n")
    ),
    "image-deep": image(header("(" * 9000)),
    "image-header-without-end": image(b"\x93NUMPY\x02\x00\xff\xff\xff\xff{"),
    "image-of-the-future": image(b"\x93NUMPY\x09\x00"),
    "image-cut": image(lambda: good()["test_input.npy"][:-1]),
    "image-empty": image(b""),
}
