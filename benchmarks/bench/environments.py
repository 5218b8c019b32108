"""An environment for each contender, made by uv at its first use and kept."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
WORK = Path(os.environ.get("CARE_BRIDGE_BENCHMARKS", ROOT / "build" / "benchmarks"))

_PYTHON = "3.11"
_REQUIREMENTS = {
    "ours": ["-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[cpu,train,zarr]"],
    "openvino": ["-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[openvino]"],
    "gpu": ["-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[gpu]"],
    "fiji": ["-c", str(ROOT / "constraints.txt"), "-e", f"{ROOT}[cpu,fiji]"],
    "csbdeep": ["csbdeep==0.8.2", "tensorflow==2.21.0"],
    "careamics": ["careamics==0.3.5"],
    "core": ["-r", str(ROOT / "scripts" / "interop-env.txt")],
}


def python_of(name: str) -> Path:
    """The Python of an environment: "ours", "openvino", "gpu", "fiji" or a peer's."""
    folder = WORK / "environments" / name
    python = folder / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    done = folder / "installed.txt"
    wanted = "\n".join(_REQUIREMENTS[name])
    if done.is_file() and done.read_text("utf-8") == wanted:
        return python
    uv = shutil.which("uv")
    if uv is None:
        raise SystemExit("uv is missing, which makes the environments: pip install uv")
    print(f"installing the environment {name} in {folder}", file=sys.stderr)
    subprocess.run([uv, "venv", "-q", "--clear", "--python", _PYTHON, folder], check=True)
    subprocess.run(
        [uv, "pip", "install", "-q", "--python", python, "--compile-bytecode", *wanted.split("\n")],
        check=True,
    )
    done.write_text(wanted, "utf-8")
    return python


def child_environment() -> dict[str, str]:
    """The variables for a child: with compiled bytecode, which every start needs."""
    return {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
