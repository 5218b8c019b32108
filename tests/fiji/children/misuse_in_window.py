"""Runs macros given as JSON {name: code} in ImageJ's window, closes the dialogs that come, and
writes down what they said.

Arguments: the Fiji ("" for plain ImageJ), the folder with macros.json, for ended.json.
"""

import json
import sys
from pathlib import Path

from care_bridge.fiji import start

gateway = start(sys.argv[1] or None, mode="gui")

from desktop import IJ, close_all, log, macro, manager, message, until, windows  # noqa: E402


def closed_dialogs(running):
    """What the dialogs said that came until a macro's thread ended; each is closed."""
    shown = []
    while until(lambda: not running.isAlive() or windows("Dialog")) and windows("Dialog"):
        shown.append(message("Dialog"))
    return shown


folder = Path(sys.argv[2])
ended = {}
for name, code in json.loads((folder / "macros.json").read_text()).items():
    shown = closed_dialogs(macro(code))
    ended[name] = {"shown": shown, "log": log()}
    if not shown:
        ended[name]["active"] = str(manager.getCurrentImage().getTitle())
    for window in windows("TextWindow"):
        window.close()
    close_all()
(folder / "ended.json").write_text(json.dumps(ended))
IJ.getInstance().quit()
gateway.wait()
