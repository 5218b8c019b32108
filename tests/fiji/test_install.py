"""What is put into a Fiji that is started by itself, and taken away again."""

import hashlib
import shutil
import sys

import pytest

from care_bridge.fiji.install import install, uninstall, way_of
from care_bridge.fiji.macro_text import quoted
from tests.fiji.conftest import run_cli

pytestmark = pytest.mark.fiji


def hashes(folder):
    files = (file for file in sorted(folder.rglob("*")) if file.is_file())
    return {file: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def test_installing_keeps_what_is_not_its_own(stock, tmp_path):
    fiji = tmp_path / "Fiji.app"
    shutil.copytree(stock, fiji)
    uninstall(fiji)
    bare = hashes(fiji)
    folders = {folder for folder in fiji.rglob("*") if folder.is_dir()}
    theirs = fiji / "plugins" / "CARE Bridge" / "CARE_Restore.ijm"
    theirs.parent.mkdir()
    theirs.write_text("print('mine');")
    first = {change.file.name: change.what for change in install(fiji)}
    assert first.pop("CARE_Restore.ijm").startswith("kept")
    assert set(first.values()) == {"written"}
    assert theirs.read_text() == "print('mine');"
    before = hashes(fiji)
    again = {change.what for change in install(fiji) if change.file != theirs}
    assert again == {"unchanged"}
    assert hashes(fiji) == before

    changed = fiji / "plugins" / "CARE Bridge" / "CARE_Models.ijm"
    changed.write_text("// mine\n" + changed.read_text())
    theirs.unlink()
    told = {change.file.name: change.what for change in install(fiji, "python")}
    assert told["CARE_Models.ijm"].startswith("kept")
    assert told["CARE_Evaluate.ijm"] == "removed"
    assert told["CARE_Evaluate.py"] == "written"
    uninstall(fiji)
    assert set(hashes(fiji)) - set(bare) == {changed}
    changed.unlink()
    changed.parent.rmdir()
    assert {folder for folder in fiji.rglob("*") if folder.is_dir()} == folders


def test_the_way_is_what_the_fiji_is_set_to(stock, tmp_path):
    settings = tmp_path / "config" / "jaunch" / "fiji.cfg"
    assert way_of(stock) == "shims"
    settings.parent.mkdir(parents=True)
    settings.write_text("python-dir = /a/b\nlaunch-mode = PYTHON\n")
    assert way_of(tmp_path) == "python"


def test_the_command_line_installs_and_says_what(stock, tmp_path):
    fiji = tmp_path / "Fiji.app"
    shutil.copytree(stock, fiji)
    done = run_cli("fiji", "install", "--fiji", fiji, "--uninstall", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert all(line.startswith("would be removed  ") for line in done.stdout.splitlines())
    assert "CARE_Restore.ijm" in done.stdout
    assert hashes(fiji).keys() == {fiji / file.relative_to(stock) for file in hashes(stock)}
    wrong = run_cli("fiji", "install", "--fiji", tmp_path)
    assert wrong.returncode == 1
    assert "no Fiji" in wrong.stderr
    shim = (fiji / "plugins" / "CARE Bridge" / "CARE_Restore.ijm").read_text()
    assert quoted(sys.executable) in shim
