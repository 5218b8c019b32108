"""Where packages are found: by path, or by the name of a bundled model."""

from __future__ import annotations

import contextlib
import difflib
from pathlib import Path

from care_bridge.bundled import bundled_folder
from care_bridge.errors import PackageNotFoundError


def bundled_models() -> dict[str, Path]:
    """Folders of the bundled models by name, in order of their names."""
    return {
        rdf.parent.name: rdf.parent
        for rdf in sorted(bundled_folder("model_zoo").glob("*/rdf.yaml"))
    }


def find_package(source: str | Path) -> Path:
    """The folder, zip or description file that `source` names.

    A path that exists goes before a bundled model of that name. PackageNotFoundError names the
    bundled models and the nearest of them.
    """
    path = Path(source)
    with contextlib.suppress(RuntimeError):  # "~NAME" where no user has that name
        path = path.expanduser()
    if path.exists():
        return path
    return bundled_model(str(source))


def bundled_model(name: str) -> Path:
    """The folder of the bundled model `name`; PackageNotFoundError where there is none."""
    models = bundled_models()
    if name not in models:
        near = difflib.get_close_matches(name, models, n=1)
        guess = f'did you mean "{near[0]}"? ' if near else ""
        raise PackageNotFoundError(
            f'there is no model package "{name}": {guess}give a bundled model '
            f"({', '.join(models) or 'none is there'}) or a package's folder, .zip or rdf.yaml"
        )
    return models[name]
