"""What a check of a package found."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import Literal

Severity = Literal["error", "warning", "note", "ok"]


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. what: what was seen. remedy: what to do, "" where it is fine.

    rule: which one was broken, by its id. consumers: whose rule it is; () for care_bridge's own.
    mendable: whether `mend_package` may be able to mend it. An "error" breaks something: a consumer
    refuses the package or computes something else; a "warning" is worse than it could be; a "note"
    says what cannot be done with the package, which need not be wrong.
    """

    severity: Severity
    what: str
    remedy: str = ""
    rule: str = ""
    consumers: tuple[str, ...] = ()
    mendable: bool = False

    def line(self) -> str:
        """The finding as a line of text."""
        whose = f"{' and '.join(self.consumers)}: " if self.consumers else ""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"{self.severity:<8}{whose}{self.what}{remedy}"


@dataclass(frozen=True)
class CheckReport:
    """The findings on the package at `source`, in the order in which they were checked."""

    source: str
    findings: tuple[Finding, ...]

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the package unusable somewhere, or its results wrong."""
        return self._of("error")

    @property
    def is_clean(self) -> bool:
        """Is there neither an error nor a warning?"""
        return not self.errors and not self._of("warning")

    def text(self) -> str:
        """A line for each finding, and one that sums them up."""
        verdict = "fails" if self.errors else "passes"
        counts = [_count(len(self._of(kind)), kind) for kind in ("error", "warning", "note")]
        mendable = sum(finding.mendable for finding in self.findings)
        hint = f"; --fix may mend {mendable}" if mendable else ""
        lines = [finding.line() for finding in self.findings]
        return "\n".join([*lines, f"{self.source} {verdict}: {', '.join(counts)}{hint}"])

    def json(self) -> str:
        """The report as JSON: source, passed, findings."""
        return json.dumps({**asdict(self), "passed": not self.errors}, indent=2)

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
