"""The text of the scripts that are commands in Fiji's Python mode.

SciJava makes a command of a script in scripts/Plugins. The script takes its options itself: a #@
parameter that a macro does not give would ask in a dialog in the midst of the macro.
"""

from __future__ import annotations

from care_bridge.fiji.described import ABOUT
from care_bridge.fiji.macro_text import ascii_comment

_TEMPLATE = """\
#@ Context context
# {name}: {about}
# A command of Fiji's Python mode (docs/fiji.md, "Python mode").

from care_bridge.fiji.python_mode import run_script

run_script("{name}")
"""


def python_script(name: str) -> str:
    """The script that is the command `name`."""
    return _TEMPLATE.format(name=name, about=ascii_comment(ABOUT[name]))
