"""Which files a package's description names, read from its YAML without the spec library."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from care_bridge.errors import ConfigError, PackageFormatError, PackageIntegrityError
from care_bridge.package.archive import is_address
from care_bridge.package.printable import shown
from care_bridge.plain_yaml import read_plain_yaml

_LISTS_OF_NAMES = ("covers", "test_inputs", "test_outputs", "sample_inputs", "sample_outputs")


def named_files(rdf: bytes) -> dict[str, str | None]:
    """Names of the package's files that an RDF names, with their SHA-256 where it is given.

    Web addresses are left out. PackageFormatError where the RDF is no YAML, PackageIntegrityError
    where it gives a file two hashes.
    """
    return {name: sha256 for name, sha256 in _named(rdf).items() if not is_address(name)}


def named_addresses(rdf: bytes) -> dict[str, str | None]:
    """The web addresses among them; else as `named_files`."""
    return {name: sha256 for name, sha256 in _named(rdf).items() if is_address(name)}


def _named(rdf: bytes) -> dict[str, str | None]:
    try:
        content = read_plain_yaml(rdf, "the description")
    except ConfigError as error:
        raise PackageFormatError(str(error)) from None
    named: dict[str, str | None] = {}
    for name, sha256 in (*_sources(content), *_names_without_hash(content)):
        known = named.get(name)
        if known and sha256 and known.lower() != sha256.lower():
            raise PackageIntegrityError(
                f'the description gives two hashes for "{shown(name)}": do not use this package'
            )
        named[name] = known or sha256
    return named


def _names_without_hash(content: Any) -> Iterator[tuple[str, None]]:
    """Names that stand by themselves, as format 0.4 has most of them."""
    if not isinstance(content, dict):
        return
    attachments = content.get("attachments")
    lists = [content.get(key) for key in _LISTS_OF_NAMES]
    if isinstance(attachments, dict):
        lists.append(attachments.get("files"))
    for names in (*lists, [content.get("documentation")]):
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str):
                yield name, None


def _sources(content: Any) -> Iterator[tuple[str, str | None]]:
    """Every {source: …, sha256: …} in nested data, but for config, which is not the spec's."""
    if isinstance(content, dict):
        if isinstance(content.get("source"), str):
            sha256 = content.get("sha256")
            yield content["source"], sha256 if isinstance(sha256, str) else None
        for key, value in content.items():
            if key != "config":
                yield from _sources(value)
    elif isinstance(content, list):
        for value in content:
            yield from _sources(value)
