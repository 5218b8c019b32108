"""What restoring files would do, without writing anything: how, with how much memory, how long."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from care_bridge.errors import CareBridgeError
from care_bridge.images import open_source
from care_bridge.images.image import ImageInfo
from care_bridge.package.package import Package, load_package
from care_bridge.runtime.batch import BatchWork, over_dataset, sort_jobs
from care_bridge.runtime.blocks import blocks
from care_bridge.runtime.file_restoring import FileTask, plan_file
from care_bridge.runtime.jobs import Job, Output, check_jobs, find_jobs, records_of
from care_bridge.runtime.manifest import Recipe
from care_bridge.runtime.one_file import name_file
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.plan import Plan
from care_bridge.runtime.restorer import Restorer
from care_bridge.runtime.told import naming

# The time of a tile is measured on one of at most so many pixels.
_MEASURED_PIXELS = 1 << 18


@dataclass(frozen=True)
class Forecast:
    """What restoring one file would do: `info` is the image, `plan` what would be done to it in
    `tiles` tiles, and `seconds` about how long the engine would compute."""

    job: Job
    info: ImageInfo
    plan: Plan
    tiles: int
    seconds: float


@dataclass(frozen=True)
class Foreseen:
    """What a batch has to do and what is done already, on which device; and, as they are asked for,
    a forecast of each file to be restored, or why it would fail."""

    work: BatchWork
    device: str
    forecasts: Iterator[tuple[Job, Forecast | CareBridgeError]]


def forecast_files(
    sources: Sequence[str | Path],
    package: Package | str | Path,
    out: Path,
    options: RestoreOptions,
) -> Foreseen:
    """What `restore_files` with these arguments would do; its errors, where it would do nothing.

    Images are read once each, as for restoring them, for their percentiles and for what is wrong
    with them.
    """
    output = Output.of(out)
    records = records_of(output)
    jobs = find_jobs(sources, output, options, records)
    check_jobs(jobs, options.storage)
    package = package if isinstance(package, Package) else load_package(package)
    recipe = Recipe.of(package.spec, options)
    work = sort_jobs(jobs, output, records, recipe, options)
    restorer = over_dataset(Restorer(package, options), (*work.jobs, *work.done))
    return Foreseen(work, restorer.device, _forecasts(restorer, work))


def _forecasts(
    restorer: Restorer, work: BatchWork
) -> Iterator[tuple[Job, Forecast | CareBridgeError]]:
    seconds_per_pixel: float | None = None
    told: set[str] = set()
    for job in work.jobs:
        try:
            with (
                open_source(job.source, restorer.options.axes) as source,
                naming(job.source.name, told),
            ):
                storage = restorer.options.storage
                task = FileTask(job.source, job.target, storage, job.rescale_to)
                plan, info = plan_file(restorer, task, source), source.info
                if seconds_per_pixel is None:
                    seconds_per_pixel = _measure(restorer, plan)
        except CareBridgeError as error:
            name_file(error, job)
            yield job, error
            continue
        spec = restorer.package.spec
        parts = sum(1 for _ in blocks(spec, len(plan.channels), plan.window))
        tiles = parts * len(plan.grid)
        computed = tiles * math.prod(plan.grid.tile.values())
        yield job, Forecast(job, info, plan, tiles, computed * seconds_per_pixel)


def _measure(restorer: Restorer, plan: Plan) -> float:
    """Seconds that the engine takes for a pixel of a tile, measured on one like the plan's, or a
    smaller one: the second of two runs, as the first one sets things up."""
    spec = restorer.package.spec
    tile = dict(plan.grid.tile)
    for axis in ("Y", "X"):
        limits = plan.grid.limits[axis]
        while math.prod(tile.values()) > _MEASURED_PIXELS and tile[axis] > limits.smallest_tile:
            half = limits.min + (tile[axis] // 2 - limits.min) // limits.step * limits.step
            tile[axis] = max(half, limits.smallest_tile)
    depth = plan.window["Z"]
    sizes = {"B": 1, "Z": depth.stop - depth.start, **tile}
    pixels, runs = math.prod(tile.values()), 1
    if spec.procedure.combination:
        # Each voxel lies in a plane Z x X and in one Z x Y, which cost about the same.
        sizes["Y"], pixels, runs = tile["Z"], tile["Z"] * tile["X"], 2
    tensors = [
        np.zeros([{**sizes, "C": len(each.channel_names)}[axis] for axis in each.axes], np.float32)
        for each in spec.input_tensors
    ]
    restorer.session.run(*tensors)
    started = time.perf_counter()
    restorer.session.run(*tensors)
    return runs * (time.perf_counter() - started) / pixels
