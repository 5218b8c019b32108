"""What a check of a package found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "ok"]


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. what: what was seen. remedy: what to do, "" where it is fine."""

    severity: Severity
    what: str
    remedy: str = ""


@dataclass(frozen=True)
class CheckReport:
    """The findings on the package at `source`, in the order in which they were checked."""

    source: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the package unusable or its results wrong."""
        return tuple(finding for finding in self.findings if finding.severity == "error")

    def text(self) -> str:
        """A line for each finding, and one that sums them up."""
        lines = [
            f"{finding.severity:<8}{finding.what}"
            + (f": {finding.remedy}" if finding.remedy else "")
            for finding in self.findings
        ]
        warnings = sum(finding.severity == "warning" for finding in self.findings)
        verdict = "fails" if self.errors else "passes"
        counts = f"{_count(len(self.errors), 'error')}, {_count(warnings, 'warning')}"
        return "\n".join([*lines, f"{self.source} {verdict}: {counts}"])

    def json(self) -> str:
        """The report as JSON: source, passed, findings."""
        return json.dumps({**asdict(self), "passed": not self.errors}, indent=2)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
