"""Reaching the workers: those of a cluster that runs already, or processes of this machine."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from care_bridge.errors import ClusterError, ConfigError, MissingExtraError

if TYPE_CHECKING:
    from distributed import Client

_LOCAL = "local"
_PATIENCE = "60s"


@contextmanager
def connect(address: str) -> Iterator[Client]:
    """A client of the cluster at `address`: a scheduler's, like tcp://host:8786, or "local:N" for
    N processes on this machine ("local": 2).

    ConfigError where `address` is neither, ClusterError where nobody answers or no worker comes
    within a minute, MissingExtraError without the extra cluster.
    """
    try:
        from distributed import Client, LocalCluster
    except ImportError as error:
        raise MissingExtraError("restoring on a cluster", "cluster") from error
    with ExitStack() as stack:
        where: str | LocalCluster = address
        if address.partition(":")[0] == _LOCAL:
            stack.enter_context(_environment_kept())
            where = stack.enter_context(
                LocalCluster(
                    n_workers=_local_workers(address),
                    threads_per_worker=1,
                    dashboard_address=":0",
                    memory_limit=0,  # the plan of the tiles keeps to the memory
                    silence_logs=logging.ERROR,  # lost workers are told by this package
                )
            )
        try:
            client = stack.enter_context(Client(where, timeout=_PATIENCE, set_as_default=False))
            client.wait_for_workers(1, timeout=_PATIENCE)
        except (OSError, TimeoutError, ValueError) as error:
            reason = " ".join(str(error).split()) or "no worker came within a minute"
            raise ClusterError(
                f"the cluster {address} cannot be used ({reason}): give its scheduler's address, "
                "like tcp://host:8786, or local"
            ) from error
        yield client


@contextmanager
def _environment_kept() -> Iterator[None]:
    """The environment's variables as they were, at the end: dask sets its workers' (one OpenMP
    thread, among others) in its own process, where children of later would inherit them."""
    before = dict(os.environ)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


def _local_workers(address: str) -> int:
    _, colon, count = address.partition(":")
    if colon and not (count.isdecimal() and int(count) > 0):
        raise ConfigError(f'cluster "{address}" cannot be read: use local:NUMBER, e.g. local:4')
    return int(count or 2)
