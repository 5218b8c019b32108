"""How many parts a protobuf message has, counted before it is parsed.

Two bytes of a file can become an object of a hundred in memory, so a small file can fill it.
"""

from __future__ import annotations

from functools import cache

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from care_bridge.errors import CareBridgeError

_VARINT, _FIXED_64, _LENGTH, _FIXED_32 = 0, 1, 2, 5
_LONGEST_VARINT = 70  # bits
_NUMBERS_A_PART = 16
# Written as varints, so that a byte can be a number of eight.
_PACKED = frozenset(
    {
        FieldDescriptor.TYPE_INT32,
        FieldDescriptor.TYPE_INT64,
        FieldDescriptor.TYPE_UINT32,
        FieldDescriptor.TYPE_UINT64,
        FieldDescriptor.TYPE_SINT32,
        FieldDescriptor.TYPE_SINT64,
        FieldDescriptor.TYPE_BOOL,
        FieldDescriptor.TYPE_ENUM,
    }
)


class DamagedMessageError(CareBridgeError):
    """Bytes that are no protobuf message."""


def count_parts(data: bytes, kind: Descriptor, most: int) -> int:
    """The number of fields in a message of this kind and in all messages in it; a list of numbers
    counts as one for every 16 bytes. Counting ends beyond `most`. DamagedMessageError where it is
    none."""
    count = 0
    left: list[tuple[int, int, Descriptor]] = [(0, len(data), kind)]
    while left:
        at, end, kind = left.pop()
        inner, packed, texts = _fields(kind)
        while at < end and count <= most:
            key, at = _varint(data, at, end)
            count += 1
            number, wire = key >> 3, key & 7
            if wire == _VARINT:
                _, at = _varint(data, at, end)
            elif wire == _LENGTH:
                size, at = _varint(data, at, end)
                if number in inner:
                    left.append((at, at + size, inner[number]))
                elif number in packed:
                    count += size // _NUMBERS_A_PART
                elif number in texts and not _is_text(data[at : at + size]):
                    raise DamagedMessageError(f"byte {at} begins a text that is none")
                at += size
            elif wire in (_FIXED_64, _FIXED_32):
                at += 8 if wire == _FIXED_64 else 4
            else:
                raise DamagedMessageError(f"byte {at} begins a field of no kind")
            if at > end:
                raise DamagedMessageError(f"a field ends {at - end} bytes behind its message")
    return count


@cache
def _fields(
    kind: Descriptor,
) -> tuple[dict[int, Descriptor], frozenset[int], frozenset[int]]:
    """The fields of a message that are messages, that may be lists of varints, and texts."""
    inner = {field.number: field.message_type for field in kind.fields if field.message_type}
    packed = frozenset(field.number for field in kind.fields if field.type in _PACKED)
    texts = {field.number for field in kind.fields if field.type == FieldDescriptor.TYPE_STRING}
    return inner, packed, frozenset(texts)


def _is_text(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _varint(data: bytes, at: int, end: int) -> tuple[int, int]:
    """The number that begins at a byte, and where it ends."""
    value = shift = 0
    while at < end and shift < _LONGEST_VARINT:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
    raise DamagedMessageError(f"byte {at} is in a number without an end")
