"""What the scripts of Fiji's Python mode call: a command, as its caller meant it.

SciJava runs a script in a thread of a pool while its caller, a macro's thread or the menu's,
waits. ImageJ keeps options and, where no window is active, the active image for each thread: both
are the caller's, and the result must become its active image.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from jpype import JClass

from care_bridge.errors import FijiError
from care_bridge.fiji.calling import current_thread, is_called, run_called, run_from_menu
from care_bridge.fiji.commands import COMMANDS
from care_bridge.fiji.parameters import Command
from care_bridge.fiji.private_fields import private_field


def run_script(name: str) -> None:
    """Run the command `name` with the options of the macro or script that has called it, or else
    with those that are filled into its dialog; an error ends the macro, or is shown."""
    command, caller = COMMANDS[name], _caller()
    if caller is None:
        run_from_menu(command, _record)
        return
    options = private_field("ij.Macro", "table").get(None).get(caller)
    try:
        with _active_image_of(caller):
            run_called(command, "" if options is None else str(options).strip(), caller)
    except FijiError as error:
        # SciJava would only print a Python exception.
        JClass("ij.IJ").error(name, str(error))


def _caller() -> Any | None:
    """The thread of the macro or script that waits for this script; None where it was chosen in
    the menu."""
    context = JClass("ij.IJ").runPlugIn("org.scijava.Context", "")
    threads = context.service("org.scijava.thread.ThreadService")
    thread = threads.getParent(current_thread())
    while thread is not None and not is_called(thread):
        thread = threads.getParent(thread)
    return thread


@contextmanager
def _active_image_of(caller: Any) -> Iterator[None]:
    """Give this thread the active image of another one, which gets this one's at the end: both are
    none where that of the window is meant, and none stays behind in the pool."""
    manager = JClass("ij.WindowManager")
    images = private_field("ij.WindowManager", "tempImageTable").get(None)
    manager.setTempCurrentImage(images.get(caller))
    try:
        yield
    finally:
        manager.setTempCurrentImage(caller, manager.getTempCurrentImage())
        manager.setTempCurrentImage(None)


def _record(_command: Command, given: Mapping[str, str]) -> None:
    """Give ImageJ's Recorder, which writes the call when it ends, the options."""
    recorder = JClass("ij.plugin.frame.Recorder")
    if recorder.record:
        for key, value in given.items():
            recorder.recordOption(*([key, value] if value else [key]))
