"""Restoring one image on the workers of a dask cluster, each region straight into one OME-Zarr.

All machines have to see the image, the result and the package under the same paths, and to have
the same version of care_bridge. The percentiles are taken once, by the client. A region's pixels
do not depend on who restores it, and each is written whole into chunks of its own; so one whose
worker was lost is done again by another.
"""

from __future__ import annotations

import dataclasses
import logging
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import care_bridge
from care_bridge.axes import CANONICAL
from care_bridge.cluster.regions import Region, cut_into_regions
from care_bridge.errors import CareBridgeError, ClusterError, ConfigError, ImageError
from care_bridge.images import open_source
from care_bridge.images.source import Box, ImageSink
from care_bridge.images.storage import ZARR_SUFFIX
from care_bridge.images.zarr_folder import discard
from care_bridge.images.zarr_sink import finish_zarr, open_for_regions, prepare_zarr
from care_bridge.package.package import load_package
from care_bridge.runtime.file_restoring import FileTask, Outcome, plan_file
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.plan import Plan
from care_bridge.runtime.planner import automatic_memory
from care_bridge.runtime.progress import Progress
from care_bridge.runtime.restorer import Restorer

if TYPE_CHECKING:
    from distributed import Client, Future

# The engine uses all of a worker's cores: a second region at the same time would gain nothing
# and need its memory again.
_one_region_at_a_time = threading.Lock()
_LAST_TILE_SECONDS = 60.0

log = logging.getLogger("care_bridge")


@dataclass(frozen=True)
class ClusterJob:
    """What a worker needs to know of the image that it restores regions of; `partial` is where
    the result is until it is whole."""

    source: Path
    target: Path
    partial: Path
    package: Path
    rdf_sha256: str
    options: RestoreOptions
    plan: Plan
    version: str = care_bridge.__version__


def restore_on_cluster(
    client: Client,
    restorer: Restorer,
    task: FileTask,
    begin: Callable[[], None],
    progress: Progress,
) -> Outcome:
    """Restore an image file into an OME-Zarr, whole or not at all: a `Way` once it has a client.

    `progress` is called with the regions done and all regions. Raises ImageError where the target
    is no OME-Zarr or cannot be written, ClusterError where the workers cannot do it, and what
    `Restorer.plan` raises.
    """
    if task.rescale_to is not None:
        raise ConfigError(
            "rescale_to needs the whole result, which no worker has: leave it out, or restore "
            "without a cluster"
        )
    if task.uncertainty is not None:
        raise ConfigError(
            "uncertainty is a second image, and workers write one: restore without a cluster"
        )
    if restorer.package.spec.placement:
        raise ConfigError(
            f"the result of {restorer.package.spec.name} has another size than the image, and its "
            "regions cannot be told to workers: restore without a cluster"
        )
    if not task.target.name.lower().endswith(ZARR_SUFFIX):
        raise ImageError(
            f"{task.target} cannot be written by several workers: use format zarr, or a name in "
            f"{ZARR_SUFFIX}"
        )
    options = dataclasses.replace(restorer.options, memory=_share_of_memory(client, restorer))
    with open_source(task.source, options.axes) as image:
        plan = plan_file(restorer.with_options(options), task, image)
    package, target = restorer.package, task.target.absolute()
    restorer.tell_device()
    begin()
    partial = prepare_zarr(plan.info, target, task.storage)
    job = ClusterJob(
        task.source.absolute(),
        target,
        partial,
        package.source.absolute(),
        package.spec.rdf_sha256,
        options,
        plan,
    )
    try:
        with open_for_regions(partial, target) as sink:
            regions = cut_into_regions(plan.info, sink.pieces, plan.grid)
        _run(client, job, regions, progress)
        finish_zarr(plan.info, partial, target, task.storage)
    finally:
        discard(partial)
    return Outcome(plan, plan.info)


def _share_of_memory(client: Client, restorer: Restorer) -> int | None:
    """What each of a machine's workers may use of the memory that the machine has for them."""
    most = restorer.options.memory
    if restorer.device != "cpu" and most is None:
        return None
    hosts = Counter(worker["host"] for worker in client.scheduler_info()["workers"].values())
    return (most or automatic_memory()) // max(hosts.values())


def _run(client: Client, job: ClusterJob, regions: list[Region], progress: Progress) -> None:
    from distributed import CancelledError, KilledWorker, as_completed

    # A task's result, unlike scattered data, is made anew when the worker that holds it is lost.
    shared = client.submit(_known_to_workers, job, pure=False)
    futures = [client.submit(restore_region, shared, region, pure=False) for region in regions]
    workers = set(client.nthreads())
    with ExitStack() as undo:
        undo.callback(_give_up, client, job, futures)
        try:
            for done, future in enumerate(as_completed(futures, loop=client.loop), 1):
                future.result()
                future.release()  # or it would be done again when its worker is lost
                progress(done, len(futures))
                workers = _tell_lost(client, workers, job)
        except KilledWorker as error:
            raise ClusterError(
                f"workers were lost again and again while they restored {job.source.name}: look "
                "into their logs; if their memory ran out, give a smaller --memory"
            ) from error
        except CancelledError as error:
            raise ClusterError(
                "the cluster's scheduler was lost: start it again, and the same command"
            ) from error
        undo.pop_all()


def _tell_lost(client: Client, workers: set[str], job: ClusterJob) -> set[str]:
    """Say which of the workers (by address) are no more; those that are there now."""
    try:
        present = set(client.nthreads())
    except OSError:  # the scheduler is lost: the next region never comes, which is told as that
        return workers
    for worker in sorted(workers - present):
        log.warning(
            "the worker %s was lost: the part of %s that it was restoring is done again",
            worker,
            job.source.name,
        )
    return present


def _give_up(client: Client, job: ClusterJob, futures: Sequence[Future[None]]) -> None:
    """Take back what has not begun; what has finds its result gone at the next tile, and is waited
    for, so that no worker computes for nobody."""
    discard(job.partial)
    if client.status == "running":
        client.cancel(futures)
        client.run(_wait_for_the_region)


def _wait_for_the_region() -> None:
    """Runs on a worker beside what it computes."""
    if _one_region_at_a_time.acquire(timeout=_LAST_TILE_SECONDS):
        _one_region_at_a_time.release()


def _known_to_workers(job: ClusterJob) -> ClusterJob:
    return job


def restore_region(job: ClusterJob, region: Region) -> None:
    """Restore one region; runs on a worker. ClusterError where it cannot."""
    if care_bridge.__version__ != job.version:
        raise ClusterError(
            f"a worker has care_bridge {care_bridge.__version__}, the client {job.version}: "
            "install the same version on all machines"
        )
    try:
        with (
            _one_region_at_a_time,
            open_source(job.source, job.options.axes) as source,
            open_for_regions(job.partial, job.target) as sink,
        ):
            options = job.options
            model = _load(
                job.package, job.rdf_sha256, options.device, options.precision, options.memory
            )
            restorer = model.with_options(options)
            restorer.restore(source, job.plan.part(region), _RegionSink(sink, region, job))
    except CareBridgeError as error:
        # Not every error of ours survives the way to the client.
        raise ClusterError(f"a worker failed: {error}") from None


class _RegionSink:
    """A region of a larger sink, as one of its own."""

    def __init__(self, sink: ImageSink, region: Region, job: ClusterJob) -> None:
        self.info = sink.info
        self.memory = sink.memory
        self._sink = sink
        self._region = region
        self._job = job

    def write(self, box: Box, pixels: NDArray[np.generic]) -> None:
        """Take the pixels of a box of the region. ImageError where the client gave up."""
        if not self._job.partial.exists():  # writing would make a part of it again
            raise ImageError(f"{self._job.target} was given up")
        starts = [self._region[axis].start if axis in self._region else 0 for axis in CANONICAL]
        moved = [
            slice(bounds.start + start, bounds.stop + start)
            for bounds, start in zip(box, starts, strict=True)
        ]
        self._sink.write(tuple(moved), pixels)


@lru_cache(maxsize=1)
def _load(
    package: Path, rdf_sha256: str, device: str, precision: str, memory: int | None
) -> Restorer:
    """This worker's model, loaded once."""
    loaded = load_package(package)
    if loaded.spec.rdf_sha256 != rdf_sha256:
        raise ClusterError(
            f"{package} is another package on a worker than on the client: keep it where all "
            "machines see it under the same path"
        )
    return Restorer(loaded, RestoreOptions(device=device, precision=precision, memory=memory))
