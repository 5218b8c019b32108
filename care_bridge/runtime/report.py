"""What a check of a package found."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from care_bridge.errors import (
    CareBridgeError,
    ConfigError,
    DeviceError,
    MissingExtraError,
    OutOfMemoryError,
    PackageHashError,
    PackageIntegrityError,
    PackageNotRunError,
    TilingError,
)
from care_bridge.package.consumers.rule import CONSUMERS, CORE, OLD_CORE
from care_bridge.package.consumers.rule import Severity as RuleSeverity

CARE_BRIDGE = "care_bridge"
JUDGES = (CARE_BRIDGE, *CONSUMERS)
"""For whom a package is judged."""

Severity = RuleSeverity | Literal["ok"]

_HASHES, _OPENS, _REFUSED, _RUN_HERE = "hashes", "opens", "refused", "run-here"
_OF_ALL = (_HASHES, "test-tensors", _OPENS, _REFUSED)
"""Rules of care_bridge that tell of a wrong package, whoever uses it."""
STOPS = frozenset((_HASHES, _OPENS, _REFUSED, _RUN_HERE))
"""Rules of errors that end a check before all was looked at."""
_OF_THIS_PLACE = (
    PackageNotRunError,
    TilingError,
    OutOfMemoryError,
    DeviceError,
    MissingExtraError,
)
"""Errors that say nothing of what others make of a package."""


@dataclass(frozen=True)
class Finding:
    """One thing that was checked. what: what was seen. remedy: what to do, "" where it is fine.

    rule: which one was broken, by its id. consumers: whose rule it is; () for care_bridge's own.
    mendable: whether `mend_package` may be able to mend it. An "error" breaks something: a consumer
    refuses the package or computes something else; a "warning" is worse than it could be; "cannot"
    says who cannot use the package, which need not be wrong; a "note" is worth knowing.
    """

    severity: Severity
    what: str
    remedy: str = ""
    rule: str = ""
    consumers: tuple[str, ...] = ()
    mendable: bool = False

    def line(self) -> str:
        """The finding as a line of text."""
        whose = f"{', '.join(self.consumers)}: " if self.consumers else ""
        remedy = f": {self.remedy}" if self.remedy else ""
        return f"{self.severity:<8}{whose}{self.what}{remedy}"

    def concerns(self, judge: str) -> bool:
        """Whether it counts for one of JUDGES."""
        if not self.consumers:
            return judge == CARE_BRIDGE or self.rule in _OF_ALL
        return judge in self.consumers or (judge == OLD_CORE and CORE in self.consumers)


def stopped_by(error: CareBridgeError) -> Finding:
    """The finding of a check that an error ended.

    The package is wrong for everybody ("opens", or "hashes" of a file that is another one), unless
    the error is one of what care_bridge runs, or of this computer ("run-here"). What it refuses to
    look at, since it may do harm, it cannot judge for others, and does not pass ("refused").
    """
    rule = _OPENS
    if isinstance(error, _OF_THIS_PLACE):
        rule = _RUN_HERE
    elif isinstance(error, PackageHashError):
        rule = _HASHES
    elif isinstance(error, PackageIntegrityError):
        rule = _REFUSED
    return Finding("error", str(error), rule=rule)


@dataclass(frozen=True)
class CheckReport:
    """The findings on the package at `source`, in the order in which they were checked, and the
    `judges` whom they concern."""

    source: str
    findings: tuple[Finding, ...]
    judges: tuple[str, ...] = JUDGES

    @property
    def errors(self) -> tuple[Finding, ...]:
        """The findings that make the package unusable somewhere, or its results wrong."""
        return self._of("error")

    def limited(self, judges: Sequence[str]) -> CheckReport:
        """Only what concerns these of JUDGES."""
        kept = (each for each in self.findings if any(map(each.concerns, judges)))
        return dataclasses.replace(self, findings=tuple(kept), judges=tuple(judges))

    def summary(self) -> dict[str, str]:
        """What each judge makes of the package, in some words."""
        return {judge: self._summary_for(judge) for judge in self.judges}

    def _summary_for(self, judge: str) -> str:
        found = [each for each in self.findings if each.concerns(judge)]
        if judge != CARE_BRIDGE and any(each.rule == _REFUSED for each in found):
            return "not looked at"
        said = []
        for severity in ("error", "warning", "cannot", "note"):
            of_it = [each for each in found if each.severity == severity]
            if of_it:
                rules = ", ".join(dict.fromkeys(each.rule for each in of_it if each.rule))
                words = severity if severity == "cannot" else _count(len(of_it), severity)
                said.append(f"{words} ({rules})" if rules else words)
        return ", ".join(said) or ("runs" if judge == CARE_BRIDGE else "fine")

    def text(self) -> str:
        """A line for each finding, one with the summary, and one with the verdict."""
        verdict = "fails" if self.errors else "passes"
        counts = [_count(len(self._of(kind)), kind) for kind in ("error", "warning", "note")]
        mendable = sum(finding.mendable for finding in self.findings)
        hint = f"; --fix may mend {mendable}" if mendable else ""
        lines = [finding.line() for finding in self.findings]
        summary = "; ".join(f"{judge}: {words}" for judge, words in self.summary().items())
        return "\n".join([*lines, summary, f"{self.source} {verdict}: {', '.join(counts)}{hint}"])

    def json(self) -> str:
        """The report as JSON: source, passed, summary, findings."""
        told = {
            "source": self.source,
            "passed": not self.errors,
            "summary": self.summary(),
            "findings": [asdict(finding) for finding in self.findings],
        }
        return json.dumps(told, indent=2)

    def _of(self, severity: Severity) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.severity == severity)


def judges_of(text: str) -> tuple[str, ...]:
    """Those of JUDGES that `text` names, divided by commas, capitals or not; ConfigError where it
    names another."""
    known = {judge.casefold(): judge for judge in JUDGES}
    asked = [name.strip() for name in text.split(",")]
    for name in asked:
        if name.casefold() not in known:
            raise ConfigError(
                f'no package is judged for "{name}": give some of {", ".join(JUDGES)}, divided by '
                "commas"
            )
    return tuple(known[name.casefold()] for name in asked)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'s' * (number != 1)}"
