"""Run inside an environment of scripts/interop-env: what bioimageio.core's test says of packages.

    python core_statuses.py STATUSES.json PACKAGE…

Writes by package [status, errors], as `bioimageio test PACKAGE` tells them of all weights.
"""

import json
import sys
from pathlib import Path

from bioimageio.core import test_model

said = {}
for package in sys.argv[2:]:
    summary = test_model(package)
    errors = [error.msg for detail in summary.details for error in detail.errors]
    said[package] = [summary.status, errors]
Path(sys.argv[1]).write_text(json.dumps(said))
