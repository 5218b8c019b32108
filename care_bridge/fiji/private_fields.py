"""Fields of ImageJ 1's classes for which it has no method; read and tested with ImageJ 1.54p."""

from __future__ import annotations

from typing import Any

from jpype import JClass


def private_field(owner: str, name: str) -> Any:
    """The java.lang.reflect.Field `name` of the class `owner`, which can be read and set."""
    field = JClass(owner).class_.getDeclaredField(name)
    field.setAccessible(True)
    return field
