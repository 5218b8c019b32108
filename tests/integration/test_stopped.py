"""A check ends itself when the network takes too much."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

_BEGIN = "import tempfile, time, numpy\nfrom care_bridge.cli.stopped import stopped_at_limits\n"


def _run(code: str, scratch: Path) -> subprocess.CompletedProcess[str]:
    scratch.mkdir()
    return subprocess.run(
        [sys.executable, "-c", _BEGIN + code],
        capture_output=True,
        text=True,
        timeout=60,
        env={"TMPDIR": str(scratch), "TEMP": str(scratch), "PATH": ""},
        check=False,
    )


@pytest.mark.parametrize(
    ("limits", "work", "told"),
    [
        pytest.param("seconds=0.3", "time.sleep(50)", "more than 0.3 seconds", id="time"),
        pytest.param(
            "share=0.01",
            "many = [(time.sleep(0.02), numpy.ones(1 << 22)) for _ in range(1000)]",
            "MB of memory",
            id="memory",
        ),
    ],
)
def test_what_takes_too_much_ends_with_a_line(
    tmp_path: Path, limits: str, work: str, told: str
) -> None:
    code = (
        f"with stopped_at_limits('NAME', {limits}):\n"
        f"    open(tempfile.mkdtemp() + '/left', 'w').close()\n    {work}\n"
    )
    began = time.monotonic()
    ended = _run(code, tmp_path / "scratch")
    assert ended.returncode == 1
    assert ended.stdout == ""
    [line] = ended.stderr.splitlines()
    assert line.startswith("care-bridge check: the network of NAME was stopped: it takes more")
    assert told in line
    assert time.monotonic() - began < 40
    assert not list((tmp_path / "scratch").iterdir())


def test_what_takes_little_ends_as_usual(tmp_path: Path) -> None:
    code = (
        "before = tempfile.gettempdir()\n"
        "with stopped_at_limits('NAME', seconds=0.5):\n    pass\n"
        "time.sleep(1)\nprint(tempfile.gettempdir() == before)\n"
    )
    ended = _run(code, tmp_path / "scratch")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "True\n", "")
