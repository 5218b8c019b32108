"""Which of the configuration's keys are for some tasks alone."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from care_bridge.training.defaults import BLIND_SPOT_TASKS

_OF_TASKS: Mapping[str, Sequence[str]] = {
    "n2v.masked_percentage": BLIND_SPOT_TASKS,
    "n2v.radius": BLIND_SPOT_TASKS,
    "n2v.axis": ("structn2v",),
    "n2v.span": ("structn2v",),
    "isotropic": ("isotropic",),
    "upsampling": ("upsampling",),
    "projection": ("projection",),
    "rcan": ("rcan",),
}
"""Keys, or whole sections."""

_OF_UNETS = tuple(
    f"network.{key}"
    for key in ("depth", "n_first", "convolutions", "batch_norm", "blur_pool", "top_skip")
)


def keys_of_others(task: str, given: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """The keys ("section.key") in `given`, nested data, that `task` has no use for, and what to do
    with each."""
    for section, values in given.items():
        for name in values if isinstance(values, Mapping) else ():
            key = f"{section}.{name}"
            tasks = _OF_TASKS.get(key, _OF_TASKS.get(section, ()))
            if tasks and task not in tasks:
                yield (
                    key,
                    f"which is for the task {' or '.join(tasks)}, not for {task}: leave it out, or "
                    f"set task={tasks[0]}",
                )
            elif task == "rcan" and key in _OF_UNETS:
                yield (
                    key,
                    "which is for U-Nets, not for the task rcan: leave it out, or set "
                    "rcan.channels, rcan.groups or rcan.blocks",
                )
