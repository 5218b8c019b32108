"""Restoring an image file into another, piece by piece, in this process."""

from __future__ import annotations

import dataclasses
import shutil
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

from care_bridge.atomic import partial_beside
from care_bridge.errors import ImageError, OutOfMemoryError
from care_bridge.images import Storage, create_image, open_source, sink_memory
from care_bridge.images.image import ImageInfo
from care_bridge.images.source import ImageSink, ImageSource
from care_bridge.normalization import Scale, ScaleRange
from care_bridge.runtime.plan import Plan
from care_bridge.runtime.progress import Progress
from care_bridge.runtime.rescaling import fit_to_truth, rescale
from care_bridge.runtime.restorer import Restorer
from care_bridge.runtime.result_type import result_type
from care_bridge.runtime.uncertainty import Uncertainty


@dataclass(frozen=True)
class FileTask:
    """The image file to restore, the one to write and how, the one whose grey levels the result is
    to have (None: it keeps its own), and the one to write of its uncertainty, if any, and how."""

    source: Path
    target: Path
    storage: Storage
    rescale_to: Path | None = None
    uncertainty: tuple[Path, Storage] | None = None


@dataclass(frozen=True)
class Outcome:
    """What was done: the plan by which, and the result."""

    plan: Plan
    result: ImageInfo


# How a file is restored: begin is called before the first thing is written.
Way = Callable[[Restorer, FileTask, Callable[[], None], Progress], Outcome]


def restore_in_this_process(
    restorer: Restorer,
    task: FileTask,
    begin: Callable[[], None],
    progress: Progress,
    reading: Progress | None = None,
) -> Outcome:
    """Restore a file; the result appears whole or not at all, and after what tells its
    uncertainty. reading: called while the image's grey levels are read, before `begin`."""
    try:
        with open_source(task.source, restorer.options.axes) as source:
            if task.rescale_to is not None:
                return _restore_rescaled(
                    restorer, task, source, task.rescale_to, begin, progress, reading
                )
            plan = plan_file(restorer, task, source, reading)
            begin()
            with (
                create_image(plan.info, task.target, task.storage) as sink,
                _created(plan.uncertainty, task.uncertainty) as beside,
            ):
                restorer.restore(source, plan, sink, progress, beside)
            return Outcome(plan, plan.info)
    except MemoryError as error:
        raise OutOfMemoryError(
            f"{task.source} and its result do not fit into memory: free some memory, or give a "
            "smaller tile",
            {},
        ) from error


def plan_file(
    restorer: Restorer, task: FileTask, source: ImageSource, reading: Progress | None = None
) -> Plan:
    """What will be done to the image of `source`, the file of `task`; errors of `Restorer.plan`,
    whose progress `reading` is."""
    if task.rescale_to is not None:
        exact = dataclasses.replace(restorer.options, dtype="float32")
        restorer = restorer.with_options(exact)
    files = [(task.target, task.storage)] + ([task.uncertainty] if task.uncertainty else [])
    held = sum(sink_memory(source.info.container, *file) for file in files)
    return restorer.plan(source, progress=reading, sink=held)


def _restore_rescaled(
    restorer: Restorer,
    task: FileTask,
    source: ImageSource,
    truth_file: Path,
    begin: Callable[[], None],
    progress: Progress,
    reading: Progress | None,
) -> Outcome:
    """Restore in float32 into a hidden folder, then write that in the other image's levels."""
    options = restorer.options
    plan = plan_file(restorer, task, source, reading)
    staging = partial_beside(task.target)
    restored_file = staging / task.target.name
    exactly = Storage(task.storage.format)
    staged = (staging / task.uncertainty[0].name, exactly) if task.uncertainty else None
    with open_source(truth_file, options.axes) as truth:
        if truth.info.canonical_shape != plan.info.canonical_shape:
            raise ImageError(
                f"{truth_file} has the shape {truth.info.shape} ({truth.info.axes}), the result "
                f"to be rescaled to it {plan.info.shape} ({plan.info.axes}): they must show the "
                "same pixels"
            )
        begin()
        try:
            staging.mkdir(parents=True)
            with (
                create_image(plan.info, restored_file, exactly) as sink,
                _created(plan.uncertainty, staged) as beside,
            ):
                restorer.restore(source, plan, sink, progress, beside)
            with open_source(restored_file) as restored:
                fits = fit_to_truth(restored, truth)
                given = (truth if options.dtype == "auto" else source).info.dtype
                dtype = result_type(options.dtype, given, (), _levels(plan, fits))
                record = f"{_record(truth_file, fits)}, result {dtype}"
                info = plan.info.replace(dtype=dtype, history=(*plan.info.history, record))
                with (
                    create_image(info, task.target, task.storage) as sink,
                    _created(plan.uncertainty, task.uncertainty) as beside,
                ):
                    rescale(restored, fits, sink)
                    told = Uncertainty.of(restorer.package.spec, options)
                    if beside and told and staged:
                        with open_source(staged[0]) as uncertainty:
                            rescale(uncertainty, told.refitted(fits), beside)
        except OSError as error:
            raise ImageError(f"{task.target} cannot be written: {error.strerror}") from error
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    return Outcome(plan, info)


def _created(
    info: ImageInfo | None, file: tuple[Path, Storage] | None
) -> AbstractContextManager[ImageSink | None]:
    """The sink of what is told of the uncertainty, if anything is."""
    return create_image(info, *file) if info and file else nullcontext()


def _levels(plan: Plan, fits: tuple[Scale, ...]) -> list[Scale]:
    """What the network's 0 and 1 become in the end, in each channel of the result."""
    return [
        ScaleRange(
            gain=scale.gain * fit.gain,
            offset=scale.offset * fit.gain + fit.offset,
            lo=scale.offset * fit.gain + fit.offset,
            hi=(scale.offset + scale.span) * fit.gain + fit.offset,
        )
        for sample in plan.scales.all()
        for scale, fit in zip(sample.after, fits, strict=True)
    ]


def _record(truth_file: Path, fits: tuple[Scale, ...]) -> str:
    """A line for the image's history."""
    told = ", ".join(f"times {fit.gain:.6g} plus {fit.offset:.6g}" for fit in fits)
    return f"grey levels fitted to {truth_file.name}: {told}"
