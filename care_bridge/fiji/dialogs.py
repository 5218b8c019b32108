"""The dialogs of the commands, made from their parameters."""

from __future__ import annotations

import html
import os
from collections.abc import Mapping
from typing import Any

from jpype import JArray, JClass, JString

from care_bridge.errors import CareBridgeError
from care_bridge.fiji.parameters import Command, Parameter, in_two_columns

_COLUMNS = 8  # beside a longer one ImageJ puts nothing
_WIDE_COLUMNS = 28


def ask(command: Command) -> dict[str, str] | None:
    """What the user fills into the command's dialog, without what stays at its default.

    It is shown again with what was filled in as long as that cannot be used. None: cancelled. It
    waits for the user, so it is not to be called in Java's event thread.
    """
    values = {each.name: each.default or each.suggested for each in command.parameters}
    while True:
        answers = _shown(command, values)
        if answers is None:
            return None
        given = command.told(answers)
        try:
            return command.checked(given)
        except CareBridgeError as error:
            JClass("ij.IJ").error(command.name, str(error))
        values = answers


def _shown(command: Command, values: Mapping[str, str]) -> dict[str, str] | None:
    dialog = JClass("ij.gui.GenericDialog")(command.name)
    dialog.addMessage(command.about)
    for parameter, beside in in_two_columns(command.parameters):
        if beside:
            dialog.addToSameRow()
        _add(dialog, parameter, values[parameter.name])
    dialog.addHelp(_help(command))
    dialog.showDialog()
    if dialog.wasCanceled():
        return None
    return {each.name: _read(dialog, each) for each in command.parameters}


def _add(dialog: Any, parameter: Parameter, value: str) -> None:
    label = parameter.name.replace("_", " ").capitalize()
    if parameter.kind == "flag":
        dialog.addCheckbox(label, value == "true")
    elif parameter.kind == "choice":
        dialog.addChoice(label, JArray(JString)(parameter.choices), value)
    elif parameter.kind == "file":
        dialog.addFileField(label, value, _WIDE_COLUMNS)
    elif parameter.kind == "folder":
        dialog.addDirectoryField(label, value, _WIDE_COLUMNS)
    else:
        dialog.addStringField(label, value, _COLUMNS)


def _read(dialog: Any, parameter: Parameter) -> str:
    if parameter.kind == "flag":
        return "true" if dialog.getNextBoolean() else "false"
    if parameter.kind == "choice":
        return str(dialog.getNextChoice())
    text = str(dialog.getNextString()).strip()
    # ImageJ ends what was chosen as a folder with a separator.
    return (text.rstrip(os.sep) or text) if parameter.kind == "folder" else text


def _help(command: Command) -> str:
    rows = "".join(
        f"<tr><td valign=top><b>{each.name}</b></td><td>{html.escape(each.help)}"
        + (f" <i>(default: {html.escape(each.default)})</i>" if each.default else "")
        + "</td></tr>"
        for each in command.parameters
    )
    return (
        f"<html><h3>{command.name}</h3><p>{html.escape(command.about)}</p>"
        f"<table width=520>{rows}</table>"
        f'<p>In a macro: <code>run("{command.name}", "key=value key=[a value]");</code></p></html>'
    )
