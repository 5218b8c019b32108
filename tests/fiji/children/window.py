"""Uses the CARE commands as a person does, in ImageJ's real window, and writes down what came.

Arguments: the Fiji ("" for plain ImageJ), the package, the folder with the images cell.tif and
large.tif, for facts.json and what is saved.
"""

import json
import sys
import threading
import time
from pathlib import Path

import numpy as np

from care_bridge.fiji import start

fiji, package, folder = sys.argv[1] or None, sys.argv[2], Path(sys.argv[3])
gateway = start(fiji, mode="gui")

from jpype import JClass  # noqa: E402

from care_bridge.fiji.images import from_imageplus  # noqa: E402

IJ, manager = JClass("ij.IJ"), JClass("ij.WindowManager")
Recorder = JClass("ij.plugin.frame.Recorder")
PATIENCE = 30.0


def until(condition):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > end:
            raise TimeoutError(
                f"{[str(each.getTextPanel().getText()) for each in windows('TextWindow')]}"
                f"shown: {[str(each) for each in windows('')]}, open: {manager.getImageCount()}"
            )
        time.sleep(0.02)
    return found


def windows(kind):
    shown = JClass("java.awt.Window").getWindows()
    return [each for each in shown if each.isVisible() and kind in str(each.getClass().getName())]


def parts(container):
    for part in container.getComponents():
        yield part
        if hasattr(part, "getComponents"):
            yield from parts(part)


def our_menu():
    plugins = JClass("ij.Menus").getImageJMenu("Plugins")
    items = [plugins.getItem(number) for number in range(plugins.getItemCount())]
    (ours,) = [item for item in items if str(item.getLabel()) == "CARE Bridge"]
    return {str(ours.getItem(n).getLabel()): ours.getItem(n) for n in range(ours.getItemCount())}


def choose(name):
    """Choose a command in the menu; its dialog."""
    item = our_menu()[name]
    item.getActionListeners()[0].actionPerformed(
        JClass("java.awt.event.ActionEvent")(item, 1001, name)
    )
    return until(lambda: windows("GenericDialog"))[0]


def press(dialog, button=0):
    """Press a button of a GenericDialog as the event thread does."""
    button = dialog.getButtons()[button]
    event = JClass("java.awt.event.ActionEvent")(button, 1001, button.getLabel())
    threading.Thread(target=lambda: dialog.actionPerformed(event)).start()


def macro(code):
    """Run a macro as ImageJ's window does, in a thread of its own; that thread."""
    return JClass("ij.macro.MacroRunner")(code).getThread()


def done(thread):
    until(lambda: not thread.isAlive())


def pixels():
    return from_imageplus(manager.getCurrentImage()).pixels


def close_all():
    for identity in manager.getIDList() or ():
        imp = manager.getImage(identity)
        imp.changes = False
        imp.close()


def escape():
    event = JClass("java.awt.event.KeyEvent")
    frame = IJ.getInstance()
    frame.keyPressed(event(frame, event.KEY_PRESSED, 0, 0, event.VK_ESCAPE, event.CHAR_UNDEFINED))


def message(kind):
    """The text of a dialog with a message, which is closed."""
    dialog = until(lambda: windows(kind))[0]
    label = JClass("ij.gui.MultiLineLabel").class_.getDeclaredField("lines")
    label.setAccessible(True)
    (text,) = (
        " ".join(map(str, label.get(part)))
        for part in parts(dialog)
        if str(part.getClass().getName()) == "ij.gui.MultiLineLabel"
    )
    dialog.dispose()
    return text


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
time.sleep(1.0)
began = time.monotonic()
escape()
done(running)
facts["escape_seconds"] = time.monotonic() - began
facts["after_escape"] = int(manager.getImageCount())
close_all()
done(macro(f'open("{folder}/cell.tif"); run("CARE Restore", "model=[{package}]");'))
facts["usable"] = int(manager.getImageCount())
close_all()

# An image that is closed while it is restored in place.
running = macro(
    f'open("{folder}/large.tif");'
    f'run("CARE Restore", "model=[{package}] tile=64,64 result=replace");'
)
imp = until(manager.getCurrentImage)
time.sleep(0.5)
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
