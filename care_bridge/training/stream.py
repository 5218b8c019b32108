"""Batches made ahead of time, so that the network does not wait for them."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator
from concurrent.futures import Future, ThreadPoolExecutor

from care_bridge.training.patches import Batch

_AHEAD = 4
_THREADS = 2


def stream(batch: Callable[[int], Batch], first: int, stop: int) -> Generator[Batch, None, None]:
    """batch(first), …, batch(stop - 1) in this order, a few of them made in background threads."""
    with ThreadPoolExecutor(_THREADS, "patches") as pool:
        waiting: deque[Future[Batch]] = deque()
        try:
            for k in range(first, stop):
                waiting.append(pool.submit(batch, k))
                if len(waiting) > _AHEAD:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=True, cancel_futures=True)
