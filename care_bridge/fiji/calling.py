"""A command as a macro, a script or the menu calls it, and how it ends what has called it.

ImageJ knows one macro that runs, the one that was started last (Interpreter.getInstance). Where
several do, the one that has called is told by its thread.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from jpype import JClass

from care_bridge.errors import CareBridgeError, FijiError
from care_bridge.fiji.arguments import parse_arguments
from care_bridge.fiji.dialogs import ask
from care_bridge.fiji.parameters import Command
from care_bridge.fiji.private_fields import private_field
from care_bridge.fiji.progress import ending
from care_bridge.fiji.sessions import one_at_a_time

ERRORS = (CareBridgeError, OSError, KeyboardInterrupt)
# Of ij.Macro: the message of the exception that ends the macro in whose thread it is raised.
CANCELED = "Macro canceled"

_INTERPRETER = "ij.macro.Interpreter"
# IJ.run, and with it every macro, gives its thread a name that begins so.
_CALLED = "Run$_"


def current_thread() -> Any:
    """The java.lang.Thread that runs."""
    return JClass("java.lang.Thread").currentThread()


def is_called(thread: Any) -> bool:
    """Whether a java.lang.Thread is in IJ.run, and so in a macro or a script."""
    return str(thread.getName()).startswith(_CALLED)


def macro_threads() -> list[Any]:
    """The threads in which a macro runs."""
    traces = JClass("java.lang.Thread").getAllStackTraces()
    return [
        entry.getKey()
        for entry in traces.entrySet()
        if any(str(frame.getClassName()) == _INTERPRETER for frame in entry.getValue())
    ]


def run_called(command: Command, text: str, caller: Any) -> None:
    """Run a command with the options `text` of a macro or a script; an error ends the macro at its
    line, and is a FijiError for a script. caller: the thread of the macro or the script."""
    try:
        given: dict[str, str] | None = parse_arguments(text)
        if not text and command.must_ask:
            given = _asked(command)
        if given is not None:
            _run(command, given)
    except ERRORS as error:
        end_caller(command.name, error, caller)


def run_from_menu(command: Command, record: Callable[[Command, Mapping[str, str]], None]) -> None:
    """Run a command that was chosen in ImageJ's window, with what is filled into its dialog, which
    is given to `record` first; an error is shown in a dialog."""
    imagej = JClass("ij.IJ")
    try:
        given = _asked(command)
        if given is None:
            return
        record(command, given)
        _run(command, given)
    except KeyboardInterrupt:
        imagej.showStatus(f"{command.name}: cancelled")
    except (CareBridgeError, OSError) as error:
        imagej.error(command.name, str(error))


def end_caller(name: str, error: BaseException, caller: Any) -> None:
    """End the macro in whose thread `name` was called, with the error's message; FijiError where
    no macro runs in it.

    The message has the macro's line in it where it is the only one.
    """
    message = f"{name}: {str(error) or 'cancelled'}"
    running = macro_threads()
    if not any(thread.equals(caller) for thread in running):
        raise FijiError(message) from error
    imagej, macro = JClass("ij.IJ"), JClass(_INTERPRETER).getInstance()
    # As ImageJ does: who has pressed Escape, or has closed the window, is told nothing.
    quiet = ending.is_set() or imagej.escapePressed()
    if len(running) == 1 and macro is not None:
        if quiet:
            macro.setIgnoreErrors(True)
        macro.abort(message)
        return
    # As when a macro ends by itself. ImageJ would end all others, too, if one went on being known.
    private_field(_INTERPRETER, "instance").set(None, None)
    # IJ.error would end this one, which is that of the macro whose command was called last.
    private_field("ij.IJ", "macroInterpreter").set(None, None)
    # Both end the macro that waits for a script, too.
    if quiet:
        JClass("ij.Macro").abort()
    else:
        imagej.error(name, message)
    if caller.equals(current_thread()):
        raise JClass("java.lang.RuntimeException")(CANCELED)


def _asked(command: Command) -> dict[str, str] | None:
    """What the user fills into the command's dialog; None where it is cancelled. Without a window
    there is nothing to ask, and what is missing is told."""
    if not command.parameters or JClass("ij.IJ").getInstance() is None:
        return {}
    return ask(command)


def _run(command: Command, given: Mapping[str, str]) -> None:
    checked = command.checked(given)
    with one_at_a_time:
        command.run(checked)
