"""The text of a shim: a macro that is a command of a Fiji without Python.

ImageJ makes a command of a macro in its plugins folder. The shim takes the options of its caller,
or asks for them in a dialog, gives the images to care_bridge as files and does what it answers,
which is macro code as well. `shim_client` is the other side.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from care_bridge.fiji.described import (
    ABOUT,
    EVALUATE,
    EXTENSIONS,
    PARAMETERS,
    PREVIEW,
    RESTORE,
)
from care_bridge.fiji.macro_text import array, ascii_comment, quoted
from care_bridge.fiji.parameters import Parameter, in_two_columns

_WIDE_COLUMNS = 28
_COLUMNS = 8  # beside a longer one ImageJ puts nothing
_RECORD_NOTHING = 'call("ij.plugin.frame.Recorder.resetCommandOptions");'
_GET = {"flag": "Checkbox", "choice": "Choice"}

_ACTIVE_IMAGE = """
if (source != 0) {
    title = getTitle();
    virtual = is("Virtual Stack");
    kind = selectionType();
    if (kind >= 0) getSelectionBounds(x, y, width, height);
    if (kind == 0) part = "" + x + "," + y + "," + width + "," + height;
    if (kind >= 0) run("Select None");
    keep("image");
    if (kind >= 0) run("Restore Selection");
}
"""

_TITLES = """
if (source != 0) title = getTitle();
named = call("ij.Macro.getValue", options, "restored", "");
if (named != "") title = named;
if (title != "" && isOpen(title)) {
    selectImage(title);
    keep("restored");
}
named = call("ij.Macro.getValue", options, "truth", "");
if (named != "" && isOpen(named)) {
    selectImage(named);
    keep("truth");
}
if (source != 0) selectImage(source);
"""

_TEMPLATE = """\
// {name}: {about}
// A command of ImageJ that calls care_bridge outside of it (docs/fiji.md, "A Fiji without Python").

var python = {python};
var command = {quoted_name};
var folder, batch, options;
source = 0;
options = "" + call("ij.Macro.getOptions");
if (options == "null") {{
    options = "";
{dialog}}}

folder = getDirectory("temp") + "care_bridge-" + d2s(getTime(), 0) + "-" + d2s(random * 1e9, 0);
if (startsWith(getInfo("os.name"), "Windows"))
    File.makeDirectory(folder);
else
    exec("mkdir", "-m", "700", folder);
folder = folder + File.separator;
title = ""; part = ""; virtual = 0;
batch = is("Batch Mode");
if (!File.isDirectory(folder)) {{
    fail("the folder " + folder + " cannot be made: free the disk of " + getDirectory("temp")
        + ", or start ImageJ with another one, -Djava.io.tmpdir=");
    return "";
}}
if (source != 0 && !isOpen(source)) {{
    fail("the image was closed: keep it open");
    return "";
}}
if (!batch) setBatchMode(true);
if (call("java.awt.GraphicsEnvironment.isHeadless") == "true") {{
    // Its thread may have an earlier call's image for the active one: after this, the caller's.
    newImage("care_bridge", "8-bit black", 1, 1, 1);
    close();
}}
if (source != 0) selectImage(source);
else source = getImageIDIfAny();
{images}
if (!batch) setBatchMode("exit and display");  // else the status bar would show nothing
showStatus(command + ": waiting for care_bridge (Esc cancels)");
setOption("WaitForCompletion", false);
started = "" + exec(python, "-P", "-m", "care_bridge", "fiji", "shim", command, folder,
    "options=" + codes(options), "title=" + codes(title), "source=" + source, "part=" + part,
    "virtual=" + virtual, "headless=" + call("java.awt.GraphicsEnvironment.isHeadless"));
if (indexOf(started, "Cannot run") >= 0) {{
    fail("there is no Python at " + python + ": install care_bridge again, then its commands");
    return "";
}}

beats = ""; silent = 0;
for (i = 0; !File.exists(folder + "answer.ijm"); i++) {{
    wait(50);
    if (i % 10 == 0) File.saveString("" + i, folder + "waiting.txt");
    if (i % 10 == 5) {{
        now = told("beat.txt");
        silent = silent + 1;
        if (now != beats) silent = 0;
        beats = now;
        if (silent > 120) {{
            fail("care_bridge does not answer: run care-bridge doctor");
            return "";
        }}
        way = split(told("progress.txt"), " ");
        if (way.length == 2) {{
            showStatus(command + ": " + way[0] + " of " + way[1] + " tiles (Esc cancels)");
            showProgress(parseInt(way[0]) / parseInt(way[1]));
        }}
    }}
}}
File.saveString("", folder + "taken.txt");
showProgress(1);
showStatus("");
if (!batch) setBatchMode(true);
message = "" + eval(told("answer.ijm"));
if (message != "done") fail(message);
remove();
shown = getImageIDIfAny();
if (!batch) setBatchMode("exit and display");
if (shown != 0) selectImage(shown);

// Takes an option that is not the default, and has it recorded.
function option(name, value, usual) {{
    if (value == usual) return;
    options = options + name + "=[" + value + "] ";
    call("ij.plugin.frame.Recorder.recordOption", name,
        call("ij.plugin.frame.Recorder.fixString", value));
}}

function flag(name) {{
    options = options + name + " ";
    call("ij.plugin.frame.Recorder.recordOption", name);
}}

// What cannot be used of the options, if anything.
function whatIsWrong() {{
    said = "" + exec(python, "-P", "-m", "care_bridge", "fiji", "shim-check", command,
        codes(options));
    if (startsWith(said, "return")) return "" + eval(said);
    return "";
}}

// Keeps a copy of the active image as a file; its own file and title stay what they are.
function keep(name) {{
    run("Duplicate...", "title=care_bridge duplicate");
    save(folder + name + ".tif");
    close();
}}

// The characters' numbers: the machine's encoding may have no accents.
function codes(text) {{
    numbers = "";
    for (i = 0; i < lengthOf(text); i++) numbers = numbers + charCodeAt(text, i) + ",";
    return numbers;
}}

function told(name) {{
    if (!File.exists(folder + name)) return "";
    return File.openAsString(folder + name);
}}

function getImageIDIfAny() {{
    if (nImages == 0) return 0;
    return getImageID();
}}

function remove() {{
    if (!File.isDirectory(folder)) return;
    names = getFileList(folder);
    for (i = 0; i < names.length; i++) done = File.delete(folder + names[i]);
    done = File.delete(folder);
}}

// Ends the macro that has called this command, when this one has ended.
function fail(message) {{
    remove();
    if (!batch) setBatchMode("exit and display");
    call("ij.IJ.error", command, message);
    close("Exception");  // by which ImageJ shows how it ends a macro
}}
"""

_NOT_HERE = """\
// {name}: {about}
// Here it can only say that it needs Python (docs/fiji.md, "A Fiji without Python").

call("ij.IJ.error", {quoted_name}, "the functions Ext.CARE_... need a Fiji that was opened from "
    + "Python (care-bridge fiji start): use the commands, and getResult() for figures");
close("Exception");  // by which ImageJ shows how it ends a macro
"""


def shim(name: str, python: Path) -> str:
    """The macro that is the command `name` and calls the care_bridge of this Python."""
    head = {"name": name, "about": ascii_comment(ABOUT[name]), "quoted_name": quoted(name)}
    if name == EXTENSIONS:
        return _NOT_HERE.format(**head)
    images = ""
    if name in (RESTORE, PREVIEW):
        images = _ACTIVE_IMAGE
    elif name == EVALUATE:
        images = _TITLES
    return _TEMPLATE.format(
        **head, python=quoted(str(python)), dialog=_dialog(name, PARAMETERS[name]), images=images
    )


def _dialog(name: str, parameters: Sequence[Parameter]) -> str:
    """Code that asks for the options until they can be used, and puts those that are not the
    default into `options` and into the Recorder."""
    if not parameters:
        return ""
    kept = ", ".join(_first(each) for each in parameters)
    asks = 'call("java.awt.GraphicsEnvironment.isHeadless") == "false"'
    if all(each.default is not None for each in parameters):
        # IJ.run, and with it every macro, gives its thread a name that begins so.
        asks += ' && indexOf(call("java.lang.Thread.currentThread"), "Run$_") < 0'
    lines = [
        f"if ({asks}) {{",
        "    source = getImageIDIfAny();  // another may be the active one when it is closed",
        f"    kept = newArray({kept});",
        "    do {",
        f"        {_RECORD_NOTHING}",
        f"        Dialog.create({quoted(name)});",
        f"        Dialog.addMessage({quoted(ABOUT[name])});",
    ]
    for place, (each, beside) in enumerate(in_two_columns(parameters)):
        if beside:
            lines.append("        Dialog.addToSameRow();")
        lines.append(f"        {_field(each, place)}")
    lines += [f"        Dialog.addHelp({quoted(_help(parameters))});", "        Dialog.show();"]
    for place, each in enumerate(parameters):
        get = _GET.get(each.kind, "String")
        lines.append(f"        kept[{place}] = Dialog.get{get}();")
    # ImageJ has recorded every field.
    lines += [
        '        call("ij.plugin.frame.Recorder.resetCommandOptions");',
        '        options = "";',
    ]
    for place, each in enumerate(parameters):
        if each.kind == "flag":
            lines.append(f"        if (kept[{place}]) flag({quoted(each.name)});")
        else:
            default = quoted(each.default or "")
            lines.append(f"        option({quoted(each.name)}, kept[{place}], {default});")
    lines += [
        "        wrong = whatIsWrong();",
        '        if (wrong != "") showMessage(command, wrong);',
        '    } while (wrong != "");',
        "}",
    ]
    return "".join(f"    {line}\n" for line in lines)


def _first(parameter: Parameter) -> str:
    """What a field of the dialog begins with."""
    return "0" if parameter.kind == "flag" else quoted(parameter.default or parameter.suggested)


def _field(parameter: Parameter, place: int) -> str:
    label, value = quoted(parameter.name), f"kept[{place}]"
    if parameter.kind == "flag":
        return f"Dialog.addCheckbox({label}, {value});"
    if parameter.kind == "choice":
        return f"Dialog.addChoice({label}, {array(parameter.choices)}, {value});"
    if parameter.kind == "file":
        return f"Dialog.addFile({label}, {value}, {_WIDE_COLUMNS});"
    if parameter.kind == "folder":
        return f"Dialog.addDirectory({label}, {value}, {_WIDE_COLUMNS});"
    return f"Dialog.addString({label}, {value}, {_COLUMNS});"


def _help(parameters: Sequence[Parameter]) -> str:
    rows = "".join(
        f"<tr><td><b>{each.name}</b></td><td>{each.help}</td></tr>" for each in parameters
    )
    return f"<html><table width=520>{rows}</table></html>"
