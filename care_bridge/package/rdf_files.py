"""Which files a package's description names, read from its YAML without the spec library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import yaml


def named_files(rdf: bytes) -> dict[str, str | None]:
    """Names of the package's files that a valid RDF names, with their SHA-256 where it is given.

    Web addresses are left out.
    """
    content = yaml.safe_load(rdf)
    named = dict(_sources(content))
    for name in (content.get("documentation"), *content.get("covers", [])):
        if isinstance(name, str):
            named.setdefault(name, None)
    return {name: sha256 for name, sha256 in named.items() if "://" not in name}


def _sources(content: Any) -> Iterator[tuple[str, str | None]]:
    """Every {source: …, sha256: …} in nested data, but for config, which is not the spec's."""
    if isinstance(content, dict):
        if isinstance(content.get("source"), str):
            yield content["source"], content.get("sha256")
        for key, value in content.items():
            if key != "config":
                yield from _sources(value)
    elif isinstance(content, list):
        for value in content:
            yield from _sources(value)
