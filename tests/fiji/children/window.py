"""Uses the CARE commands as a person does, in ImageJ's real window, and writes down what came.

Arguments: the Fiji ("" for plain ImageJ), the package, the folder with the images cell.tif and
large.tif, for facts.json and what is saved.
"""

import json
import sys
import time
from pathlib import Path

import numpy as np

from care_bridge.fiji import start

fiji, package, folder = sys.argv[1] or None, sys.argv[2], Path(sys.argv[3])
gateway = start(fiji, mode="gui")

from desktop import (  # noqa: E402
    IJ,
    choose,
    close_all,
    done,
    escape,
    macro,
    manager,
    message,
    our_menu,
    parts,
    press,
    status,
    until,
    windows,
)
from jpype import JClass  # noqa: E402

from care_bridge.fiji.images import from_imageplus  # noqa: E402

Recorder = JClass("ij.plugin.frame.Recorder")


def pixels():
    return from_imageplus(manager.getCurrentImage()).pixels


facts = {"menu": list(our_menu())}

# The dialog, filled in with the Recorder on; what is recorded is played back.
Recorder(True)
IJ.open(str(folder / "cell.tif"))
dialog = choose("CARE Restore")
fields = dialog.getStringFields()
fields.get(0).setText(package)
fields.get(6).setText("5")
press(dialog)
until(lambda: manager.getImageCount() == 2)
facts["title"] = str(manager.getCurrentImage().getTitle())
facts["changes"] = bool(manager.getCurrentImage().changes)
np.save(folder / "by_dialog.npy", pixels())
recorded = str(Recorder.getInstance().getText())
facts["recorded"] = recorded
Recorder.getInstance().close()
close_all()
played = macro(f'open("{folder}/cell.tif");\n' + recorded)
until(lambda: not played.isAlive() or windows("Dialog"))
facts["asked"] = [str(each.getTitle()) for each in windows("Dialog")]
if facts["asked"]:
    raise SystemExit(message("Dialog"))
np.save(folder / "by_recorded.npy", pixels())
close_all()

# What cannot be used is said, and the dialog comes back with what was filled in.
IJ.open(str(folder / "cell.tif"))
dialog = choose("CARE Restore")
dialog.getStringFields().get(0).setText("denois-2d")
press(dialog)
facts["told"] = message("MessageDialog")
again = until(lambda: windows("GenericDialog"))[0]
facts["again"] = str(again.getStringFields().get(0).getText())
press(again, 1)
until(lambda: not windows("GenericDialog"))
facts["after_cancel"] = int(manager.getImageCount())
close_all()

# Escape in the middle of a restoration, and one more restoration after it.
running = macro(
    f'open("{folder}/large.tif"); run("CARE Restore", "model=[{package}] tile=64,64"); x = nowhere;'
)
facts["status"] = until(lambda: "tiles" in status() and status())
began = time.monotonic()
escape()
done(running)
facts["escape_seconds"] = time.monotonic() - began
facts["after_escape"] = int(manager.getImageCount())
close_all()
done(macro(f'open("{folder}/cell.tif"); run("CARE Restore", "model=[{package}]");'))
facts["usable"] = int(manager.getImageCount())
close_all()

# The same in a batch, whose image is one tile.
running = macro(
    f'run("CARE Batch Restore", '
    f'"input=[{folder}/large] output=[{folder}/half] model=[{package}]"); x = nowhere;'
)
until(lambda: "CARE Batch Restore" in status())
escape()
done(running)

# Undo of a result that took the image's place.
IJ.open(str(folder / "cell.tif"))
dialog = choose("CARE Restore")
dialog.getStringFields().get(0).setText(package)
dialog.getChoices().get(0).select("replace")
press(dialog)
until(lambda: manager.getCurrentImage().changes)
time.sleep(0.2)
replaced = pixels()
facts["replaced_changes"] = bool(manager.getCurrentImage().changes)
done(macro('run("Undo");'))
facts["replaced_undone"] = bool((pixels() != replaced).any())
np.save(folder / "undone.npy", pixels())
close_all()

# Batch mode.
running = macro(
    f'setBatchMode(true); open("{folder}/cell.tif"); run("CARE Restore", "model=[{package}]");'
    f'saveAs("Tiff", "{folder}/hidden.tif"); close("*"); open("{folder}/cell.tif");'
    f'run("CARE Restore", "model=[{package}] result=replace");'
    f'saveAs("Tiff", "{folder}/hidden_too.tif");'
)
most = 0
while running.isAlive():
    most = max(most, len(windows("ImageWindow")))
facts["shown_in_batch_mode"] = most
close_all()

# An image that is closed while it is restored in place.
running = macro(
    f'open("{folder}/large.tif");'
    f'run("CARE Restore", "model=[{package}] tile=64,64 result=replace");'
)
until(lambda: "tiles" in status())
imp = manager.getCurrentImage()
imp.changes = False
imp.close()
facts["closed"] = message("GenericDialog")
done(running)
close_all()

# Process > Batch > Macro, with one line.
out = folder / "out"
out.mkdir()
JClass("java.lang.Thread")(JClass("ij.Executer")("Macro... "), "Macro... ").start()
dialog = until(lambda: windows("GenericDialog"))[0]


texts = [part for part in parts(dialog) if part.getClass().getName() == "java.awt.TextField"]
texts[0].setText(str(folder / "in"))
texts[1].setText(str(out))
dialog.getTextArea1().setText(f'run("CARE Restore", "model=[{package}]");')
press(dialog)
until(lambda: not windows("GenericDialog"))
until(lambda: len(list(out.glob("*.tif"))) == 2)
time.sleep(0.5)

(folder / "facts.json").write_text(json.dumps(facts))
print("ended", time.time(), flush=True)
IJ.getInstance().quit()
gateway.wait()
