"""What the scripts of Fiji's Python mode call: a command, as its caller meant it.

SciJava runs a script in a thread of its own while its caller, a macro's thread or the menu's,
waits. The options are the caller's, and the result must become the caller's active image.
"""

from __future__ import annotations

from typing import Any

from jpype import JClass

from care_bridge.errors import CareBridgeError
from care_bridge.fiji.arguments import parse_arguments
from care_bridge.fiji.commands import COMMANDS
from care_bridge.fiji.dialogs import ask

# IJ.run, and with it every macro, gives its thread a name that begins so.
_CALLED = "Run$_"


def run_script(name: str) -> None:
    """Run the command `name` with the options of the macro that has called it, or else with those
    that are filled into its dialog; an error ends the macro, or is shown."""
    command, imagej = COMMANDS[name], JClass("ij.IJ")
    caller, text = _caller()
    in_macro = JClass("ij.macro.Interpreter").getInstance() is not None
    try:
        given: dict[str, str] | None = parse_arguments(text)
        asks = command.must_ask or (command.parameters and not in_macro)
        if not text and asks and imagej.getInstance() is not None:
            given = ask(command)
            _record(given or {})
        if given is not None:
            command.run(command.checked(given))
    except (CareBridgeError, OSError, KeyboardInterrupt) as error:
        # SciJava would only print a Python exception, and the macro would go on.
        message = f"{name}: {str(error) or 'cancelled'}"
        macro = JClass("ij.macro.Interpreter").getInstance()
        if macro is not None:
            macro.abort(message)
        else:
            imagej.error(name, message)
    if caller is not None:
        manager = JClass("ij.WindowManager")
        manager.setTempCurrentImage(caller, manager.getCurrentImage())


def _caller() -> tuple[Any, str]:
    """The thread of the macro that waits for this script, and its options; (None, "") where it was
    chosen in the menu."""
    field = JClass("ij.Macro").class_.getDeclaredField("table")
    field.setAccessible(True)
    table = field.get(None)
    for thread in list(table.keySet()):
        if str(thread.getName()).startswith(_CALLED):
            return thread, str(table.get(thread)).strip()
    return None, ""


def _record(given: dict[str, str]) -> None:
    """Give ImageJ's Recorder, which writes the call when it ends, the options."""
    recorder = JClass("ij.plugin.frame.Recorder")
    if recorder.record:
        for key, value in given.items():
            recorder.recordOption(*([key, value] if value else [key]))
