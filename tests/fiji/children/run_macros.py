"""Runs macros given as JSON {name: code} and writes down how each one ended, and what the dialogs
said that came, which are closed.

Arguments: the Fiji ("" for plain ImageJ), the mode ("headless", "gui"), the folder with
macros.json, for ended.json.
"""

import json
import logging
import sys
import threading
from pathlib import Path

from care_bridge.errors import CareBridgeError, MacroError
from care_bridge.fiji.gateway import start
from care_bridge.fiji.macros import run_macro

logging.basicConfig(format="%(message)s")
fiji, mode, folder = sys.argv[1] or None, sys.argv[2], Path(sys.argv[3])
start(fiji, mode)

shown, over = [], threading.Event()


def close_dialogs():
    from desktop import message, windows

    while not over.wait(0.05):
        if windows("Dialog"):
            shown.append(message("Dialog"))


closing = threading.Thread(target=close_dialogs)
if mode == "gui":
    closing.start()
ended = {}
for name, code in json.loads((folder / "macros.json").read_text()).items():
    macro = folder / f"{name}.ijm"
    macro.write_text(code)
    end = {"error": None, "message": "", "line": None, "returned": None}
    try:
        end["returned"] = run_macro(macro, {"path": "/a b/c", "flag": ""})
    except CareBridgeError as error:
        end |= {"error": type(error).__name__, "message": str(error)}
        if isinstance(error, MacroError):
            end["line"] = error.line
    ended[name] = end
over.set()
if mode == "gui":
    closing.join()
(folder / "ended.json").write_text(json.dumps(ended))
(folder / "shown.json").write_text(json.dumps(shown))
