"""Why a description cannot be used."""

from __future__ import annotations


class RefusedError(Exception):
    """Why a description cannot be used: the second half of a message."""
