"""Runs macros given as JSON {name: code} and writes down how each one ended.

Arguments: the Fiji ("" for plain ImageJ), the folder with macros.json, for ended.json.
"""

import json
import sys
from pathlib import Path

from care_bridge.errors import CareBridgeError, MacroError
from care_bridge.fiji.gateway import start
from care_bridge.fiji.macros import run_macro

start(sys.argv[1] or None)
folder = Path(sys.argv[2])
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
(folder / "ended.json").write_text(json.dumps(ended))
