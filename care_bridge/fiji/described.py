"""What the commands are called, what they can be given and what is refused: no Java is needed.

The commands in a Fiji that Python has opened and those that call the command line share it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import product
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from care_bridge.errors import ConfigError, FijiError
from care_bridge.fiji.parameters import (
    Check,
    Command,
    Parameter,
    Run,
    restore_options,
    restoring,
)
from care_bridge.fiji.sessions import model_parameter
from care_bridge.images import is_image_name
from care_bridge.images.image import Image, ImageInfo
from care_bridge.package.store import bundled_models, find_package

RESTORE = "CARE Restore"
BATCH = "CARE Batch Restore"
PREVIEW = "CARE Preview"
EVALUATE = "CARE Evaluate"
CHECK = "CARE Check Model"
MODELS = "CARE Models"
EXTENSIONS = "CARE Macro Extensions"

ABOUT: Mapping[str, str] = {
    RESTORE: "Restores the active image, or the rectangle that is selected in it.",
    BATCH: "Restores the images of a folder into another folder.",
    PREVIEW: "Shows the selected rectangle under several models or percentiles, side by side.",
    EVALUATE: "Compares an image with the truth: the figures go into the Results table.",
    CHECK: "Checks a model package: its files, its test images, its tiles.",
    MODELS: "Lists the models that are kept here; a package may be added to them before.",
    EXTENSIONS: "Makes a macro know the functions Ext.CARE_….",
}

GONE = (
    "the image was closed while it was restored, so that there is nothing to replace: keep it "
    "open, or use result=new"
)
RESULTS = ("new", "replace", "composite")
SUFFIX = "_restored"
COLUMNS = {
    "PSNR": "psnr",
    "SSIM": "ssim",
    "NRMSE": "nrmse",
    "plain PSNR": "plain_psnr",
    "plain SSIM": "plain_ssim",
    "plain NRMSE": "plain_nrmse",
}

_BETWEEN = ";"
_NOT_IN_PREVIEW = (
    "percentile_low",
    "percentile_high",
    "with_raw",
    "uncertainty",
    "confidence",
    "samples",
)
_SIDE = 256
LABEL_PLACE = 4
_MAGENTA, _GREEN = (1, 0, 1), (0, 1, 0)

PARAMETERS: Mapping[str, tuple[Parameter, ...]] = {
    RESTORE: (
        model_parameter(),
        Parameter(
            "result",
            "new: a new image; replace: in place of the old pixels; composite: a new image with "
            "the raw and the restored channels",
            RESULTS[0],
            "choice",
            RESULTS,
        ),
        Parameter("suffix", "what is added to the image's name", SUFFIX),
        *restoring(files=False),
    ),
    BATCH: (
        Parameter("input", "folder of the images", kind="folder"),
        Parameter("output", "folder of the results", kind="folder"),
        model_parameter(),
        *restoring(files=True),
    ),
    PREVIEW: (
        Parameter(
            "model",
            f"models as in CARE Restore, with {_BETWEEN} between them",
            kind="file",
            suggested=_BETWEEN.join(bundled_models()),
        ),
        Parameter(
            "percentiles",
            f"pairs of a low and a high percentile, with {_BETWEEN} between them, e.g. "
            "2,99.8;0.1,99.9; empty: the package's",
            "",
        ),
        *(each for each in restoring(files=False) if each.name not in _NOT_IN_PREVIEW),
    ),
    EVALUATE: (
        Parameter("truth", "the good image: title of an open image, or a file", kind="file"),
        Parameter(
            "restored",
            "what is judged: title of an open image, or a file; empty: the active image",
            "",
        ),
    ),
    CHECK: (model_parameter(),),
    MODELS: (
        Parameter("add", "package to add: its folder, .zip or rdf.yaml", "", "file"),
        Parameter("name", "name of the added model; empty: that of its file or folder", ""),
    ),
    EXTENSIONS: (),
}


def _check_restoration(given: Mapping[str, str]) -> None:
    restore_options(given)
    find_package(given["model"])


def _check_preview(given: Mapping[str, str]) -> None:
    for variant in preview_variants(given).values():
        _check_restoration(variant)


def _check_model(given: Mapping[str, str]) -> None:
    find_package(given["model"])


def _check_addition(given: Mapping[str, str]) -> None:
    if given.get("add"):
        find_package(given["add"])
    elif given.get("name"):
        raise ConfigError(
            f'name "{given["name"]}" is for a package that is added: give add=[/path/to/package], '
            "too, or leave name out"
        )


def described(name: str, run: Run) -> Command:
    """The command `name`, which does its work by `run`."""
    return Command(name, ABOUT[name], run, PARAMETERS[name], _CHECKS.get(name))


# Each raises where a model is not there or an option cannot be read.
_CHECKS: Mapping[str, Check] = {
    RESTORE: _check_restoration,
    BATCH: _check_restoration,
    PREVIEW: _check_preview,
    CHECK: _check_model,
    MODELS: _check_addition,
}


def check_levels(title: str, *, calibrated: bool) -> None:
    """Raise FijiError where an image shows other grey levels than its pixels hold, as ImageJ does
    for signed 16-bit pixels, too."""
    if calibrated:
        raise FijiError(
            f'"{title}" has calibrated grey levels (signed 16-bit, or by Analyze > Calibrate...): '
            "convert it by Image > Type > 32-bit, which applies the calibration, or set the "
            "function None there, to restore the pixels as they are stored"
        )


def middle(sizes: Mapping[str, int]) -> dict[str, slice]:
    """What CARE Preview shows where nothing is selected."""
    starts = {axis: max((sizes[axis] - _SIDE) // 2, 0) for axis in ("Y", "X")}
    return {axis: slice(start, min(start + _SIDE, sizes[axis])) for axis, start in starts.items()}


def failed_check(model: str, errors: int) -> str:
    """What is said of a package whose check found errors."""
    return (
        f"{model} has {errors} errors, which are in the Log: use another package, or have it "
        "exported again"
    )


def check_replacement(*, part: bool, virtual: bool) -> None:
    """Raise FijiError where an image's pixels cannot be replaced: a part of it is selected, or it
    is a virtual stack."""
    if part:
        raise FijiError(
            "result=replace restores the whole image, and a part of it is selected: remove the "
            "selection, or use result=new"
        )
    if virtual:
        raise FijiError(
            "result=replace cannot change a virtual stack, which lies on the disk: use result=new"
        )


def check_same_dimensions(title: str, image: ImageInfo, result: ImageInfo) -> None:
    """Raise FijiError where an image's pixels cannot be replaced by a result's."""
    if image.canonical_shape != result.canonical_shape:
        raise FijiError(
            f"result=replace needs a result of the image's own dimensions, {title} has "
            f"{_sizes(image)}, its result {_sizes(result)}: use result=new"
        )


def result_title(title: str, suffix: str) -> str:
    """The title of an image's result: "cell.tif" gives "cell_restored.tif"."""
    stem, dot, ending = title.rpartition(".") if is_image_name(title) else (title, "", "")
    return f"{stem}{suffix}{dot}{ending}"


def as_composite(image: Image) -> Image:
    """Channels over each other; a raw and a restored one in magenta and green."""
    tables = image.display.luts
    if image.sizes.get("C") == 2:
        tables = (_table(_MAGENTA), _table(_GREEN))
    return image.replace(display=replace(image.display, luts=tables, mode="composite"))


def preview_variants(given: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """Options of each panel of CARE Preview by what is written above it; ConfigError where
    percentiles do not come in pairs."""
    variants = {}
    models = [model.strip() for model in given["model"].split(_BETWEEN)]
    names = [Path(model).name for model in models]
    pairs = [pair.strip() for pair in given.get("percentiles", "").split(_BETWEEN)]
    for model, pair in product(models, pairs):
        low, comma, high = pair.partition(",")
        if pair and not comma:
            raise ConfigError(
                f'percentiles "{pair}" is no pair: give a low and a high one, e.g. 2,99.8'
            )
        name = Path(model).name
        label = f"{name if names.count(name) == 1 else model} {pair}".strip()
        chosen = {"model": model, "percentile_low": low, "percentile_high": high}
        variants[label] = {**given, **chosen}
    return variants


def side_by_side(panels: Mapping[str, Image]) -> Image:
    """The panels of CARE Preview from left to right, "raw" among them; FijiError where one has
    another size."""
    raw = panels["raw"]
    for label, panel in panels.items():
        if panel.axes != raw.axes or panel.pixels.shape != raw.pixels.shape:
            raise FijiError(
                f"{label} gives another size ({panel.axes} {panel.pixels.shape}) than the image "
                f"({raw.axes} {raw.pixels.shape}), so that they cannot be shown side by side: use "
                "CARE Restore for this model"
            )
    across = raw.axes.index("X")
    pixels = np.concatenate([panel.pixels for panel in panels.values()], axis=across)
    return raw.replace(pixels=pixels)


def _sizes(info: ImageInfo) -> str:
    return ", ".join(f"{axis} {size}" for axis, size in info.sizes.items())


def _table(color: tuple[int, int, int]) -> NDArray[np.uint8]:
    return np.outer(np.arange(256), color).astype(np.uint8)
