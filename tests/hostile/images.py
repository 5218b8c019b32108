"""Packages whose test image is hostile or broken; its hash is right."""

from __future__ import annotations

import io
import struct
import zlib
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


def sample(data: Callable[[], bytes], said: str) -> Case:
    return Case(
        lambda folder: in_folder(folder, with_file("sample_input.tif", data())), said, SHOWN
    )


def deflated(size: int) -> bytes:
    """As many float32 zeros, deflated."""
    packer = zlib.compressobj(9)
    zeros = bytes(1 << 20)
    parts = [packer.compress(zeros) for _ in range(4 * size >> 20)]
    return b"".join([*parts, packer.compress(bytes(4 * size % (1 << 20))), packer.flush()])


def tiff(width: int, strip: bytes, compression: int = 8, said: int | None = None) -> bytes:
    """A TIFF of width x width float32 pixels in one strip; said: how many bytes it says to have."""
    strip += bytes(len(strip) % 2)
    tags = {256: width, 257: width, 258: 32, 259: compression, 262: 1, 273: 8, 277: 1, 278: width}
    tags |= {279: len(strip) if said is None else said, 339: 3}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in tags.items())
    header = struct.pack("<2sHI", b"II", 42, 8 + len(strip))
    return header + strip + struct.pack("<H", len(tags)) + entries + bytes(4)


def png(width: int) -> bytes:
    """A PNG that says to be width x width pixels, of which it has none."""
    said = b"IHDR" + struct.pack(">IIBBBBB", width, width, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + said + struct.pack(">I", zlib.crc32(said))


SHOWN = ("check",)
"""The verb that looks at samples, which others show."""

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
    "sample-of-a-gigabyte": sample(lambda: tiff(16384, deflated(16384**2)), "16384 x 16384"),
    "sample-of-terabytes": sample(lambda: tiff(1 << 20, deflated(1 << 20)), "sample_input.tif"),
    "sample-without-pixels": sample(lambda: tiff(60000, b"", 1), "sample_input.tif"),
    "sample-that-ends-elsewhere": sample(
        lambda: tiff(48, bytes(64), 1, said=1 << 31), "sample_input.tif"
    ),
    "sample-of-jpeg": sample(lambda: tiff(65000, bytes(64), 7), "sample_input.tif"),
    "sample-that-is-a-png": sample(lambda: png(65535), "sample_input.tif"),
    "sample-empty": sample(lambda: b"", "sample_input.tif"),
}
