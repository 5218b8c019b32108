"""ImageJ's window as a person uses it: what the children with a window share.

To be imported when ImageJ has been started.
"""

import threading
import time

from jpype import JClass

IJ, manager = JClass("ij.IJ"), JClass("ij.WindowManager")
PATIENCE = 60.0


def until(condition):
    """What `condition` gives as soon as it is something; what is on the screen where it stays
    nothing."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        if time.monotonic() > end:
            told = [str(each.getTextPanel().getText()) for each in windows("TextWindow")]
            shown = [str(each) for each in windows("")]
            shown += [text_of(each) for each in windows("Dialog")]
            raise TimeoutError(f"{told} shown: {shown}, open: {manager.getImageCount()}")
        time.sleep(0.02)
    return found


def windows(kind):
    """The windows that are shown and whose class's name holds `kind`."""
    shown = JClass("java.awt.Window").getWindows()
    return [each for each in shown if each.isVisible() and kind in str(each.getClass().getName())]


def parts(container):
    """All that lies in a container, and in what lies there."""
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


def close_all():
    for identity in manager.getIDList() or ():
        imp = manager.getImage(identity)
        imp.changes = False
        imp.close()


def escape():
    event = JClass("java.awt.event.KeyEvent")
    frame = IJ.getInstance()
    frame.keyPressed(event(frame, event.KEY_PRESSED, 0, 0, event.VK_ESCAPE, event.CHAR_UNDEFINED))


def text_of(dialog):
    """The lines of a dialog's message."""
    label = JClass("ij.gui.MultiLineLabel").class_.getDeclaredField("lines")
    label.setAccessible(True)
    (text,) = (
        " ".join(map(str, label.get(part)))
        for part in parts(dialog)
        if str(part.getClass().getName()) == "ij.gui.MultiLineLabel"
    )
    return text


def message(kind):
    """The text of a dialog with a message, which is closed."""
    dialog = until(lambda: windows(kind))[0]
    text = text_of(dialog)
    time.sleep(0.1)  # one that is closed in the moment in which it is shown would wait for ever
    dialog.dispose()
    return text


def status():
    """What the status bar says."""
    texts = [part for part in parts(IJ.getInstance().getStatusBar()) if hasattr(part, "getText")]
    return " ".join(str(part.getText()) for part in texts)


def log():
    """What is in the Log."""
    text = IJ.getLog()
    return "" if text is None else str(text)
