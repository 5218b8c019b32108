"""Units of length and time as image files spell them."""

from __future__ import annotations

# OME's spelling of the units that ImageJ users write
_OME_LENGTHS = {
    "µm": "µm",
    "um": "µm",
    "μm": "µm",
    "micron": "µm",
    "microns": "µm",
    "micrometer": "µm",
    "nm": "nm",
    "mm": "mm",
    "cm": "cm",
    "m": "m",
    "pm": "pm",
    "Å": "Å",
    "inch": "in",
    "in": "in",
    "pixel": "pixel",
    "pixels": "pixel",
}
_METRES = {"µm": 1e-6, "nm": 1e-9, "mm": 1e-3, "cm": 1e-2, "m": 1.0, "pm": 1e-12, "Å": 1e-10}
_METRES |= {"in": 0.0254}
_SECONDS = {"s": 1.0, "sec": 1.0, "second": 1.0, "seconds": 1.0, "ms": 1e-3, "msec": 1e-3}
_SECONDS |= {"µs": 1e-6, "us": 1e-6, "ns": 1e-9, "min": 60.0, "minutes": 60.0}
_SECONDS |= {"h": 3600.0, "hr": 3600.0, "hour": 3600.0, "hours": 3600.0, "d": 86400.0}


def ome_length_unit(unit: str) -> str | None:
    """OME's name of a unit of length; None where OME has none."""
    return _OME_LENGTHS.get(unit)


def convert_length(value: float, unit: str, target: str) -> float | None:
    """A length in another unit; None where the two cannot be converted."""
    source, wanted = ome_length_unit(unit), ome_length_unit(target)
    if unit == target or (source is not None and source == wanted):
        return value
    if source not in _METRES or wanted not in _METRES:
        return None
    return value * _METRES[source] / _METRES[wanted]


def to_seconds(value: float, unit: str) -> float | None:
    """A duration in seconds; None where the unit is unknown."""
    factor = _SECONDS.get(unit)
    return None if factor is None else value * factor
