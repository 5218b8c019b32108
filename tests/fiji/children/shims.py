"""Uses the shims as a person does, in the window of an ImageJ that knows nothing of care_bridge.

Arguments: the ImageJ's folder, the package, the folder with cell.tif, middle.tif and large.tif, for
facts.json and what is saved. Python is here to press buttons only.
"""

import json
import sys
import time
from pathlib import Path

import scyjava

from care_bridge.fiji.java import choose_java, end_threads

stock, package, folder = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
choose_java()
scyjava.config.endpoints.clear()
scyjava.config.add_classpath(str(next((stock / "jars").glob("ij-*.jar"))))
scyjava.config.add_option(f"-Dplugins.dir={stock}")
scyjava.start_jvm()
scyjava.when_jvm_stops(end_threads)

from jpype import JClass  # noqa: E402

JClass("ij.ImageJ")()

from desktop import (  # noqa: E402
    IJ,
    choose,
    close_all,
    done,
    escape,
    log,
    macro,
    manager,
    message,
    press,
    status,
    text_of,
    until,
    windows,
)

Recorder = JClass("ij.plugin.frame.Recorder")
facts = {}


def told_error():
    """What the dialog of a macro error says; it is closed."""
    dialog = until(lambda: windows("Dialog"))[0]
    text = text_of(dialog)
    time.sleep(0.1)  # one that is closed in the moment in which it is shown would wait for ever
    dialog.dispose()
    until(lambda: not windows("Dialog"))
    return text


# The dialog with the Recorder on; what is recorded is played back.
Recorder(True)
IJ.open(str(folder / "cell.tif"))
dialog = choose("CARE Restore")
dialog.getStringFields().get(0).setText("denois-2d")
dialog.getStringFields().get(6).setText("5")
press(dialog)
facts["told"] = message("MessageDialog")
dialog = until(lambda: windows("GenericDialog"))[0]
facts["again"] = [str(dialog.getStringFields().get(n).getText()) for n in (0, 6)]
dialog.getStringFields().get(0).setText(package)
press(dialog)
until(lambda: windows("ImageWindow")[1:])  # not one of the copies on the way
until(lambda: str(manager.getCurrentImage().getTitle()) == "cell_restored.tif")
until(lambda: "CARE Restore" in str(Recorder.getInstance().getText()))
facts["title"] = str(manager.getCurrentImage().getTitle())
IJ.save(manager.getCurrentImage(), str(folder / "by_dialog.tif"))
facts["recorded"] = str(Recorder.getInstance().getText())
Recorder.getInstance().close()
close_all()
call = next(line for line in facts["recorded"].splitlines() if "CARE Restore" in line)
done(macro(f'open("{folder}/cell.tif");\n{call}\nsaveAs("Tiff", "{folder}/by_recorded.tif");'))
close_all()

# An error is told once, and ends the macro that has called.
for name, options in {
    "misspelt": "modle=x",
    "missing": "model=[/no such model]",
    "replaced part": f"model=[{package}] result=replace",
}.items():
    code = f'makeRectangle(1, 1, 9, 9); run("CARE Restore", "{options}"); rename("after");'
    played = macro(f'open("{folder}/cell.tif"); {code}')
    facts[name] = told_error()
    done(played)
    facts[f"{name}: titles"] = [str(title) for title in manager.getImageTitles()]
    close_all()

# The functions for macros, which are not there, and a folder for files that is not there.
System, kept = JClass("java.lang.System"), "java.io.tmpdir"
place = System.getProperty(kept)
for name, command, temporary in (
    ("functions", "CARE Macro Extensions", place),
    ("no folder", "CARE Models", str(folder / "none")),
):
    System.setProperty(kept, temporary)
    played = macro(f'run("{command}"); print("went on");')
    facts[name] = told_error()
    done(played)
    facts[f"{name}: windows"] = [str(each.getTitle()) for each in windows("TextWindow")]
    System.setProperty(kept, place)

# A title in any writing.
done(
    macro(f'open("{folder}/cell.tif"); rename("Zoë µm"); run("CARE Restore", "model=[{package}]");')
)
facts["accents"] = str(manager.getCurrentImage().getTitle())
close_all()


def begun(options):
    """CARE Restore of middle.tif is under way: the image, and the macro's thread."""
    IJ.open(str(folder / "middle.tif"))
    image = manager.getCurrentImage()
    words = f"model=[{package}] tile=128,128 {options}"
    played = macro(f'run("CARE Restore", "{words}"); print("went on");')
    until(lambda: "(Esc cancels)" in status())
    facts.setdefault("first status", status())
    return image, played


# Another image is the active one when it is done.
IJ.open(str(folder / "middle.tif"))
other = manager.getCurrentImage()
source, played = begun("result=replace")
IJ.selectWindow(other.getID())
done(played)
IJ.save(source, str(folder / "source.tif"))
IJ.save(other, str(folder / "other.tif"))
close_all()
facts["log"] = log()

# The image is closed meanwhile.
IJ.log("\\Clear")
source, played = begun("result=replace")
source.close()
facts["closed"] = told_error()
done(played)
facts["closed: titles"] = [str(title) for title in manager.getImageTitles() or ()]
source, played = begun("result=new")
source.close()
done(played)
facts["closed, new: titles"] = [str(title) for title in manager.getImageTitles() or ()]
facts["closed: log"] = log()
close_all()

# Escape ends it, and what was computed for it. The tiles are small, so that it takes some seconds
# also where nothing else runs: progress is told every half second.
IJ.open(str(folder / "large.tif"))
played = macro(f'run("CARE Restore", "model=[{package}] tile=64,64"); rename("after");')
until(lambda: " of " in status())
facts["progress"] = status()
pressed = time.monotonic()
escape()
done(played)
facts["escape seconds"] = time.monotonic() - pressed
facts["after escape"] = [str(title) for title in manager.getImageTitles()]
close_all()
(folder / "facts.json").write_text(json.dumps(facts))
