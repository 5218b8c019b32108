"""Where packages are found: by path, or by the name of a bundled model."""

from __future__ import annotations

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
    path = Path(source).expanduser()
    if path.exists():
        return path
    models = bundled_models()
    if str(source) in models:
        return models[str(source)]
    raise PackageNotFoundError(
        f'there is no model package "{source}": {_hint(str(source), list(models))}'
    )


def _hint(wanted: str, names: list[str]) -> str:
    near = difflib.get_close_matches(wanted, names, n=1)
    guess = f'did you mean "{near[0]}"? ' if near else ""
    bundled = f"a bundled model ({', '.join(names)})" if names else "no model is bundled"
    return f"{guess}give {bundled}, or a package's folder, .zip or rdf.yaml"
