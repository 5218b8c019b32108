"""Calls the command line on hostile packages, in a process of its own, and reports on each call.

    python -m tests.hostile.calls FOLDER CASE…

A line of JSON is printed for each case and verb. The process cannot take more than _MOST_MEMORY,
whatever the machine has.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import resource
import sys
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
import tifffile

from tests.hostile.case import EVERY, Case, described, in_folder
from tests.hostile.cases import CASES

# Not of the name of the others: a model is loaded once for each description.
GOOD = Case(
    lambda folder: in_folder(folder, described(lambda content: content.update(name="A good one"))),
    "",
)
_MOST_MEMORY = 4 << 30
_WATCHED = ("socket.", "subprocess.", "os.exec", "os.posix_spawn", "os.system", "pickle.find_class")


def main(folder: Path, names: list[str]) -> None:
    """Make and try the good package, and then each of the cases in a folder of its own."""
    for name, inside in (("XDG_CACHE_HOME", "cache"), ("XDG_DATA_HOME", "data")):
        os.environ[name] = str(folder / inside)
    os.environ["CARE_BRIDGE_MODELS"] = str(folder / "shared")
    resource.setrlimit(resource.RLIMIT_DATA, (_MOST_MEMORY, _MOST_MEMORY))
    warnings.simplefilter("ignore")  # of zipfile, which writes a name twice all the same
    image = folder / "image.tif"
    pixels = np.random.default_rng(0).poisson(99, (40, 44)).astype(np.uint16)
    tifffile.imwrite(image, pixels)
    for name in ("good", *names):
        case = CASES.get(name, GOOD)
        inside = folder / name
        inside.mkdir()
        os.chdir(inside)
        package = case.make(inside)
        for verb in EVERY if name == "good" else case.verbs:
            said = {"case": name, "verb": verb, **_called(verb, name, package, folder)}
            print(json.dumps(said))
            sys.stdout.flush()


def _called(verb: str, name: str, package: Path, folder: Path) -> dict[str, object]:
    from care_bridge.cli.main import main as care_bridge

    result = folder / f"{name}.tif"
    command = {
        "inspect": ["inspect", package],
        "check": ["check", package],
        "restore": [
            *("restore", folder / "image.tif", "--model", package),
            *("--out", result, "--device", "cpu"),
        ],
        "add": ["models", "add", package, "--name", name],
    }[verb]
    before = _everything(folder)
    _STARTED.clear()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew
    out, error = io.StringIO(), io.StringIO()
    begun = time.process_time()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(error):
        try:
            status: int | str = care_bridge([str(word) for word in command])
        except BaseException:  # whatever it is, the test is to see it
            status = traceback.format_exc()
    return {
        "status": status,
        "out": out.getvalue(),
        "error": error.getvalue(),
        "seconds": time.process_time() - begun,
        "peak": _peak(),
        "started": sorted(set(_STARTED)),
        "written": sorted(map(str, _everything(folder) - before)),
    }


_STARTED: list[str] = []


def _watch(event: str, _arguments: object) -> None:
    if event.startswith(_WATCHED):
        _STARTED.append(event)


def _everything(folder: Path) -> set[Path]:
    """All files but those of the cache, where anything may be kept."""
    return {
        path
        for path in folder.rglob("*")
        if folder / "cache" not in path.parents and not path.is_dir()
    }


def _peak() -> int:
    """Bytes of main memory that the process had at most."""
    status = Path("/proc/self/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) << 10


if __name__ == "__main__":
    sys.addaudithook(_watch)
    main(Path(sys.argv[1]), sys.argv[2:])
