"""Errors of other people's readers, on files that are damaged or not as they know them, as ours."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from care_bridge.errors import CareBridgeError, ImageError

_USUAL = (ArithmeticError, LookupError, RuntimeError, TypeError, ValueError, zlib.error)


@contextmanager
def foreign(
    path: Path, how: str, remedy: str, also: tuple[type[Exception], ...] = ()
) -> Iterator[None]:
    """Turn what readers raise into one ImageError: `path` cannot be read `how` (why): `remedy`.

    also: what this reader raises besides the usual. Errors of ours pass as they are.
    """
    raised: tuple[type[Exception], ...] = (*_USUAL, *also)
    try:
        yield
    except CareBridgeError:
        raise
    except MemoryError as error:
        raise ImageError(f"{path} does not fit into this machine's memory") from error
    except raised as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ImageError(f"{path} cannot be read {how} ({reason}): {remedy}") from error
