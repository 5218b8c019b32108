"""Runs ImageJ macros and tells how they failed."""

from __future__ import annotations

import difflib
import re
import threading
from collections.abc import Mapping
from itertools import takewhile
from pathlib import Path
from typing import Any

from care_bridge.bundled import bundled_folder
from care_bridge.errors import FijiError, MacroError
from care_bridge.fiji.arguments import format_arguments
from care_bridge.fiji.described import PARAMETERS
from care_bridge.runtime.options import check_names

_SUFFIX = ".ijm"
# A bundled macro's header names its parameters.
_HEAD, _INDENT = "// Parameters", "//   "
_KEYS = re.compile(r"([a-z_]+(?:, [a-z_]+)*)  ")
_OTHERS = re.compile(r"all others of (CARE [A-Za-z ]+) \(docs/fiji\.md\)(?: but (.*))?")
# Of ij.macro.MacroConstants, in ImageJ 1.54p: the bits of a token's kind.
_TOKEN = 0xFFF
# What Java says where a macro asks in a dialog without a display.
_HEADLESS = ("headless dialog", "HeadlessException")
# Two macros at once would share the active image.
_one_at_a_time = threading.Lock()


def bundled_macros() -> dict[str, Path]:
    """The macros that came with care_bridge, by name ("Batch_Restore")."""
    folder = bundled_folder("fiji_macros")
    return {path.stem: path for path in sorted(folder.glob(f"*{_SUFFIX}"))}


def purpose(macro: Path) -> str:
    """What a macro does: the first line of its header."""
    return macro.read_text("utf-8").partition("\n")[0].lstrip("/ ")


def parameter_lines(macro: Path) -> list[str]:
    """What the header of a bundled macro says of its parameters, line by line."""
    lines = macro.read_text("utf-8").splitlines()
    start = next(number for number, line in enumerate(lines, 1) if line.startswith(_HEAD))
    told = takewhile(lambda line: line.startswith(_INDENT), lines[start:])
    return [line.removeprefix(_INDENT) for line in told]


def parameter_names(macro: Path) -> list[str]:
    """The keys that a bundled macro reads, by its header, and those of the command that gets all
    others."""
    names: list[str] = []
    for line in parameter_lines(macro):
        if keys := _KEYS.match(line):
            names += keys[1].split(", ")
        elif others := _OTHERS.match(line):
            without = {*names, *re.findall(r"\w+", others[2] or "")}
            names += [each.name for each in PARAMETERS[others[1]] if each.name not in without]
    return names


def macro_argument(macro: Path, given: Mapping[str, str]) -> str:
    """What the macro gets by getArgument(); ConfigError for a key that a bundled macro does not
    read, and for what no macro could read."""
    if macro.resolve() in {path.resolve() for path in bundled_macros().values()}:
        check_names(given, parameter_names(macro))
    return format_arguments(given)


def find_macro(name: str | Path) -> Path:
    """The file of a bundled macro, with or without .ijm, or the macro file itself; FijiError."""
    path = Path(name).expanduser()
    if path.is_file():
        return path
    bundled = bundled_macros()
    wanted = str(name).removesuffix(_SUFFIX)
    if wanted in bundled:
        return bundled[wanted]
    near = difflib.get_close_matches(wanted, bundled, n=1)
    guess = f'did you mean "{near[0]}"? ' if near else ""
    raise FijiError(
        f"there is no macro {name}: {guess}give a file, or a bundled macro ({', '.join(bundled)})"
    )


def run_macro(name: str | Path, arguments: Mapping[str, str] | None = None) -> str | None:
    """Run a bundled macro or a macro file in the running ImageJ; returns what it returns.

    arguments: what the macro reads with getArgument(), as key=[value]. Raises MacroError, with
    the line, where the macro stops with an error, or by exit with a message, and ConfigError for
    an argument that it does not know. In the mode
    interactive, ImageJ shows the error in a dialog first and waits until it is closed.
    """
    from jpype import JClass, JException

    path = find_macro(name)
    argument = macro_argument(path, arguments or {})
    code = path.read_text("utf-8", errors="replace")
    if any(line.lstrip().startswith("#@") for line in code.splitlines()):
        raise FijiError(
            f"{path.name} has #@ parameters, which cannot be filled here: "
            "read key=value arguments with getArgument() instead"
        )
    interpreter = JClass("ij.macro.Interpreter")()
    with _one_at_a_time:
        try:
            result = interpreter.run(code, argument)
        except JException as error:
            if interpreter.getErrorMessage() is None:
                _raise_unless_exit(interpreter, path, error)
            result = None
        if interpreter.getErrorMessage() is not None:
            line = int(_of(interpreter, "lineNumber"))
            raise _macro_error(path, line, str(interpreter.getErrorMessage()))
    return None if result is None else str(result)


def _raise_unless_exit(interpreter: Any, path: Path, error: Any) -> None:
    """Raise MacroError for a Java exception, unless it is a plain exit() of the macro."""
    from care_bridge.fiji.calling import CANCELED

    line = int(interpreter.getLineNumber())
    if any(each in str(error) for each in _HEADLESS):
        raise _macro_error(
            path,
            line,
            "it asks in a dialog, and a headless run has none: give the value as an argument, "
            "which getArgument() reads, or run the macro in ImageJ's window",
        ) from error
    if str(error.getMessage()) != CANCELED:
        raise _macro_error(path, line, str(error)) from error
    # exit and exit() are a macro's normal end; exit("message") shows what went wrong.
    code, place = _of(interpreter, "pgm").getCode(), int(_of(interpreter, "pc"))
    if code[place] & _TOKEN == ord(")") and code[place - 1] & _TOKEN != ord("("):
        raise _macro_error(path, line, "the macro stopped with a message, which is above")


def _macro_error(path: Path, line: int, message: str) -> MacroError:
    return MacroError(f"{path.name}, line {line}: {message}", path.name, line)


def _of(interpreter: Any, name: str) -> Any:
    from care_bridge.fiji.private_fields import private_field

    return private_field("ij.macro.Interpreter", name).get(interpreter)
