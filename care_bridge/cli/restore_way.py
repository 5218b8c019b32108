"""Where `care-bridge restore` computes: in this process, or on the workers of a cluster."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from care_bridge.errors import ConfigError

if TYPE_CHECKING:
    from care_bridge.runtime.file_restoring import FileTask, Outcome, Way
    from care_bridge.runtime.restorer import Progress, Restorer


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
    from care_bridge.runtime.file_restoring import Outcome

    with connect(cluster) as client:

        def restore(
            restorer: Restorer, task: FileTask, begin: Callable[[], None], progress: Progress
        ) -> Outcome:
            if task.rescale_to is not None:
                raise ConfigError("a cluster does not rescale to another image: leave one out")
            begin()
            plan = restore_on_cluster(
                client, restorer, task.source, task.target, task.storage, progress
            )
            return Outcome(plan, plan.info)

        yield restore
