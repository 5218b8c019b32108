"""Runs two macros in one window, one of whose commands fails or is cancelled; then closes the
window while an image is restored.

Arguments: the Fiji ("" for plain ImageJ), the package, the folder with large.tif, for ended.json.
"""

import json
import sys
from pathlib import Path

from care_bridge.fiji import start

gateway = start(sys.argv[1] or None, mode="gui")

from desktop import (  # noqa: E402
    IJ,
    close_all,
    done,
    escape,
    log,
    macro,
    message,
    status,
    until,
    windows,
)

package, folder = sys.argv[2], Path(sys.argv[3])
RESTORE = f'open("{folder}/large.tif");\nrun("CARE Restore", "model=[{package}] tile=64,64");\n'
# It is started after the other, so that ImageJ takes it for the one that runs.
SECOND = 'print("second");\nwhile (!File.exists("{go}")) wait(20);\nprint("second ended");'
facts = {}


def second(name):
    """Start the second macro; its thread and the file at which it ends."""
    go = folder / f"go {name}"
    running = macro(SECOND.replace("{go}", str(go)))
    until(lambda: log().count("second\n") > len(facts))
    return running, go


first = macro(
    f'while (!File.exists("{folder}/begin")) wait(20);\n'
    f'run("CARE Models", "modle=x");\nprint("first went on");'
)
other, go = second("error")
(folder / "begin").touch()
facts["error"] = message("Dialog")
done(first)
go.touch()
done(other)

first = macro(RESTORE + 'print("first went on");')
until(lambda: "tiles" in status())
other, go = second("escape")
escape()
done(first)
facts["escape"] = [str(each.getTitle()) for each in windows("Dialog")]
go.touch()
done(other)
close_all()

facts["log"] = log()
(folder / "ended.json").write_text(json.dumps(facts))
macro(RESTORE)
until(lambda: "tiles" in status())
IJ.getInstance().quit()
gateway.wait()
