"""Runs macros in a Fiji that has our commands installed, as it would be without care_bridge's help.

Arguments: the Fiji, the mode, the package, the image, the folder for facts.json and results.
"""

import json
import os
import sys
from pathlib import Path

import imagej
import scyjava
from jpype import JException

from care_bridge.fiji.java import choose_java
from care_bridge.fiji.macros import bundled_macros

fiji, mode, package, raw, folder = sys.argv[1:]
choose_java()
scyjava.config.endpoints.clear()
ij = imagej.init(fiji, mode=mode)
if mode == "interactive":
    ij.ui().showUI()
Interpreter = scyjava.jimport("ij.macro.Interpreter")


def macro(code):
    """What a macro returns, and its error."""
    interpreter = Interpreter()
    interpreter.setIgnoreErrors(True)
    try:
        returned = interpreter.run(code, "")
    except JException as stop:
        return None, str(stop)
    error = interpreter.getErrorMessage()
    return returned and str(returned), error and str(error)


facts = {}
facts["title"], facts["refused"] = macro(f'''open("{raw}");
    run("CARE Restore", "model=[{package}]"); title = getTitle();
    saveAs("Tiff", "{folder}/restored.tif"); close(); return title;''')
facts["figures"], _ = macro(f'run("CARE Evaluate", "truth=[{raw}]"); return "" + nResults;')
macro(f'''open("{raw}"); run("CARE Restore", "model=[{package}] result=replace");
    saveAs("Tiff", "{folder}/replaced.tif");''')
if Path(fiji, "scripts", "Plugins").is_dir():
    facts["models"], _ = macro('run("CARE Macro Extensions"); return Ext.CARE_models();')
    projection = bundled_macros()["Maximum_Project_And_Restore"]
    other = Path(raw).with_name("truth.tif")
    facts["several"] = macro(f'''images = newArray("{raw}", "{other}", "{raw}");
        for (i = 0; i < 3; i++) {{
            open(images[i]); run("CARE Restore", "model=[{package}]");
            saveAs("Tiff", "{folder}/several" + i + ".tif"); close("*"); }}
        open("{raw}"); open("{other}"); run("Images to Stack", "use");
        runMacro("{projection}", "model=[{package}]"); told = getTitle(); close("*");
        open("{raw}"); open("{other}"); selectImage("{Path(raw).name}");
        run("CARE Restore", "model=[{package}]"); saveAs("Tiff", "{folder}/several3.tif");
        selectImage("{other.name}"); run("CARE Restore", "model=[{package}]");
        saveAs("Tiff", "{folder}/several4.tif"); close("*"); return told;''')
if Path(fiji, "scripts", "Plugins").is_dir() or mode == "headless":
    facts["after an error"], facts["error"] = macro(
        'run("CARE Restore", "modle=x"); return "after";'
    )
else:
    facts["after an error"] = None  # its dialog would wait for somebody
Path(folder, "facts.json").write_text(json.dumps(facts))
sys.stdout.flush()
os._exit(0)
