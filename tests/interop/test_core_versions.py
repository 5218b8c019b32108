"""The bundled models and a fresh export of each task pass bioimageio.core's test, old and new."""

import json
import os
import subprocess
from functools import cache
from pathlib import Path

import pytest

from care_bridge import check_package
from care_bridge.package.store import bundled_models
from tests.interop_environment import OFFLINE, interop_environment
from tests.packages import is_clean
from tests.task_packages import CASES, task_package

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(3600)]

VERSIONS = ("0.9.6", "0.10.2", "0.11.0")
PACKAGES = [*CASES, *bundled_models()]


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """All packages by name."""
    fresh = {case: task_package(case, tmp_path_factory.mktemp(case)) for case in CASES}
    return fresh | bundled_models()


@pytest.fixture(scope="module")
def said(packages, tmp_path_factory):
    """What a version says of each package, at its first use."""

    @cache
    def say(version):
        folder = tmp_path_factory.mktemp(version)
        command = [
            interop_environment(version) / "bin" / "python",
            Path(__file__).with_name("core_statuses.py"),
            folder / "said.json",
            *packages.values(),
        ]
        ran = subprocess.run(
            command,
            env=os.environ | OFFLINE | {"BIOIMAGEIO_CACHE_PATH": str(folder / "downloads")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        return json.loads((folder / "said.json").read_text())

    return say


@pytest.mark.parametrize("name", PACKAGES)
@pytest.mark.parametrize("version", VERSIONS)
def test_core_passes_it(packages, said, name, version):
    assert said(version)[str(packages[name])] == ["passed", []]


@pytest.mark.parametrize("name", PACKAGES)
def test_our_check_is_clean(packages, name):
    report = check_package(packages[name])
    assert is_clean(report), report.text()
