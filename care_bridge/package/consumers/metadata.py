"""Rules on what the description says to people, and to deepImageJ."""

from __future__ import annotations

import re
import string
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import PurePosixPath

from care_bridge.errors import PackageError
from care_bridge.package.archive import is_address
from care_bridge.package.consumers.draft import Draft, source_of
from care_bridge.package.consumers.rule import CORE, DEEPIMAGEJ, ZOO, Rule
from care_bridge.package.markdown import block, inline
from care_bridge.package.printable import shown
from care_bridge.package.rdf import is_license
from care_bridge.package.rdf_content import DOCUMENTATION

NAME_CHARACTERS = string.ascii_letters + string.digits + "_+- ()"
NAME_LENGTHS = range(5, 129)
VALIDATION = "# Validation"
"""The heading that a model card needs."""

_UNKNOWN = (
    f"\n\n{VALIDATION}\n\nNot stated. Compare with your own data before trusting the model.\n"
)


_LONGEST_EMOJI = 2
_PICTURES = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8", b"II*\0", b"MM\0*")
"""How PNG, JPEG, GIF and TIFF begin."""


def nickname_of(name: str) -> str:
    """A name in lower-case letters, digits and hyphens."""
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def usable_name(text: str) -> str:
    """`text` with blanks for the characters that names must not have, and short enough."""
    words = "".join(letter if letter in NAME_CHARACTERS else " " for letter in text)
    return " ".join(words.split())[: NAME_LENGTHS[-1]].strip()


def name_is_usable(name: str) -> bool:
    """Has `name` a length and characters that consumers take?"""
    return len(name) in NAME_LENGTHS and all(letter in NAME_CHARACTERS for letter in name)


def _wrong_name(draft: Draft) -> Iterator[str]:
    name = draft.content.get("name")
    if not isinstance(name, str) or not name_is_usable(name):
        yield f"the name {name!r} is not of 5 to 128 letters, digits, blanks and _+-()"


def _mend_name(draft: Draft) -> None:
    draft.content["name"] = usable_name(f"{draft.content.get('name')}")


def _wrong_license(draft: Draft) -> Iterator[str]:
    given = draft.content.get("license")
    if given and not is_license(str(given)):
        yield f"the license {given!r} is no SPDX id"


def _no_nickname(draft: Draft) -> Iterator[str]:
    if not draft.config("bioimageio").get("nickname"):
        yield "config.bioimageio.nickname is missing, and it stops without one"


def _add_nickname(draft: Draft) -> None:
    draft.set_config("bioimageio", "nickname", nickname_of(str(draft.content.get("name"))))


def _tiling_turned_off(draft: Draft) -> Iterator[str]:
    config = draft.content.get("config")
    if isinstance(config, dict) and "deepimagej" in config:
        told = draft.config("deepimagej").get("allow_tiling")
        if told is not True:
            yield "config.deepimagej without allow_tiling: true turns its tiling off"


def _no_cover(draft: Draft) -> Iterator[str]:
    if not draft.content.get("covers"):
        yield "there is no cover, and one made by the spec's library never reaches the zip"
    for name in no_pictures(draft):
        yield f'the cover "{name}" is no picture, whatever its name says'


def no_pictures(draft: Draft) -> list[str]:
    """The covers whose files begin as no picture does; those that are missing are told by the
    check of the files."""
    covers = draft.content.get("covers")
    named = (source_of(each) for each in (covers if isinstance(covers, list) else []))
    return [name for name in named if name and not _may_be_picture(draft, name)]


def _may_be_picture(draft: Draft, name: str) -> bool:
    try:
        first = draft.beginning(name)
    except PackageError:
        return True
    return first.startswith(_PICTURES) or b"<svg" in first


def _no_icon(draft: Draft) -> Iterator[str]:
    icon = draft.content.get("icon")
    if not isinstance(icon, str) or is_address(icon) or PurePosixPath(icon).suffix:
        return
    if len(icon) > _LONGEST_EMOJI:
        yield (
            f'the icon "{shown(icon)}" is of {len(icon)} characters (some emojis are several in '
            "one), it takes one or two, or a picture's file"
        )


def _no_timestamp(draft: Draft) -> Iterator[str]:
    if not draft.content.get("timestamp"):
        yield "there is no timestamp"


def _add_timestamp(draft: Draft) -> None:
    draft.content["timestamp"] = datetime.now(UTC).isoformat(timespec="seconds")


def _no_card(draft: Draft) -> Iterator[str]:
    if not draft.content.get("documentation"):
        yield "there is no documentation"
    else:
        card = _card(draft)
        if card is not None and VALIDATION.lower().encode() not in card.lower():
            yield f'the documentation has no heading "{VALIDATION}"'


def _add_card(draft: Draft) -> None:
    named = source_of(draft.content.get("documentation"))
    lies_there = DOCUMENTATION in draft.archive.names()
    name = named or (DOCUMENTATION if lies_there else draft.own_name(DOCUMENTATION))
    draft.content["documentation"] = name
    name_told, told = (str(draft.content.get(key)) for key in ("name", "description"))
    title = f"# {inline(name_told)}\n\n{block(told)}"
    card = _card(draft) or title.encode()
    if b"\0" not in card:  # as UTF-16 has them, to which no line of ASCII can be added
        draft.write(name, card.rstrip() + _UNKNOWN.encode())


def _card(draft: Draft) -> bytes | None:
    """The model card in its own encoding; None where there is none that can be read."""
    name = source_of(draft.content.get("documentation"))
    try:
        return draft.read(name) if name else None
    except PackageError:
        return None


def _missing(key: str) -> Callable[[Draft], Iterator[str]]:
    def breaches(draft: Draft) -> Iterator[str]:
        if not draft.content.get(key):
            yield f"the description has no {key}"

    return breaches


def _no_maintainers(draft: Draft) -> Iterator[str]:
    people = [*_people(draft, "maintainers"), *_people(draft, "authors")]
    if not any(person.get("github_user") for person in people):
        yield "it names no maintainer, nor an author with a github_user"


def _looked_up(draft: Draft) -> Iterator[str]:
    for side in ("authors", "maintainers"):
        for person in _people(draft, side):
            if person.get("github_user"):
                yield (
                    f"the github_user {person['github_user']} in {side} is looked up online, so "
                    "validation fails where there is no network"
                )


def _people(draft: Draft, key: str) -> list[dict[str, object]]:
    listed = draft.content.get(key)
    return [each for each in (listed if isinstance(listed, list) else []) if isinstance(each, dict)]


METADATA_RULES = (
    Rule("name", (CORE, ZOO), "error", _wrong_name, "take such characters only", _mend_name),
    Rule(
        "license-id",
        (CORE, ZOO),
        "error",
        _wrong_license,
        "write an SPDX id such as CC-BY-4.0, if its authors gave it that",
    ),
    Rule(
        "nickname",
        (DEEPIMAGEJ,),
        "error",
        _no_nickname,
        "write a nickname into config.bioimageio",
        _add_nickname,
    ),
    # Mended by the run, which tells whether tiles may be.
    Rule(
        "deepimagej-tiling",
        (DEEPIMAGEJ,),
        "warning",
        _tiling_turned_off,
        "write allow_tiling: true where tiles give what the whole image gives",
    ),
    # Mended by the run, which has pixels for it.
    Rule(
        "cover",
        (ZOO,),
        "warning",
        _no_cover,
        "add a picture (PNG, JPEG, GIF, SVG) and name it in covers",
    ),
    Rule(
        "icon",
        (CORE, ZOO),
        "error",
        _no_icon,
        "take an emoji of one or two characters, or leave the icon out",
    ),
    Rule("timestamp", (ZOO,), "warning", _no_timestamp, "write a timestamp", _add_timestamp),
    Rule(
        "documentation",
        (ZOO,),
        "warning",
        _no_card,
        f'write a model card that says under "{VALIDATION}" how well the model works',
        _add_card,
    ),
    *(
        Rule(key, (ZOO,), "warning", _missing(key), remedy)
        for key, remedy in {
            "description": "write what the model does",
            "authors": "name its authors",
            "cite": "name the papers to cite",
            "license": "write its license, an SPDX id",
            "tags": "write some tags",
        }.items()
    ),
    Rule(
        "maintainers",
        (ZOO,),
        "note",
        _no_maintainers,
        "name a maintainer when it is uploaded",
    ),
    Rule(
        "github-user",
        (CORE,),
        "note",
        _looked_up,
        "validate where there is a network",
    ),
)
