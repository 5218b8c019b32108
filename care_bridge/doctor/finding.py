"""What the doctor finds: a line each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warning", "missing"]


@dataclass(frozen=True)
class Finding:
    """Something that was looked at. advice: what to do, empty where nothing is. needed: without it
    no image can be restored."""

    about: str
    state: State
    text: str
    advice: str = ""
    needed: bool = False

    def line(self) -> str:
        """For people."""
        advice = f": {self.advice}" if self.advice else ""
        return f"{self.state:8}{self.about:16}{self.text}{advice}"
