"""What care_bridge logs, in ImageJ's Log window."""

from __future__ import annotations

import logging

from jpype import JClass, isJVMStarted


class _LogWindow(logging.Handler):
    """Writes into the Log while ImageJ's window is shown; without one the Log would be stdout."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line."""
        if isJVMStarted() and JClass("ij.IJ").getInstance() is not None:
            JClass("ij.IJ").log(self.format(record))


def log_in_window() -> None:
    """Write what care_bridge logs into the Log, too: what is computed on, warnings, and why files
    of a batch failed."""
    log = logging.getLogger("care_bridge")
    log.addHandler(_LogWindow())
    if log.level == logging.NOTSET:
        log.setLevel(logging.INFO)
