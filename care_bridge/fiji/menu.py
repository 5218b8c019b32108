"""care_bridge's commands in the menu of ImageJ's window: Plugins > CARE Bridge."""

from __future__ import annotations

from jpype import JClass

from care_bridge.fiji.commands import COMMANDS

MENU = "CARE Bridge"


def add_menu() -> None:
    """Add the commands to the menu, and to what ImageJ's Command Finder finds, unless they are
    there."""
    menus = JClass("ij.Menus")
    plugins = menus.getImageJMenu("Plugins")
    if any(str(plugins.getItem(n).getLabel()) == MENU for n in range(plugins.getItemCount())):
        return
    ours = JClass("java.awt.Menu")(MENU)
    for name in COMMANDS:
        item = JClass("java.awt.MenuItem")(name)
        item.addActionListener(JClass("ij.IJ").getInstance())
        ours.add(item)
        # The listener takes the command before ImageJ looks for a class of this name.
        menus.getCommands().put(name, f"care_bridge: {name}")
    plugins.add(ours)
