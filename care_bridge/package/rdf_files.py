"""Which files a package's description names, read from its YAML without the spec library."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any

from care_bridge.errors import (
    ConfigError,
    PackageFormatError,
    PackageIntegrityError,
    UnsafeYamlError,
)
from care_bridge.package.archive import is_address
from care_bridge.package.printable import shown
from care_bridge.plain_yaml import read_plain_yaml

_LISTS_OF_NAMES = ("covers", "test_inputs", "test_outputs", "sample_inputs", "sample_outputs")
_WHAT = "the description"


def read_description(rdf: bytes, what: str) -> Any:
    """The plain data in an RDF's YAML. PackageFormatError, which begins with `what`, where it is no
    YAML; PackageIntegrityError where it is refused as `read_plain_yaml` does."""
    try:
        return read_plain_yaml(rdf, what)
    except UnsafeYamlError as error:
        raise PackageIntegrityError(str(error)) from None
    except ConfigError as error:
        raise PackageFormatError(str(error)) from None


def named_files(rdf: bytes) -> dict[str, str | None]:
    """Names of the package's files that an RDF names, with their SHA-256 where it is given.

    Web addresses are left out. Errors as of `read_description`; PackageIntegrityError where it
    gives a file two hashes.
    """
    return files_in(read_description(rdf, _WHAT))


def files_in(content: Any) -> dict[str, str | None]:
    """As `named_files`, of an RDF that was read."""
    return {name: sha256 for name, sha256 in _named(content).items() if not is_address(name)}


def named_addresses(rdf: bytes) -> dict[str, str | None]:
    """The web addresses among them; else as `named_files`."""
    named = _named(read_description(rdf, _WHAT))
    return {name: sha256 for name, sha256 in named.items() if is_address(name)}


def documentation(rdf: bytes) -> str:
    """The file of the package that an RDF names as its documentation, "" where it names none.
    Errors as of `read_description`."""
    content = read_description(rdf, _WHAT)
    told = content.get("documentation") if isinstance(content, dict) else None
    name = told.get("source") if isinstance(told, dict) else told
    return name if isinstance(name, str) and not is_address(name) else ""


def _named(content: Any) -> dict[str, str | None]:
    named: dict[str, str | None] = {}
    hashed = ((entry["source"], entry.get("sha256")) for entry in sources(content))
    for name, given in (*hashed, *_plain_names(content)):
        sha256 = given if isinstance(given, str) else None
        known = named.get(name)
        if known and sha256 and known.lower() != sha256.lower():
            raise PackageIntegrityError(
                f'the description gives two hashes for "{shown(name)}": do not use this package'
            )
        named[name] = known or sha256
    return named


def _plain_names(content: Any) -> Iterator[tuple[str, Any]]:
    """Names that are no {source: …}, as format 0.4 has most of them, with the hash beside them."""
    if not isinstance(content, dict):
        return
    icon = content.get("icon")
    lists = [_attached(content), *(content.get(key) for key in _LISTS_OF_NAMES)]
    # An icon may be an emoji as well.
    if isinstance(icon, str) and PurePosixPath(icon).suffix:
        lists.append([icon])
    weights = content.get("weights")
    entries = [*weights.values()] if isinstance(weights, dict) else []
    described = [entry for entry in entries if isinstance(entry, dict)]
    lists += [_attached(entry) for entry in described]
    for names in (*lists, [content.get("documentation")]):
        for name in names if isinstance(names, list) else ():
            if isinstance(name, str):
                yield name, None
    for entry in described:
        yield from _behind_colons(entry)


def _attached(entry: dict[str, Any]) -> Any:
    """The list of files that format 0.4 gives with a model, or with weights of it."""
    attachments = entry.get("attachments")
    return attachments.get("files") if isinstance(attachments, dict) else None


def _behind_colons(entry: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The files of "FILE:CALLABLE" and "MANAGER:FILE", as format 0.4 names a network's source and
    the packages that weights depend on."""
    architecture, dependencies = entry.get("architecture"), entry.get("dependencies")
    source = architecture.rpartition(":")[0] if isinstance(architecture, str) else ""
    if source:
        yield source, entry.get("architecture_sha256")
    listed = dependencies.partition(":")[2] if isinstance(dependencies, str) else ""
    if listed:
        yield listed, None


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
