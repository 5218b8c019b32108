"""The task "isotropic": slices of a volume teach what its planes across Z should look like.

Microscopes resolve less along Z, and slices lie farther apart than pixels. A slice degraded along Y
as the microscope degrades along Z (slices.py) looks like a plane across Z and has its truth: the
slice itself (Weigert et al., MICCAI 2017 and Nature Methods 2018). Structures must look alike from
all sides.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import TrainingError
from care_bridge.images.image import ImageInfo
from care_bridge.training.config import TrainConfig
from care_bridge.training.dataset import Dataset, open_dataset
from care_bridge.training.layouts.fields import View
from care_bridge.training.losses import LOSSES
from care_bridge.training.pixels import saved
from care_bridge.training.slices import degraded, pixel_size, slice_kernel, zoom_factor
from care_bridge.training.stacks import Stack
from care_bridge.training.task import Task, make_task
from care_bridge.training.views import open_view

log = logging.getLogger(__name__)

_NOISE = 2
_SAME_SIZE = 0.01  # factors and pixel sizes
_LEAST_SLICES = 4  # in a patch: of fewer no structure can be made out


def prepare(data: Path, config: TrainConfig, scratch: Path) -> Task:
    """The volumes in `data` made ready for the trainer. Their pixels, and those of the degraded
    slices, are kept in the folder `scratch` while training goes on. TrainingError where the data
    cannot be trained on."""
    volumes = open_dataset(data, config, scratch)
    infos = _infos(volumes)
    config = _with_factor(volumes.config, infos)
    kernel = slice_kernel(config.isotropic, _pixel_size(config, infos), next(iter(infos)).name)
    if kernel is None:
        log.warning(
            "no point spread function was given: the restored planes keep the blur along Z, and "
            "may show artefacts; set isotropic.psf, or isotropic.numerical_aperture and "
            "isotropic.wavelength"
        )
    training, validation = (
        tuple(_as_planes(stacks, config, kernel, scratch / side))
        for stacks, side in ((volumes.training, "training"), (volumes.validation, "validation"))
    )
    dataset = dataclasses.replace(volumes, config=config, training=training, validation=validation)
    held_out = dataset.validation_patches()
    task = make_task(
        dataset,
        LOSSES[config.training.loss],
        batch=dataset.training_patches().batch,
        validation=held_out.batch,
        example=held_out.foregrounds[len(held_out.foregrounds) // 2],
        whole_targets=True,
    )
    if kernel is None:
        return task
    told = hashlib.blake2b(kernel.tobytes()).hexdigest()
    return dataclasses.replace(task, files={**task.files, "point spread function": told})


def _infos(volumes: Dataset) -> dict[View, ImageInfo]:
    """What each volume is; TrainingError where one has no slices."""
    found = {}
    for field in volumes.pairing.fields:
        for view in field.sources:
            with open_view(view) as source:
                found[view] = source.info
            if found[view].sizes.get("Z", 1) == 1:
                raise TrainingError(
                    f"{view.path} has axes {found[view].axes} and no slices: the task isotropic "
                    "learns from volumes (data.axes names the axes of plain TIFF files)"
                )
    return found


def _pixel_size(config: TrainConfig, infos: Mapping[View, ImageInfo]) -> float | None:
    """The pixels of all volumes that tell their size, micrometres; None where none does.
    TrainingError where they differ and there is a blur, which is that of one size."""
    told = {view: size for view, info in infos.items() if (size := pixel_size(info.calibration))}
    if not told:
        return None
    first, wanted = next(iter(told.items()))
    if config.isotropic.psf or config.isotropic.numerical_aperture:
        for view, size in told.items():
            if abs(size / wanted - 1) > _SAME_SIZE:
                raise TrainingError(
                    f"the pixels of {view.name} are {size:.4g} micrometres large, those of "
                    f"{first.name} {wanted:.4g}, and the blur is computed for one size: train on "
                    "volumes of one pixel size, or resample the others to it"
                )
    return wanted


def _with_factor(config: TrainConfig, infos: Mapping[View, ImageInfo]) -> TrainConfig:
    """The configuration with the factor of all volumes; TrainingError where they differ, or a patch
    would hold next to no slices."""
    views = list(infos)
    factors = [
        zoom_factor(config.isotropic, info.calibration, view.name) for view, info in infos.items()
    ]
    for view, factor in zip(views, factors, strict=True):
        if abs(factor / factors[0] - 1) > _SAME_SIZE:
            raise TrainingError(
                f"the z step of {view.name} is {factor:.4g} pixels, that of "
                f"{views[0].name} {factors[0]:.4g}: train on volumes of one sampling, or "
                "set isotropic.factor"
            )
    rows = (config.patches.size or ())[0]
    if rows / factors[0] < _LEAST_SLICES:
        raise TrainingError(
            f"slices {factors[0]:.4g} pixels apart leave {rows / factors[0]:.2g} of them in a "
            f"patch of {rows} pixels, at least {_LEAST_SLICES} are needed: set isotropic.factor if "
            "they lie nearer, or a larger patches.size"
        )
    log.info("slices are degraded by a factor of %.4g", factors[0])
    isotropic = config.isotropic.model_copy(update={"factor": factors[0]})
    return config.model_copy(update={"isotropic": isotropic})


def _as_planes(
    stacks: Sequence[Stack], config: TrainConfig, kernel: NDArray[np.float32] | None, folder: Path
) -> Iterator[Stack]:
    """Each slice degraded along Y, and degraded along X with its axes exchanged."""
    folder.mkdir(parents=True, exist_ok=True)
    patch = config.patches.size or ()
    factor = config.isotropic.factor or 1.0
    for number, stack in enumerate(stacks):
        for turned in (False, True):
            target = stack.target.turned() if turned else stack.target
            if any(size < pixels for size, pixels in zip(target.shape[1:], patch, strict=True)):
                continue
            generator = np.random.default_rng([config.seed, _NOISE, number, turned])
            source = degraded(target.whole(), kernel, factor, config.isotropic.noise, generator)
            kept = saved(source, "CYX", folder / f"{number}{'-turned' * turned}")
            yield dataclasses.replace(stack, source=kept, target=target)
