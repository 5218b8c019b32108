"""Reading, computing and writing at the same time."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

Work = TypeVar("Work")
Loaded = TypeVar("Loaded")
Result = TypeVar("Result")


def overlapped(
    works: Iterable[Work],
    load: Callable[[Work], Loaded],
    compute: Callable[[Work, Loaded], Result],
    store: Callable[[Work, Result], None],
) -> Generator[Work]:
    """Do all works in their order, and give each one when it is computed.

    While one is computed, in the caller's thread, the next is loaded in a second one and the one
    before is stored in a third; so two loaded ones and two results are in memory at most. When the
    iterator ends, all are stored. An error in any of the three steps ends it.
    """
    with (
        ThreadPoolExecutor(1, "care_bridge-read") as reader,
        ThreadPoolExecutor(1, "care_bridge-write") as writer,
    ):
        storing: Future[None] | None = None
        for work, loaded in _ahead(works, load, reader):
            result = compute(work, loaded)
            del loaded
            if storing:
                storing.result()
            storing = writer.submit(store, work, result)
            del result
            yield work
        if storing:
            storing.result()


def _ahead(
    works: Iterable[Work], load: Callable[[Work], Loaded], reader: ThreadPoolExecutor
) -> Iterator[tuple[Work, Loaded]]:
    """Each work, loaded, while the one after it is being loaded."""
    last: tuple[Work, Future[Loaded]] | None = None
    for work in works:
        coming = work, reader.submit(load, work)
        if last:
            yield last[0], last[1].result()
        last = coming
    if last:
        yield last[0], last[1].result()
