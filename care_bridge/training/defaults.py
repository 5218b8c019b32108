"""What tasks and presets change of the configuration's defaults.

Laid under what the user gives: the configuration's own defaults, then the task's, the preset's, the
file and the settings, each over the one before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Values = Mapping[str, Any]

PAIR_TASKS = ("care", "n2n", "upsampling", "projection", "rcan")
"""The tasks that learn from pairs of images; the others learn from images alone."""

BLIND_SPOT_TASKS = ("n2v", "n2v2", "structn2v")
"""The tasks that hide pixels from the network (masking.py)."""

PROJECTOR_POOLINGS = 4
"""Times that the first stage of a network that projects halves Y and X."""

RCAN_TILES: Mapping[str, tuple[int, ...]] = {"YX": (256, 256), "ZYX": (16, 256, 256)}
"""Tiles of the task "rcan", by the network's axes; of larger patches those."""

KERNELS: Mapping[str, int] = {"YX": 5, "ZYX": 3}
"""By the axes that the network restores along."""

PATCHES: Mapping[str, tuple[int, ...]] = {"YX": (128, 128), "ZYX": (16, 64, 64)}
ALONE_PATCHES: Mapping[str, tuple[int, ...]] = {**PATCHES, "YX": (64, 64)}
"""Sizes of the patches of pairs and of noisy images alone, by the network's axes."""

# The peers' scale, by which the output has the features' deviation of 1: 0.5 dB better or more
# after 1000 steps than percentiles, whose span is four deviations or more.
_ALONE: Values = {
    "data": {"source": ".", "target": None},
    "normalization": {"mode": "fixed"},
    "patches": {"background": 0.0},
    "network": {"residual": False, "batch_norm": True},
    # Batch normalisation bears more than the 4e-4 of other networks: half as many steps do.
    "training": {"loss": "mse", "learning_rate": 1e-3},
}

TASKS: Mapping[str, Values] = {
    "care": {},
    "upsampling": {},
    "rcan": {
        "normalization": {"high": 99.9},
        "patches": {"background": 0.25},
        "network": {"kernel": 3},
        "training": {
            "steps": 300 * 256,
            "steps_per_epoch": 256,
            "learning_rate": 1e-4,
            "schedule": "cosine",
        },
    },
    # A network of 3D and 2D layers has no layout that suits both.
    "projection": {
        "network": {"axes": "ZYX"},
        "patches": {"size": (64, 64)},
        "training": {"channels_last": False},
    },
    # The mean of the noise is the signal, its median is not: hence the squared error.
    "n2n": {
        "data": {"target": "target"},
        "normalization": {"target": "source"},
        "training": {"loss": "mse"},
    },
    "n2v": _ALONE,
    "n2v2": {
        **_ALONE,
        "network": {**_ALONE["network"], "blur_pool": True, "top_skip": False},
    },
    # Quarter turns would turn the noise's axis too.
    "structn2v": {**_ALONE, "patches": {**_ALONE["patches"], "augment": "flips"}},
    # One scale serves a slice and what is made of it. Turned by a quarter, Z would become X.
    "isotropic": {
        "data": {"source": ".", "target": None},
        "normalization": {"target": "source"},
        "patches": {"size": PATCHES["YX"], "augment": "flips"},
        "network": {"axes": "YX"},
    },
}
"""By task."""

HAVE_A_DIRECTION = tuple(
    task for task, values in TASKS.items() if values.get("patches", {}).get("augment") == "flips"
)
"""Tasks whose patches are not to be turned by quarters."""

PRESETS: Mapping[str, Values] = {
    "denoise": {"training": {"steps": 100 * 256, "steps_per_epoch": 256}},
    "deconvolve": {"training": {"steps": 200 * 256, "steps_per_epoch": 256}},
    # Aberrations spread light far: large kernels gather it.
    "aberration": {
        "network": {"kernel": 5},
        "training": {"steps": 100 * 100, "steps_per_epoch": 100},
    },
    "resolution": {
        "network": {"n_first": 64},
        "training": {"steps": 100 * 256, "steps_per_epoch": 256},
    },
}
"""By the problem that pairs are to solve: lengths and sizes as in "AI in Microscopy", chapter 6."""


PROBABILISTIC: Values = {"training": {"loss": "laplace"}}
"""Of probabilistic networks."""

_NOISE = "from noise alone its width is learned, not how sure a restoration is"

NOT_PROBABILISTIC: Mapping[str, str] = {
    "rcan": "blending its tiles suits images, not distributions",
    "isotropic": "averaging two orientations suits images, not distributions",
    **dict.fromkeys(BLIND_SPOT_TASKS, _NOISE),
}
"""The tasks without probabilistic networks, and why."""

ENSEMBLE = 5
"""Members of an ensemble of which nobody says how many: about as many as in the CARE paper."""


def laid_over(below: Values, above: Values) -> dict[str, Any]:
    """`above` over `below`, sections key by key."""
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(under, Mapping) and isinstance(value, Mapping):
            merged[key] = {**under, **value}
        else:
            merged[key] = value
    return merged
