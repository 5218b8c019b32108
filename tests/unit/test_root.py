"""What the root exports, and what importing loads: in processes of their own."""

import subprocess
import sys

import pytest

import care_bridge

HEAVY = ["numpy", "torch", "onnx", "onnxruntime", "pydantic", "bioimageio", "jpype", "tifffile"]


def loaded_after(code):
    script = f"{code}\nimport sys; print(*[name for name in {HEAVY} if name in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    return done.stdout.split()


def test_the_root_exports_these_names():
    assert sorted(care_bridge.__all__) == [
        "ModelSpec",
        "Package",
        "RestoreOptions",
        "Restorer",
        "TileGrid",
        "check_package",
        "load_package",
        "open_image",
        "restore",
        "restore_files",
        "write_image",
    ]
    for name in care_bridge.__all__:
        assert getattr(care_bridge, name).__name__ == name
        assert name in dir(care_bridge)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="no attribute 'restor'"):
        _ = care_bridge.restor


def test_importing_the_root_loads_nothing_heavy():
    assert loaded_after("import care_bridge") == []


def test_the_command_lines_help_loads_nothing_heavy():
    code = (
        "import contextlib, io\n"
        "from care_bridge.cli.main import main\n"
        "with contextlib.suppress(SystemExit), contextlib.redirect_stdout(io.StringIO()):\n"
        "    main(['--help'])"
    )
    assert loaded_after(code) == []


def test_the_restorer_loads_no_torch_no_onnx_and_no_spec_library():
    assert sorted(
        loaded_after("import care_bridge.runtime.restorer, care_bridge.runtime.batch")
    ) == ["numpy"]
