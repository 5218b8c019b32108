"""Which files a package's description names, read from its YAML without the spec library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from care_bridge.errors import ConfigError, PackageFormatError
from care_bridge.plain_yaml import read_plain_yaml


def named_files(rdf: bytes) -> dict[str, str | None]:
    """Names of the package's files that an RDF names, with their SHA-256 where it is given.

    Web addresses are left out. PackageFormatError where the RDF is no YAML.
    """
    try:
        content = read_plain_yaml(rdf, "the description")
    except ConfigError as error:
        raise PackageFormatError(str(error)) from None
    named = dict(_sources(content))
    for name in _names_without_hash(content):
        named.setdefault(name, None)
    return {name: sha256 for name, sha256 in named.items() if "://" not in name}


def _names_without_hash(content: Any) -> Iterator[str]:
    if isinstance(content, dict):
        covers = content.get("covers")
        for name in (content.get("documentation"), *(covers if isinstance(covers, list) else ())):
            if isinstance(name, str):
                yield name


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
