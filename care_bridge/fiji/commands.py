"""care_bridge's commands in ImageJ: for its menu, for macros and for IJ.run.

    run("CARE Restore", "model=denoise-2d tile=auto device=auto");        the active image
    run("CARE Batch Restore", "input=[…] output=[…] model=[…]");          a folder of images

The options of a restoration are those of RestoreOptions, by the same names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from jpype import JClass

from care_bridge.errors import FijiError
from care_bridge.fiji.described import (
    BATCH,
    CHECK,
    EVALUATE,
    EXTENSIONS,
    MODELS,
    PREVIEW,
    RESTORE,
    described,
    failed_check,
)
from care_bridge.fiji.evaluating import evaluate
from care_bridge.fiji.extension import register_extensions
from care_bridge.fiji.open_images import active_image
from care_bridge.fiji.parameters import Command, restore_options
from care_bridge.fiji.previewing import preview
from care_bridge.fiji.progress import status_bar, stoppable
from care_bridge.fiji.restoring import restore_imageplus
from care_bridge.fiji.sessions import model_lines
from care_bridge.runtime.batch import restore_files
from care_bridge.runtime.file_restoring import FileTask, Outcome, restore_in_this_process
from care_bridge.runtime.loaded import loaded_restorer
from care_bridge.runtime.progress import Progress
from care_bridge.runtime.restorer import Restorer


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
    with status_bar(BATCH) as bar:

        def way(
            restorer: Restorer, task: FileTask, begin: Callable[[], None], progress: Progress
        ) -> Outcome:
            with stoppable(restorer.session.cancel):
                return restore_in_this_process(restorer, task, begin, progress, bar.reading)

        restore_files(
            [Path(given["input"]).expanduser()],
            given["model"],
            Path(given["output"]).expanduser(),
            restore_options(given),
            load=loaded_restorer,
            way=way,
            on_progress=lambda _job, done, tiles: bar.tiles(done, tiles),
            on_restored=lambda result: log(f"{result.job.target}  {result.dtype}"),
        )


def check_model(given: Mapping[str, str]) -> None:
    """CARE Check Model: write the report on a package, as care_bridge uses it, into the Log;
    FijiError where it has errors."""
    # These take longer than all else of a start.
    from care_bridge.runtime.check import check_package
    from care_bridge.runtime.report import CARE_BRIDGE

    imagej = JClass("ij.IJ")
    imagej.showStatus(f"{CHECK}…")
    report = check_package(given["model"]).limited((CARE_BRIDGE,))
    for line in report.text().splitlines():
        imagej.log(line)
    imagej.showStatus("")
    if report.errors:
        raise FijiError(failed_check(given["model"], len(report.errors)))


def list_models(given: Mapping[str, str]) -> None:
    """CARE Models: write the models that are kept here and what they are into the Log, after adding
    a package to them; add_model's errors."""
    for line in model_lines(given):
        JClass("ij.IJ").log(line)


COMMANDS: Mapping[str, Command] = {
    name: described(name, run)
    for name, run in {
        RESTORE: restore_active,
        BATCH: restore_folder,
        PREVIEW: preview,
        EVALUATE: evaluate,
        CHECK: check_model,
        MODELS: list_models,
        EXTENSIONS: register_extensions,
    }.items()
}
