"""The environments of the tools that packages are compared with."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_SCRIPT = Path(__file__).parents[1] / "scripts" / "interop-env"
# A proxy that refuses every connection: what passes, passes without a network.
OFFLINE = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), "http://127.0.0.1:9")


def interop_environment(*version: str) -> Path:
    """The folder of the environment of bioimageio.core, the newest or of a `version`, made where
    it is not there."""
    made = subprocess.run(
        [_SCRIPT, *version],
        env=os.environ | {"PYTHON": sys.executable},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    return Path(made.stdout.strip())
