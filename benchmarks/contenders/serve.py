"""A contender's side: made ready once, it runs each time that a line comes in."""

import json
import os
import sys
import time
from collections.abc import Callable, Iterable
from importlib.metadata import version

# Answers go to what stdout was; what libraries print goes to stderr.
_answers = os.fdopen(os.dup(1), "w", buffering=1)
os.dup2(2, 1)


def serve(
    run: Callable[[], object], packages: Iterable[str], *engines: str, **figures: float
) -> None:
    """Run once to get warm, tell the packages' versions, the engines and the figures, then run at
    each line and tell the seconds."""
    run()
    versions = [*(f"{name} {version(name)}" for name in packages), *engines]
    _answers.write(json.dumps({"versions": versions, "figures": figures}) + "\n")
    for _ in sys.stdin:
        began, used = time.perf_counter(), time.process_time()
        run()
        seconds, cpu = time.perf_counter() - began, time.process_time() - used
        _answers.write(json.dumps({"seconds": seconds, "cpu": cpu}) + "\n")
