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


def documentation(rdf: bytes) -> str:
    """The file of the package that an RDF names as its documentation, "" where it names none.
    PackageFormatError where the RDF is no YAML."""
    content = _content(rdf)
    told = content.get("documentation") if isinstance(content, dict) else None
    name = told.get("source") if isinstance(told, dict) else told
    return name if isinstance(name, str) and not is_address(name) else ""


def _content(rdf: bytes) -> Any:
    try:
        return read_plain_yaml(rdf, "the description")
    except ConfigError as error:
        raise PackageFormatError(str(error)) from None


def _named(rdf: bytes) -> dict[str, str | None]:
    content = _content(rdf)
    named: dict[str, str | None] = {}
    hashed = ((entry["source"], entry.get("sha256")) for entry in sources(content))
    for name, given in (*hashed, *_names_without_hash(content)):
        sha256 = given if isinstance(given, str) else None
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


def sources(content: Any) -> Iterator[dict[str, Any]]:
    """Every {source: …} in nested data, but for config, which is not the spec's."""
    if isinstance(content, dict):
        if isinstance(content.get("source"), str):
            yield content
        for key, value in content.items():
            if key != "config":
                yield from sources(value)
    elif isinstance(content, list):
        for value in content:
            yield from sources(value)
