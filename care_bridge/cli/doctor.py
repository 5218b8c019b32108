"""Say what will work here, and how to mend the rest; exit 0 if images can be restored."""

from __future__ import annotations

import argparse
import dataclasses
import json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument("--json", action="store_true", help="print what was found as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Look at everything, and print a line for each."""
    from care_bridge.doctor.imagej import imagej
    from care_bridge.doctor.installation import installation
    from care_bridge.doctor.restoring import restoring

    findings = []
    for part in (installation(), restoring(), imagej()):
        for finding in part:
            findings.append(finding)
            if not arguments.json:
                print(finding.line(), flush=True)
    if arguments.json:
        print(json.dumps([dataclasses.asdict(finding) for finding in findings], indent=2))
    return 1 if any(each.needed and each.state == "missing" for each in findings) else 0
