"""Models that were loaded, kept for the images that follow."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from functools import lru_cache

from care_bridge.fiji.parameters import Parameter, restore_options
from care_bridge.package.package import load_package
from care_bridge.package.store import bundled_models
from care_bridge.runtime.loaded import loaded_restorer
from care_bridge.runtime.restorer import Restorer

# Two restorations at once would share the active image and the memory.
one_at_a_time = threading.RLock()

_OPTIONS_KEPT = 16


def restorer_for(given: Mapping[str, str]) -> Restorer:
    """The restorer of the model and the options that a macro gave; the model is loaded once for
    each device, precision and memory."""
    version = load_package(given["model"]).spec.rdf_sha256
    return _restorer(given["model"], version, tuple(sorted(given.items())))


def model_parameter() -> Parameter:
    """The key that names a model."""
    names = list(bundled_models())
    return Parameter(
        "model",
        f"a bundled model ({', '.join(names)}), or a package's folder, .zip or rdf.yaml",
        kind="file",
        suggested=names[0] if names else "",
    )


@lru_cache(maxsize=_OPTIONS_KEPT)
def _restorer(model: str, _version: str, given: tuple[tuple[str, str], ...]) -> Restorer:
    """A package that was replaced has another version."""
    return loaded_restorer(load_package(model), restore_options(dict(given)))
