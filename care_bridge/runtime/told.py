"""What is logged of the files of a run: with their names, and what holds for all of them once."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

_SUBJECT = "told_once"

log = logging.getLogger("care_bridge")


def once(subject: str) -> Mapping[str, str]:
    """The `extra` of a line that says the same of most files of a run, so that it is told of the
    first one alone. Lines of one `subject` are the same."""
    return {_SUBJECT: subject}


@contextmanager
def naming(file: str, told: set[str]) -> Iterator[None]:
    """Begin what is logged of a file with its name. told: the subjects that were told of once in
    this run, to which those of this file are added."""

    def prefix(record: logging.LogRecord) -> bool:
        subject = getattr(record, _SUBJECT, None)
        if subject in told:
            return False
        if subject:
            told.add(subject)
        record.msg, record.args = f"{file}: {record.getMessage()}", ()
        return True

    log.addFilter(prefix)
    try:
        yield
    finally:
        log.removeFilter(prefix)
