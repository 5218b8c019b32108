"""Whether a TIFF file is whole: every page and all its pixels lie inside the file.

TIFF readers fill what is missing with zeros or drop it, so a file that was cut short has to be
found from its own tables. Layout: TIFF 6.0, section 2; BigTIFF: 64-bit offsets and counts.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np

from care_bridge.errors import ImageError

_WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES = 256, 257, 258, 259, 277
_STRIPS, _TILES = (273, 279), (324, 325)  # offsets and byte counts
_RESOLUTION, _DESCRIPTION, _IMAGEJ = (282, 283), 270, (50838, 50839)
_READ_TAGS = {_WIDTH, _LENGTH, _BITS, _COMPRESSION, _SAMPLES, *_STRIPS, *_TILES}
_TAGS = _READ_TAGS | {_DESCRIPTION, *_RESOLUTION, *_IMAGEJ}
_TYPE_SIZES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8}
_TYPE_SIZES |= {13: 4, 16: 8, 17: 8, 18: 8}
_INTEGER_TYPES = {1: "u1", 3: "u2", 4: "u4", 13: "u4", 16: "u8", 18: "u8"}
_UNCOMPRESSED = 1


@dataclass(frozen=True)
class _Format:
    """How a file writes numbers: byte order, and the classic or the big table layout."""

    order: str
    big: bool

    @property
    def count(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "H"))

    @property
    def entry(self) -> struct.Struct:
        return struct.Struct(self.order + ("HHQ8s" if self.big else "HHI4s"))

    @property
    def offset(self) -> struct.Struct:
        return struct.Struct(self.order + ("Q" if self.big else "I"))


class _CutShortError(Exception):
    """Something reaches beyond the end of the file; `end` is the byte it reaches to."""

    def __init__(self, end: int) -> None:
        self.end = end


def check_whole(path: Path) -> None:
    """Raise ImageError unless the file is a TIFF whose pages and pixels are all there."""
    size = path.stat().st_size
    with path.open("rb") as file:
        layout, offset = _read_header(file, path)
        visited: set[int] = set()
        try:
            while offset:
                if offset in visited:
                    raise ImageError(f"{path} is damaged: its pages form a circle")
                visited.add(offset)
                tags, offset = _read_page(file, layout, offset, size)
                problem = _check_pixels(tags, size)
                if problem:
                    raise ImageError(f"{path} is damaged: page {len(visited)} {problem}")
        except _CutShortError as cut:
            raise ImageError(
                f"{path} is truncated: page {len(visited)} reaches to byte {cut.end}, but the file "
                f"ends at byte {size}; copy it again from its source"
            ) from None
    if not visited:
        raise ImageError(f"{path} is damaged: it holds no page")


def _read_header(file: BinaryIO, path: Path) -> tuple[_Format, int]:
    """The file's format and the offset of its first page."""
    head = file.read(16)
    if not head:
        raise ImageError(f"{path} is empty (0 bytes): copy it again from its source")
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    version = struct.unpack(order + "H", head[2:4])[0] if order and len(head) >= 4 else 0
    if order is None or version not in (42, 43):
        raise ImageError(f"{path} is no TIFF file (it begins with {head[:8]!r}): save it as TIFF")
    layout = _Format(order, big=version == 43)
    start = 8 if layout.big else 4
    if len(head) < start + layout.offset.size:
        raise ImageError(f"{path} is truncated: it ends within its header; copy it again")
    return layout, layout.offset.unpack_from(head, start)[0]


def _read_page(
    file: BinaryIO, layout: _Format, offset: int, size: int
) -> tuple[dict[int, list[int]], int]:
    """The values of a page's tags that matter here, and the offset of the next page (0: none)."""
    (count,) = layout.count.unpack(_read(file, offset, layout.count.size, size))
    table_start = offset + layout.count.size
    table = _read(file, table_start, count * layout.entry.size + layout.offset.size, size)
    entries = table[: count * layout.entry.size]
    (following,) = layout.offset.unpack(table[len(entries) :])
    tags = {}
    for tag, kind, number, inline in layout.entry.iter_unpack(entries):
        if tag not in _TAGS:
            continue
        length = number * _TYPE_SIZES.get(kind, 1)
        if length <= len(inline):
            data = inline[:length]
        else:
            (start,) = layout.offset.unpack(inline)
            if tag not in _READ_TAGS:
                _check_inside(start + length, size)
                continue
            data = _read(file, start, length, size)
        if tag in _READ_TAGS and kind in _INTEGER_TYPES:
            tags[tag] = np.frombuffer(data, layout.order + _INTEGER_TYPES[kind]).tolist()
    return tags, following


def _read(file: BinaryIO, offset: int, length: int, size: int) -> bytes:
    _check_inside(offset + length, size)
    file.seek(offset)
    return file.read(length)


def _check_inside(end: int, size: int) -> None:
    if end > size:
        raise _CutShortError(end)


def _check_pixels(tags: dict[int, list[int]], size: int) -> str:
    """What is wrong with a page's pixel data ("" if nothing); _CutShortError if it is cut short."""
    offsets_tag, counts_tag = _TILES if _TILES[0] in tags else _STRIPS
    if not {offsets_tag, _WIDTH, _LENGTH} <= tags.keys():
        return "has no pixel data"
    samples = tags.get(_SAMPLES, [1])[0]
    row_bits = tags[_WIDTH][0] * samples * tags.get(_BITS, [1])[0]
    needed = tags[_LENGTH][0] * (-(-row_bits // 8))
    offsets = tags[offsets_tag]
    counts = tags.get(counts_tag, [needed] if len(offsets) == 1 else [])
    if len(counts) != len(offsets):
        return f"has {len(offsets)} pieces of pixel data, but {len(counts)} lengths of them"
    if 0 in offsets or 0 in counts:
        return "has pieces without pixel data"
    _check_inside(max(map(sum, zip(offsets, counts, strict=True)), default=0), size)
    if tags.get(_COMPRESSION, [_UNCOMPRESSED])[0] == _UNCOMPRESSED and sum(counts) < needed:
        return f"holds {sum(counts)} bytes of pixels, expected {needed}"
    return ""
