"""Takes care_bridge's commands out of ImageJ's hands: from macros, from the menu and from IJ.run.

ImageJ asks a CommandListener before it looks a command up, headless and with a window, so the
same commands work in plain ImageJ and in Fiji.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jpype import JClass, JImplements, JOverride

from care_bridge.errors import CareBridgeError, FijiError
from care_bridge.fiji.arguments import format_arguments, parse_arguments
from care_bridge.fiji.commands import COMMANDS
from care_bridge.fiji.dialogs import ask
from care_bridge.fiji.log import log_in_window
from care_bridge.fiji.parameters import Command
from care_bridge.fiji.progress import in_background
from care_bridge.fiji.sessions import one_at_a_time

# IJ.run, and with it every macro, gives its thread a name that begins so.
_CALLED = "Run$_"


@cache
def register_commands() -> None:
    """Make the running ImageJ know the commands; once, however often it is called."""
    JClass("ij.Executer").addCommandListener(_Listener())
    log_in_window()


@JImplements("ij.CommandListener")
class _Listener:
    """Runs care_bridge's commands and leaves ImageJ all others."""

    @JOverride  # type: ignore[untyped-decorator]
    def commandExecuting(self, name: Any) -> Any:  # noqa: N802
        """Run the command if it is one of ours (None: ImageJ has nothing left to do)."""
        command = COMMANDS.get(str(name))
        if command is None:
            return name
        if str(JClass("java.lang.Thread").currentThread().getName()).startswith(_CALLED):
            _run_called(command)
        else:
            # ImageJ lets no other command begin before this method returns.
            in_background(lambda: _run_from_menu(command), command.name)
        return None


def _run_called(command: Command) -> None:
    """Run a command of a macro or a script; an error ends the macro at its line."""
    options = JClass("ij.Macro").getOptions()
    text = "" if options is None else str(options).strip()
    try:
        given: dict[str, str] | None = parse_arguments(text)
        if not text and command.must_ask:
            given = _asked(command)
        if given is not None:
            _run(command, given)
    except (CareBridgeError, OSError, KeyboardInterrupt) as error:
        message = f"{command.name}: {_told(error)}"
        macro = JClass("ij.macro.Interpreter").getInstance()
        if macro is None:
            raise FijiError(message) from error
        macro.abort(message)


def _run_from_menu(command: Command) -> None:
    """Run a command that was chosen in ImageJ's window; an error is shown in a dialog."""
    imagej = JClass("ij.IJ")
    try:
        given = _asked(command)
        if given is None:
            return
        _record(command, given)
        _run(command, given)
    except KeyboardInterrupt:
        imagej.showStatus(f"{command.name}: cancelled")
    except (CareBridgeError, OSError) as error:
        imagej.error(command.name, str(error))


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


def _record(command: Command, given: Mapping[str, str]) -> None:
    """Write the call into ImageJ's Recorder, where it is open."""
    recorder = JClass("ij.plugin.frame.Recorder")
    if not recorder.record:
        return
    options = recorder.fixString(format_arguments(given))
    words = f'"{command.name}", "{options}"' if given else f'"{command.name}"'
    run = "IJ.run" if recorder.scriptMode() else "run"
    recorder.recordString(f"{run}({words});\n")


def _told(error: BaseException) -> str:
    return "cancelled" if isinstance(error, KeyboardInterrupt) else str(error)
