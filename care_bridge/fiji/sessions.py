"""Models that were loaded, kept for the images that follow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping

from care_bridge.errors import PackageError
from care_bridge.fiji.parameters import Parameter, restore_options
from care_bridge.package.collecting import add_model
from care_bridge.package.package import load_package
from care_bridge.package.printable import one_line
from care_bridge.package.store import bundled_models, stored_models
from care_bridge.runtime.loaded import loaded_restorer
from care_bridge.runtime.restorer import Restorer

# Two restorations at once would share the active image and the memory.
one_at_a_time = threading.RLock()


def restorer_for(given: Mapping[str, str]) -> Restorer:
    """The restorer of the model and the options that a macro gave; the model is loaded once for
    each device, precision and memory."""
    return loaded_restorer(load_package(given["model"]), restore_options(given))


def model_parameter() -> Parameter:
    """The key that names a model."""
    return Parameter(
        "model",
        "the name of a model (CARE Models lists them), or a package's folder, .zip or rdf.yaml",
        kind="file",
        suggested=next(iter(bundled_models()), ""),
    )


def model_lines(given: Mapping[str, str]) -> Iterator[str]:
    """What CARE Models tells: what became of the package that is added, if any, and all models.

    Raises add_model's errors.
    """
    if given.get("add"):
        added = add_model(given["add"], given.get("name") or None)
        done = "is kept as" if added.is_new else "was there already as"
        yield f"{given['add']} {done} {added.model.name}"
    for model in stored_models():
        try:
            told = one_line(load_package(model.path).spec.description)
        except PackageError as error:
            told = f"cannot be used: {error}"
        yield f"{model.name}  {told}"
