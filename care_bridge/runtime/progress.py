"""How far a work is."""

from __future__ import annotations

from collections.abc import Callable

# Called with what is done and what there is to do in all, of pixels or of tiles.
Progress = Callable[[int, int], None]
