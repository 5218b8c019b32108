"""Takes care_bridge's commands out of ImageJ's hands: from macros, from the menu and from IJ.run.

ImageJ asks a CommandListener before it looks a command up, headless and with a window, so the
same commands work in plain ImageJ and in Fiji.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

from jpype import JClass, JImplements, JOverride

from care_bridge.fiji.arguments import format_arguments
from care_bridge.fiji.calling import current_thread, is_called, run_called, run_from_menu
from care_bridge.fiji.commands import COMMANDS
from care_bridge.fiji.log import log_in_window
from care_bridge.fiji.parameters import Command
from care_bridge.fiji.progress import in_background


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
        thread = current_thread()
        if is_called(thread):
            options = JClass("ij.Macro").getOptions()
            run_called(command, "" if options is None else str(options).strip(), thread)
        else:
            # ImageJ lets no other command begin before this method returns.
            in_background(lambda: run_from_menu(command, _record), command.name)
        return None


def _record(command: Command, given: Mapping[str, str]) -> None:
    """Write the call into ImageJ's Recorder, where it is open."""
    recorder = JClass("ij.plugin.frame.Recorder")
    if not recorder.record:
        return
    options = recorder.fixString(format_arguments(given))
    words = f'"{command.name}", "{options}"' if given else f'"{command.name}"'
    run = "IJ.run" if recorder.scriptMode() else "run"
    recorder.recordString(f"{run}({words});\n")
