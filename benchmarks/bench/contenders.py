"""Processes that are timed: one that stays and runs the same thing again, or a command."""

from __future__ import annotations

import json
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any

from bench.environments import child_environment, python_of
from bench.materials import CONTENDERS


@dataclass(frozen=True)
class Run:
    """seconds: wall clock. cpu: seconds of all its threads. peak: bytes of resident memory of a
    command, 0 for a worker. others: share of the machine that other processes took meanwhile."""

    seconds: float
    cpu: float
    peak: int = 0
    others: float = 0.0


class Worker:
    """A script of contenders/ in its environment (bench.environments): it gets ready, and runs at
    each call."""

    def __init__(self, environment: str, script: str, *arguments: object) -> None:
        command = [str(python_of(environment)), str(CONTENDERS / script), *map(str, arguments)]
        self._script = script
        with tempfile.NamedTemporaryFile(suffix=f"-{script}.txt", delete=False) as words:
            self._words = Path(words.name)
            self._process = subprocess.Popen(
                command,
                env=child_environment(),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=words,
                text=True,
            )
        ready = self._answer()
        self.versions: list[str] = ready["versions"]
        self.figures: dict[str, float] = ready["figures"]

    def __enter__(self) -> Worker:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
        self._words.unlink()

    def run(self) -> Run:
        """Run once."""
        assert self._process.stdin is not None
        self._process.stdin.write("run\n")
        self._process.stdin.flush()
        answer = self._answer()
        return Run(answer["seconds"], answer["cpu"])

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            words = self._words.read_text("utf-8", errors="replace")
            raise SystemExit(f"{self._script} failed: {words[-2000:]}")
        answer: dict[str, Any] = json.loads(line)
        return answer


@dataclass(frozen=True)
class Command:
    """A command that is started anew at each run; its output is kept from the terminal."""

    command: tuple[str | Path, ...]
    environment: dict[str, str] = field(default_factory=child_environment)

    def run(self) -> Run:
        """Run once. SystemExit with its last words where it fails."""
        began = time.perf_counter()
        process = subprocess.Popen(
            self.command, env=self.environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        assert process.stderr is not None
        words = process.stderr.read()
        _, status, used = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode != 0:
            raise SystemExit(f"{self.command} failed: {words.decode(errors='replace')[-2000:]}")
        return Run(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024)


def restoring(environment: str, model: Path, source: Path, out: Path, *options: str) -> Command:
    """`care-bridge restore` in an environment, from its start to its result under its name."""
    command = (python_of(environment), "-m", "care_bridge", "restore", source, "--model", model)
    return Command((*command, "--out", out, "--overwrite", *options))
