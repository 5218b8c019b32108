"""How macros end: with a value, or with an error that names its line."""

import json

import pytest

from care_bridge.bundled import bundled_folder
from tests.fiji.conftest import run_child, run_cli

pytestmark = pytest.mark.fiji
MODEL = "model=[{model}]"
GREY = 'newImage("grey", "16-bit ramp", 64, 64, 1);\n'


MINE = 'close("*");\nnewImage("mine", "16-bit ramp", 64, 64, 1);\n'
LEFT = 'return "" + nImages + " " + getTitle();'


def bundled(name, argument):
    return f'runMacro("{{bundled}}/{name}.ijm", "{argument}");\n'


def restore(options):
    return f'run("CARE Restore", "{options}");'


# What the macro returns.
FINE = {
    "a-value": ('return "seen " + getArgument();', "seen path=[/a b/c] flag"),
    "an-argument": ('return call("ij.Macro.getValue", getArgument(), "path", "");', "/a b/c"),
    "nothing": ("x = 1;", None),
    "exit": ("if (true)\n\texit;\nreturn 1;", None),
    "exit-with-parentheses": ('exit();\nprint("after");', None),
    "a-filter": (GREY + 'run("Gaussian Blur...", "sigma=2");\nreturn getTitle();', "grey"),
    "a-bundled-macro-closes-its-own": (
        f'{MINE}saveAs("Tiff", "{{folder}}/x.tif");\nrename("mine");\n'
        + bundled("Restore_Image", f"input=[{{folder}}/x.tif] output=[{{folder}}/y.tif] {MODEL}")
        + f'if (!File.exists("{{folder}}/y.tif")) return "nothing";\n{LEFT}',
        "1 mine",
    ),
    **{
        f"nothing-is-opened-{number}": (MINE + bundled(name, argument) + LEFT, "1 mine")
        for number, (name, argument) in enumerate(
            [
                ("Restore_Image", "output=y.tif"),
                ("Restore_Image", "input=[{folder}]"),
                ("Restore_Selection", "width=5"),
                ("Restore_Selection", "input=none.tif x=1 y=1 width=5 height=5"),
                ("Maximum_Project_And_Restore", "input=none.tif"),
                ("Compare_Before_After", "input=none.tif"),
                ("Evaluate_Against_Truth", "input=[{folder}]"),
            ]
        )
    },
    "restored": (GREY + restore(MODEL) + "\nreturn getTitle();", "grey_restored"),
}

# The line of the error, and words of its message. Each gets a last line more, which must not be
# reached.
WRONG = {
    "unknown-variable": ("x = 1;\ny = nowhere;", 2, "Undefined variable"),
    "in-a-function": ("x = f();\nfunction f() {\n\treturn nowhere;\n}", 3, "Undefined variable"),
    "unknown-command": ('\nrun("No Such Command");', 2, "Unrecognized command"),
    "no-image-for-imagej": ('run("Duplicate...", "title=x");', 1, "no images open"),
    "exit-with-a-message": ('x = 1;\nexit("stop " + x);', 2, "stopped with a message"),
    "a-dialog": ('Dialog.create("x");\nDialog.show();', 1, "a headless run has none"),
    "a-number-to-ask-for": ('x = 1;\nn = getNumber("How many", 3);', 2, "getArgument()"),
}


@pytest.fixture(scope="module")
def ended(installation, package, tmp_path_factory):
    folder = tmp_path_factory.mktemp("macros")
    macros = {name: code for name, (code, _) in FINE.items()}
    macros |= {name: code + "\nreturn 1;" for name, (code, _, _) in WRONG.items()}
    macros["parameters"] = "#@ File input\nprint(input);"
    for key, place in (
        ("model", package),
        ("folder", folder),
        ("bundled", bundled_folder("fiji_macros")),
    ):
        macros = {name: code.replace(f"{{{key}}}", str(place)) for name, code in macros.items()}
    (folder / "macros.json").write_text(json.dumps(macros))
    child = run_child("run_macros.py", installation, "headless", folder)
    assert child.returncode == 0, child.stderr
    return json.loads((folder / "ended.json").read_text())


@pytest.mark.parametrize("name", FINE)
def test_a_macro_that_ends_well(ended, name):
    assert ended[name] == {"error": None, "message": "", "line": None, "returned": FINE[name][1]}


@pytest.mark.parametrize("name", WRONG)
def test_a_macro_error_names_its_line(ended, name):
    _, line, words = WRONG[name]
    end = ended[name]
    assert end["error"] == "MacroError"
    assert end["line"] == line
    assert end["message"].startswith(f"{name}.ijm, line {line}: ")
    assert words in end["message"]
    assert "\n" not in end["message"]


def test_parameters_that_nobody_would_fill_are_refused(ended):
    assert ended["parameters"]["error"] == "FijiError"
    assert "getArgument()" in ended["parameters"]["message"]


@pytest.fixture(scope="module")
def failed(installation, tmp_path_factory):
    macro = tmp_path_factory.mktemp("failing") / "Failing.ijm"
    macro.write_text('print("hello " + getArgument());\nx = nowhere;\nprint("after");\n')
    return run_cli("fiji", "run", macro, "name=World", CARE_BRIDGE_FIJI=installation)


def test_the_command_line_tells_a_macro_error_and_exits_with_1(failed):
    assert failed.returncode == 1
    assert failed.stdout.splitlines() == ["hello name=[World]"]
    told = failed.stderr.splitlines()[-1]
    assert told == "care-bridge fiji: Failing.ijm, line 2: Undefined variable"


def test_the_bundled_macros_are_listed_with_their_purpose():
    listed = run_cli("fiji", "macros")
    assert listed.returncode == 0
    heads = [line for line in listed.stdout.splitlines() if not line.startswith(" ")]
    names = [line.split()[0] for line in heads]
    assert names == sorted(path.stem for path in bundled_folder("fiji_macros").glob("*.ijm"))
    assert "Batch_Restore" in names
    assert all(len(line.split()) > 4 for line in heads)
    assert "\n    x, y, width, height  the rectangle" in listed.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    {
        "misspelt-macro": (["Bach_Restore"], 'did you mean "Batch_Restore"'),
        "twice": (["Batch_Restore", "input=a", "input=b"], '"input" is given twice'),
        "misspelt-key": (["Maximum_Project_And_Restore", "outptu=x.tif"], 'did you mean "output"'),
        "unknown-key": (["Restore_Image", "gauss=3"], "use one of input, output, model"),
        "key-of-a-command": (["Batch_Restore", "percentile_lo=4"], 'did you mean "percentile_low"'),
        "key-that-is-set": (["Batch_Restore_Timelapse", "axes=TYX"], 'no option "axes"'),
        "behind-an-option": (
            ["Restore_Image", "--fiji", "/nowhere", "input=a", "gauss=3"],
            "use one of input, output, model",
        ),
        "no-key": (["Restore_Image", "=a"], 'there is no option ""'),
    }.values(),
    ids=lambda words: words[-1] if isinstance(words, list) else None,
)
def test_wrong_words_are_told_before_java_is_started(words, message):
    done = run_cli("fiji", "run", *words, PATH="/nowhere", JAVA_HOME="/nowhere")
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.splitlines()) == 1
