"""care_bridge's commands in ImageJ: for its menu, for macros and for IJ.run.

    run("CARE Restore", "model=denoise-2d tile=auto device=auto");        the active image
    run("CARE Batch Restore", "input=[…] output=[…] model=[…]");          a folder of images

The options of a restoration are those of RestoreOptions, by the same names.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from jpype import JClass

from care_bridge.errors import FijiError
from care_bridge.fiji.evaluating import EVALUATE
from care_bridge.fiji.extension import EXTENSIONS
from care_bridge.fiji.open_images import active_image
from care_bridge.fiji.parameters import Command, Parameter, restore_options, restoring
from care_bridge.fiji.previewing import PREVIEW
from care_bridge.fiji.progress import status_bar
from care_bridge.fiji.restoring import PARAMETERS, RESTORE, check_restoration, restore_imageplus
from care_bridge.fiji.sessions import model_parameter
from care_bridge.package.package import load_package
from care_bridge.package.store import bundled_models, find_package
from care_bridge.runtime.batch import restore_files
from care_bridge.runtime.check import check_package

_BATCH = "CARE Batch Restore"
_CHECK = "CARE Check Model"


def restore_active(given: Mapping[str, str]) -> None:
    """CARE Restore: restore the active image, or the rectangle that is selected in it.

    Raises FijiError where there is no image; and restore_imageplus' errors.
    """
    restore_imageplus(active_image(), given)


def restore_folder(given: Mapping[str, str]) -> None:
    """CARE Batch Restore: restore the images of the folder `input` into the folder `output`.

    Raises restore_files' errors.
    """
    log = JClass("ij.IJ").log
    with status_bar(_BATCH) as progress:
        restore_files(
            [Path(given["input"]).expanduser()],
            given["model"],
            Path(given["output"]).expanduser(),
            restore_options(given),
            on_progress=lambda _job, done, tiles: progress(done, tiles),
            on_restored=lambda result: log(f"{result.job.target}  {result.dtype}"),
        )


def check_model(given: Mapping[str, str]) -> None:
    """CARE Check Model: write the report on a package into the Log; FijiError where it has
    errors."""
    imagej = JClass("ij.IJ")
    imagej.showStatus(f"{_CHECK}…")
    report = check_package(given["model"])
    for line in report.text().splitlines():
        imagej.log(line)
    imagej.showStatus("")
    if report.errors:
        raise FijiError(
            f"{given['model']} has {len(report.errors)} errors, which are in the Log: use another "
            "package, or have it exported again"
        )


def list_models(_given: Mapping[str, str]) -> None:
    """CARE Models: write the bundled models and what they are into the Log."""
    for name, folder in bundled_models().items():
        JClass("ij.IJ").log(f"{name}  {load_package(folder).spec.description}")


def _check_package(given: Mapping[str, str]) -> None:
    find_package(given["model"])


COMMANDS: Mapping[str, Command] = {
    command.name: command
    for command in (
        Command(
            RESTORE,
            "Restores the active image, or the rectangle that is selected in it.",
            restore_active,
            PARAMETERS,
            check_restoration,
        ),
        Command(
            _BATCH,
            "Restores the images of a folder into another folder.",
            restore_folder,
            (
                Parameter("input", "folder of the images", kind="folder"),
                Parameter("output", "folder of the results", kind="folder"),
                model_parameter(),
                *restoring(files=True),
            ),
            check_restoration,
        ),
        PREVIEW,
        EVALUATE,
        Command(
            _CHECK,
            "Checks a model package: its files, its test images, its tiles.",
            check_model,
            (model_parameter(),),
            _check_package,
        ),
        Command("CARE Models", "Lists the models that came with care_bridge.", list_models),
        EXTENSIONS,
    )
}
