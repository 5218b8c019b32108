"""A rule that some consumer of packages has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

from care_bridge.errors import PackageError
from care_bridge.package.consumers.draft import Draft

CORE = "bioimageio.core"
OLD_CORE = "bioimageio.core 0.9 to 0.10"
DEEPIMAGEJ = "deepImageJ"
ILASTIK = "ilastik"
ZOO = "bioimage.io's upload"
CONSUMERS = (CORE, OLD_CORE, DEEPIMAGEJ, ILASTIK, ZOO)
"""Who has rules, besides care_bridge itself."""

Severity = Literal["error", "warning", "cannot", "note"]


@dataclass(frozen=True)
class Rule:
    """What some `consumers` ask of packages.

    severity: "error" where they refuse a package that breaks the rule, or compute something else;
    "warning" where they are worse off; "cannot" where they cannot use such a package, which need
    not be wrong; "note" what is worth knowing. breaches: what breaks the rule, a line each. remedy:
    what people are to do. mend: change the draft so that the rule holds, as far as that can be done
    from the package alone; None: it cannot.
    """

    id: str
    consumers: tuple[str, ...]
    severity: Severity
    breaches: Callable[[Draft], Iterator[str]]
    remedy: str
    mend: Callable[[Draft], None] | None = None

    def mended(self, draft: Draft) -> tuple[Draft, tuple[str, ...]]:
        """The mended draft, a copy, and the breaches that it no longer has; the draft itself and ()
        where mending it takes none away."""
        broken = tuple(self.breaches(draft)) if self.mend else ()
        if not self.mend or not broken:
            return draft, ()
        mended = draft.copy()
        try:
            self.mend(mended)
        except PackageError:  # a file that is missing is told by the check of the files
            return draft, ()
        left = tuple(self.breaches(mended))
        # Of a value that is still wrong the breach has other words.
        if len(left) >= len(broken):
            return draft, ()
        return mended, tuple(breach for breach in broken if breach not in left)
