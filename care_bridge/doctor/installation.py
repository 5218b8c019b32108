"""Python, and the packages of the extras, by their metadata: nothing is imported."""

from __future__ import annotations

import platform
import re
import sys
from collections.abc import Iterator, Mapping
from importlib import metadata

import care_bridge
from care_bridge.doctor.finding import Finding

_OURS = "care-bridge"
_REQUIREMENT = re.compile(r"([A-Za-z0-9._-]+)[^;]*(?:;.*extra == ['\"]([a-z]+)['\"])?")
# Their wheels write over each other: they share one module name.
_RUNTIMES = ("onnxruntime", "onnxruntime-gpu", "onnxruntime-openvino", "onnxruntime-directml")
_ONE_OF = ("cpu", "gpu", "openvino")


def installation() -> Iterator[Finding]:
    """Findings on this Python and what is installed in it."""
    python = f"{platform.python_version()} in {sys.prefix}, {platform.platform(terse=True)}"
    yield Finding("python", "ok", f"{python}; care_bridge {care_bridge.__version__}")
    yield _runtime()
    for extra, names in _extras().items():
        if extra == "":
            yield _packages("base", extra, names)
        elif extra not in _ONE_OF:
            yield _packages(f"extra {extra}", extra, names)


def _runtime() -> Finding:
    found = [f"{name} {version}" for name in _RUNTIMES if (version := installed_version(name))]
    if not found:
        advice = _install("cpu")
        return Finding("engine", "missing", "no ONNX Runtime", advice, needed=True)
    if len(found) > 1:
        return Finding(
            "engine",
            "warning",
            " and ".join(found),
            "they break each other: pip uninstall all of them, then install one of the extras "
            + ", ".join(_ONE_OF),
        )
    return Finding("engine", "ok", found[0])


def _packages(about: str, extra: str, names: tuple[str, ...]) -> Finding:
    versions = {name: installed_version(name) for name in names}
    missing = [name for name, version in versions.items() if version is None]
    if missing:
        advice = f"if you need it, {_install(extra)}" if extra else "install care_bridge again"
        return Finding(about, "missing", f"without {', '.join(missing)}", advice, needed=not extra)
    return Finding(about, "ok", ", ".join(f"{name} {versions[name]}" for name in names))


def _extras() -> Mapping[str, tuple[str, ...]]:
    """Names of the packages of each extra; "" are those of the base."""
    extras: dict[str, tuple[str, ...]] = {}
    for requirement in metadata.requires(_OURS) or ():
        match = _REQUIREMENT.match(requirement)
        if match:
            extra = match[2] or ""
            extras[extra] = (*extras.get(extra, ()), match[1])
    return extras


def installed_version(name: str) -> str | None:
    """The version of a package, by its metadata; None where it is not installed."""
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _install(extra: str) -> str:
    return f'in the folder of care_bridge, pip install -c constraints.txt ".[{extra}]"'
