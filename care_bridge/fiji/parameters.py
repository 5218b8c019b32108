"""What a command can be given: the keys of its macro options and the fields of its dialog."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import Field, dataclass
from typing import Any, Literal

from care_bridge.errors import ConfigError
from care_bridge.runtime.options import RestoreOptions, check_names

Kind = Literal["text", "choice", "flag", "file", "folder"]
Run = Callable[[Mapping[str, str]], None]
Check = Callable[[Mapping[str, str]], None]

# Given to any command, and in no dialog.
MACRO_KEYS = "macro_keys"
# Alternatives that stand for themselves; capitals stand for something to be filled in.
_LITERAL = re.compile(r"[a-z0-9-]+")


@dataclass(frozen=True)
class Parameter:
    """One key. default: what holds where it is not given, None where it must be given; suggested:
    what a dialog then begins with. choices: the values of the kind choice."""

    name: str
    help: str
    default: str | None = None
    kind: Kind = "text"
    choices: tuple[str, ...] = ()
    suggested: str = ""


@dataclass(frozen=True)
class Command:
    """A command of the menu Plugins > CARE Bridge and of run("name", "options").

    run gets the given values by key; check raises a CareBridgeError where they cannot be used,
    before anything is done.
    """

    name: str
    about: str
    run: Run
    parameters: tuple[Parameter, ...] = ()
    check: Check | None = None

    @property
    def must_ask(self) -> bool:
        """Whether it can do nothing without options."""
        return any(each.default is None for each in self.parameters)

    def checked(self, given: Mapping[str, str]) -> dict[str, str]:
        """`given`, where all keys are known and none is missing; ConfigError otherwise, which
        names the nearest key.

        A macro that hands on all that it was given names its own keys in MACRO_KEYS: these are
        known, and left out.
        """
        own = given.get(MACRO_KEYS, "").replace(",", " ").split()
        names = [each.name for each in self.parameters]
        check_names((name for name in given if name != MACRO_KEYS), [*own, *names])
        given = {name: given[name] for name in given if name in names}
        for each in self.parameters:
            if each.default is None and not given.get(each.name):
                raise ConfigError(f'the option "{each.name}" is missing: add {each.name}=[…]')
            if each.choices and given.get(each.name, each.default) not in each.choices:
                raise ConfigError(
                    f'{each.name} "{given[each.name]}" is unknown: use one of '
                    f"{', '.join(each.choices)}"
                )
        if self.check:
            self.check(given)
        return given

    def told(self, values: Mapping[str, str]) -> dict[str, str]:
        """Those of `values` that are not the default, as a recorded macro needs them."""
        defaults = {each.name: each.default for each in self.parameters}
        flags = {each.name for each in self.parameters if each.kind == "flag"}
        return {
            name: "" if name in flags else text
            for name, text in values.items()
            if text != defaults[name]
        }


def in_two_columns(parameters: Sequence[Parameter]) -> Iterator[tuple[Parameter, bool]]:
    """Each parameter, and whether it stands beside the one before it: a dialog of one column would
    be higher than a small screen. Files and folders have a row of their own."""
    alone = True
    for each in parameters:
        wide = each.kind in ("file", "folder")
        beside = not (alone or wide)
        yield each, beside
        alone = wide or beside


def restoring(*, files: bool) -> tuple[Parameter, ...]:
    """The options of a restoration; without those about files for an open image."""
    return tuple(
        _parameter(option)
        for option in RestoreOptions.all()
        if files or not option.metadata["files"]
    )


def restore_options(given: Mapping[str, str]) -> RestoreOptions:
    """RestoreOptions of those values that belong to it."""
    names = {option.name for option in RestoreOptions.all()}
    return RestoreOptions.parse({name: text for name, text in given.items() if name in names})


def _parameter(option: Field[Any]) -> Parameter:
    about = option.metadata["help"]
    if option.default is False:
        return Parameter(option.name, about, "false", "flag")
    alternatives = option.metadata["value"].split("|")
    literal = tuple(word for word in alternatives if _LITERAL.fullmatch(word))
    unset = literal[0] if literal else ""
    default = unset if option.default is None else str(option.default)
    if len(literal) == len(alternatives):
        return Parameter(option.name, about, default, "choice", literal)
    return Parameter(option.name, about, default)
