"""What `care-bridge restore` prints: lines for people, JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from care_bridge.runtime.forecast import Forecast
    from care_bridge.runtime.jobs import Job
    from care_bridge.runtime.one_file import Restored

_MIB = 1 << 20


def restored_line(result: Restored) -> str:
    """A result: its file, what it is and the seconds it took."""
    written = " and ".join(str(path) for path in result.job.written)
    return f"{written}  {_size(result.shape)} {result.dtype}  {result.seconds:.1f} s"


def restored_entry(result: Restored) -> dict[str, Any]:
    """A result as JSON has it."""
    return {
        **_files(result.job),
        "shape": result.shape,
        "dtype": result.dtype,
        "seconds": round(result.seconds, 3),
        **result.figures,
    }


def skipped_entry(job: Job) -> dict[str, Any]:
    """A file that was restored before, as JSON has it."""
    return _files(job)


def failed_entry(source: str, error: str) -> dict[str, Any]:
    """A file that could not be restored, as JSON has it."""
    return {"source": source, "error": error}


def forecast_line(forecast: Forecast) -> str:
    """What would be done to a file."""
    info, plan = forecast.info, forecast.plan
    memory = f"{plan.memory / _MIB:.0f} MiB, " if plan.memory else ""
    tiles = "1 tile" if forecast.tiles == 1 else f"{forecast.tiles} tiles"
    return (
        f"{forecast.job.source} -> {forecast.job.target}  {info.axes} {_size(info.shape)} "
        f"{info.dtype} -> {plan.info.dtype}, {tiles} of {_size(plan.grid.tile.values())}, {memory}"
        f"about {duration(forecast.seconds)}"
    )


def forecast_summary(forecasts: Sequence[Forecast], files: int, device: str) -> str:
    """How many of `files` would be restored, and how long that takes."""
    if not forecasts:
        return f"none of {files} would be restored; nothing was written"
    seconds = sum(forecast.seconds for forecast in forecasts)
    return (
        f"{len(forecasts)} of {files} would be restored in about {duration(seconds)} on {device}, "
        "estimated from one tile; nothing was written"
    )


def forecast_entry(forecast: Forecast) -> dict[str, Any]:
    """What would be done to a file, as JSON has it."""
    info, plan = forecast.info, forecast.plan
    return {
        **_files(forecast.job),
        "axes": info.axes,
        "shape": info.shape,
        "dtype": str(plan.info.dtype),
        "tile": plan.grid.tile,
        "tiles": forecast.tiles,
        "memory": plan.memory,
        "seconds": round(forecast.seconds, 3),
    }


def document(**entries: Iterable[Mapping[str, Any]]) -> str:
    """Lists of entries as one JSON document."""
    return json.dumps({name: list(items) for name, items in entries.items()}, indent=2)


def json_line(status: str, entry: Mapping[str, Any]) -> str:
    """An entry as one line of JSON."""
    return json.dumps({"status": status, **entry}, ensure_ascii=False)


def duration(seconds: float) -> str:
    """A time for people: 0.2 s, 45 s, 3 min, 2.5 h."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _files(job: Job) -> dict[str, Any]:
    return {"source": str(job.source), "target": str(job.target)}


def _size(shape: Iterable[int]) -> str:
    return " x ".join(map(str, shape))
