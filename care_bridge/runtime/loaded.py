"""Models that were loaded, kept in this process for the images that follow."""

from __future__ import annotations

from collections import OrderedDict

from care_bridge.package.package import Package
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.restorer import Restorer

_MODELS_KEPT = 4
_Key = tuple[str, str, str, int | None]

_loaded: OrderedDict[_Key, Restorer] = OrderedDict()


def loaded_restorer(package: Package, options: RestoreOptions) -> Restorer:
    """A Restorer of the package with these options; the model is loaded once for each device,
    precision and memory. A package that was replaced has another hash, and is loaded anew.

    Raises Restorer's errors.
    """
    key = (package.spec.rdf_sha256, options.device, options.precision, options.memory)
    if key in _loaded:
        _loaded.move_to_end(key)
    else:
        while len(_loaded) >= _MODELS_KEPT:
            _loaded.popitem(last=False)
        _loaded[key] = Restorer(package, options)
    return _loaded[key].with_options(options)
