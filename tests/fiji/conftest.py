"""What the tests with a real ImageJ share: each Java virtual machine lives in a child process."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from care_bridge.fiji.install import install
from tests.packages import tiny_package

CHILDREN = Path(__file__).parent / "children"
FIJI = os.environ.get("CARE_BRIDGE_FIJI")


@pytest.fixture(scope="session", params=["imagej", *(["fiji"] if FIJI else [])])
def installation(request):
    """The folder of the Fiji to test with; "" for plain ImageJ."""
    return FIJI if request.param == "fiji" else ""


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    return tiny_package(tmp_path_factory.mktemp("package") / "tiny model")


@pytest.fixture(scope="session")
def display():
    """A display of its own, without which a test of windows is skipped."""
    if shutil.which("Xvfb") is None:
        pytest.skip("no Xvfb for a window")
    reading, writing = os.pipe()
    server = subprocess.Popen(
        ["Xvfb", "-displayfd", str(writing), "-screen", "0", "1280x900x24"],
        pass_fds=[writing],
        stderr=subprocess.DEVNULL,
    )
    os.close(writing)
    with os.fdopen(reading) as numbers:
        yield f":{numbers.readline().strip()}"
    server.terminate()
    server.wait()


@pytest.fixture(scope="session")
def stock(tmp_path_factory):
    """The folder of an ImageJ without Python, with our commands."""
    from jgo import build

    jars = build("net.imagej:ij:1.54p").path
    (jar,) = Path(jars).rglob("ij-1.54p.jar")
    folder = tmp_path_factory.mktemp("stock") / "Image J.app"
    (folder / "plugins").mkdir(parents=True)
    (folder / "jars").mkdir()
    shutil.copy(jar, folder / "jars")
    install(folder, "shims")
    return folder


def run_child(
    name: str, *arguments: object, folder: Path | None = None, **environment: str
) -> subprocess.CompletedProcess:
    """Run a script of tests/fiji/children, in a working folder."""
    return _run([str(CHILDREN / name), *map(str, arguments)], environment, folder)


def run_cli(*arguments: object, **environment: str) -> subprocess.CompletedProcess:
    """Run the command line in a process of its own."""
    return _run(["-m", "care_bridge.cli.main", *map(str, arguments)], environment)


def _run(
    arguments: list[str], environment: Mapping[str, str], folder: Path | None = None
) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )
