"""Where `care-bridge restore` computes: in this process, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from care_bridge.runtime.file_restoring import Way


@contextmanager
def way_of(cluster: str | None) -> Iterator[Way]:
    """The way to restore a file: on the cluster of this address (see `cluster.connection`), or,
    without one, in this process. Raises the errors of `connect`."""
    if cluster is None:
        from care_bridge.runtime.file_restoring import restore_in_this_process

        yield restore_in_this_process
        return
    from care_bridge.cluster.connection import connect
    from care_bridge.cluster.restoring import restore_on_cluster

    with connect(cluster) as client:
        yield partial(restore_on_cluster, client)
