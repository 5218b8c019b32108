"""Rules on the description as a file: its name, its format, how values are written."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from care_bridge.package.archive import RDF_NAMES
from care_bridge.package.consumers.draft import Draft, source_of
from care_bridge.package.consumers.rule import CORE, DEEPIMAGEJ, OLD_CORE, ZOO, Rule
from care_bridge.package.rdf_content import FORMAT_VERSION
from care_bridge.package.rdf_files import sources

_FILE_KEYS = ("documentation", "covers")
_OTHERS = ("config", "kwargs")
"""What is below these keys is not the spec's: there a key without a value may mean something, as
the None that is given to a network whose own default is another."""


def _other_name(draft: Draft) -> Iterator[str]:
    if draft.rdf_name != RDF_NAMES[0]:
        yield f"the description is called {draft.rdf_name}, {RDF_NAMES[0]} is looked for"


def _rename(draft: Draft) -> None:
    draft.rdf_name = RDF_NAMES[0]


def _newer_format(draft: Draft) -> Iterator[str]:
    version = str(draft.content.get("format_version"))
    if version.startswith("0.5.") and _patch(version) > _patch(FORMAT_VERSION):
        yield f"format_version is {version}, which these versions do not know"


def _patch(version: str) -> int:
    digits = version.split(".")[2]
    return int(digits) if digits.isdecimal() else 0


def _write_older_format(draft: Draft) -> None:
    draft.content["format_version"] = FORMAT_VERSION


def _maps(draft: Draft) -> Iterator[str]:
    for key in _FILE_KEYS:
        value = draft.content.get(key)
        if any(isinstance(each, dict) for each in (value if isinstance(value, list) else [value])):
            yield f"{key} is given as a map with a hash, not as a file's name"


def _write_names(draft: Draft) -> None:
    documentation, covers = (draft.content.get(key) for key in _FILE_KEYS)
    if isinstance(documentation, dict):
        draft.content["documentation"] = source_of(documentation)
    if isinstance(covers, list):
        draft.content["covers"] = [source_of(cover) for cover in covers]


def _empty_keys(draft: Draft) -> Iterator[str]:
    empty = list(_empty(draft.content))
    if empty:
        more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
        yield f"the key {empty[0]}{more} is there with no value"


def _empty(content: Any, where: str = "") -> Iterator[str]:
    """The places of keys without a value in nested maps and lists. In a list that is a value: in
    format 0.4 the scale of an axis that the input does not have."""
    if isinstance(content, dict):
        for key, value in content.items():
            place = f"{where}.{key}" if where else str(key)
            if value is None:
                yield place
            elif key not in _OTHERS:
                yield from _empty(value, place)
    elif isinstance(content, list):
        for index, value in enumerate(content):
            yield from _empty(value, f"{where}[{index}]")


def _drop_empty_keys(draft: Draft) -> None:
    draft.content = _without(draft.content)


def _without(content: Any) -> Any:
    """Nested maps and lists without keys that have no value."""
    if isinstance(content, dict):
        return {
            key: value if key in _OTHERS else _without(value)
            for key, value in content.items()
            if value is not None
        }
    if isinstance(content, list):
        return [_without(value) for value in content]
    return content


def _no_hashes(draft: Draft) -> Iterator[str]:
    named = [str(entry["source"]) for entry in _unhashed(draft)]
    if named:
        more = f" and {len(named) - 1} more" if len(named) > 1 else ""
        yield f'the file "{named[0]}"{more} has no sha256, so nobody can tell whether it is whole'


def _unhashed(draft: Draft) -> list[dict[str, Any]]:
    return [
        entry
        for entry in sources(draft.content)
        if not entry.get("sha256") and "://" not in entry["source"]
    ]


def _add_hashes(draft: Draft) -> None:
    for entry in _unhashed(draft):
        entry["sha256"] = ""
        draft.write(entry["source"], draft.read(entry["source"]))


DESCRIPTION_RULES = (
    Rule(
        "rdf-name",
        (DEEPIMAGEJ,),
        "error",
        _other_name,
        f"call the description {RDF_NAMES[0]}",
        _rename,
    ),
    Rule(
        "format-version",
        (OLD_CORE,),
        "error",
        _newer_format,
        f"write the package as format {FORMAT_VERSION}, which newer versions read as well",
        _write_older_format,
    ),
    Rule(
        "file-maps",
        (OLD_CORE, DEEPIMAGEJ),
        "error",
        _maps,
        "write the names alone: documentation: README.md, covers: [cover.png]",
        _write_names,
    ),
    Rule(
        "empty-keys",
        (CORE,),
        "warning",
        _empty_keys,
        "leave out what has no value",
        _drop_empty_keys,
    ),
    Rule("hashes-given", (ZOO,), "warning", _no_hashes, "write the files' sha256", _add_hashes),
)
