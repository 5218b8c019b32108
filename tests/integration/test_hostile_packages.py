"""Hostile and broken packages: each is refused in one line, in little time and memory, and leaves
nothing behind. The command line is called on them in processes of their own: see hostile/calls."""

import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.hostile.case import EVERY
from tests.hostile.cases import CASES

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="peaks of memory are from /proc")

MOST_SECONDS = 5
MOST_BYTES = 500 << 20
PROCESSES = 3
WITHIN = 300
PRINTED_BY = {"inspect": "inspect", "check": "check", "restore": "restore", "add": "models"}


@pytest.fixture(scope="module")
def calls(tmp_path_factory):
    """What each verb did on each package, by the names of both."""

    def called(names):
        folder = tmp_path_factory.mktemp("hostile")
        command = [sys.executable, "-m", "tests.hostile.calls", str(folder), *names]
        ran = subprocess.run(
            command,
            capture_output=True,
            text=True,
            check=True,
            timeout=WITHIN,
            cwd=Path(__file__).parents[2],
        )
        return [json.loads(line) for line in ran.stdout.splitlines()]

    parts = [list(CASES)[number::PROCESSES] for number in range(PROCESSES)]
    with ThreadPoolExecutor(PROCESSES) as threads:
        done = [call for part in threads.map(called, parts) for call in part]
    return {(call["case"], call["verb"]): call for call in done}


def test_there_are_enough():
    assert len(CASES) >= 60


@pytest.mark.parametrize("verb", EVERY)
def test_a_good_package_is_taken(calls, verb):
    call = calls["good", verb]
    assert call["status"] == 0, call["error"]
    assert call["started"] == []


@pytest.mark.parametrize("name", CASES)
def test_it_is_refused(calls, name):
    case = CASES[name]
    for verb in case.verbs:
        call = calls[name, verb]
        assert call["status"] == 1, call
        # Before it, restore says on what it computes; check prints a report.
        if verb == "check":
            lines = [line for line in call["out"].splitlines() if line.startswith("error ")]
        else:
            start = f"care-bridge {PRINTED_BY[verb]}: "
            lines = [line for line in call["error"].splitlines() if line.startswith(start)]
            assert len(lines) == 1, call
            assert call["error"].endswith(f"{lines[0]}\n")
        assert any(case.said in line for line in lines), call
        assert "Traceback" not in call["error"] + call["out"]


@pytest.mark.parametrize("name", CASES)
def test_it_leaves_nothing_and_takes_little(calls, name):
    for verb in CASES[name].verbs:
        call = calls[name, verb]
        assert call["written"] == []
        assert call["started"] == []
        assert call["seconds"] < MOST_SECONDS
        assert call["peak"] < MOST_BYTES
