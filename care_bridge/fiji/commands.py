"""care_bridge's commands in a running ImageJ, for macros and for IJ.run.

    run("CARE Restore", "model=[…] tile=auto device=auto");               the active image
    run("CARE Batch Restore", "input=[…] output=[…] model=[…]");          a folder of images

Their options are those of RestoreOptions, by the same names. ImageJ asks a CommandListener before
it looks a command up, headless and with a window, so the same commands work in plain ImageJ and in
Fiji. An error aborts the macro at its line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from jpype import JClass, JImplements, JOverride

from care_bridge.errors import CareBridgeError, ConfigError, FijiError
from care_bridge.fiji.arguments import parse_arguments
from care_bridge.fiji.images import from_imageplus, to_imageplus
from care_bridge.images import is_image_name
from care_bridge.package.package import load_package
from care_bridge.runtime.batch import restore_files
from care_bridge.runtime.jobs import SUFFIX_IN_SAME_FOLDER
from care_bridge.runtime.options import RestoreOptions, check_names
from care_bridge.runtime.restorer import Restorer

_RESTORERS_KEPT = 4


def register_commands() -> None:
    """Make the running ImageJ know the commands; to be called once, after it was started."""
    JClass("ij.Executer").addCommandListener(_Listener())


def restore_active(options: Mapping[str, str]) -> None:
    """CARE Restore: show the restored active image as a new one, which is then the active one.

    options: "model", and any of RestoreOptions' names that is not about files. The whole image is
    restored, whatever is selected in it. Raises FijiError where there is no image; and Restorer's
    errors.
    """
    model, settings = _settings(options, ("model",), files=False)
    imp = JClass("ij.WindowManager").getCurrentImage()
    if imp is None:
        raise FijiError("there is no active image: open one first")
    image = from_imageplus(imp)
    version = load_package(model).spec.rdf_sha256
    restorer = _restorer(model, version, tuple(settings.items()))
    restored = restorer.restore_image(image, JClass("ij.IJ").showProgress)
    to_imageplus(restored, _title(str(imp.getTitle()))).show()


def restore_folder(options: Mapping[str, str]) -> None:
    """CARE Batch Restore: restore the images of the folder `input` into the folder `output`.

    options: "input", "output", "model", and any of RestoreOptions' names. Raises restore_files'
    errors.
    """
    model, settings = _settings(options, ("input", "output", "model"), files=True)
    imagej = JClass("ij.IJ")
    restore_files(
        [Path(options["input"]).expanduser()],
        model,
        Path(options["output"]).expanduser(),
        RestoreOptions.parse(settings),
        on_progress=lambda _job, done, tiles: imagej.showProgress(done, tiles),
        on_restored=lambda result: imagej.log(f"{result.job.target}  {result.dtype}"),
    )


COMMANDS: Mapping[str, Callable[[Mapping[str, str]], None]] = {
    "CARE Restore": restore_active,
    "CARE Batch Restore": restore_folder,
}


def _settings(
    options: Mapping[str, str], required: tuple[str, ...], *, files: bool
) -> tuple[str, dict[str, str]]:
    """The model, and the options that RestoreOptions parses; those about files only for files."""
    known = [
        option.name for option in RestoreOptions.all() if files or not option.metadata["files"]
    ]
    check_names(options, [*required, *known])
    for name in required:
        if not options.get(name):
            raise ConfigError(f'the option "{name}" is missing: add {name}=[…]')
    return options["model"], {name: text for name, text in options.items() if name not in required}


@lru_cache(maxsize=_RESTORERS_KEPT)
def _restorer(model: str, _version: str, settings: tuple[tuple[str, str], ...]) -> Restorer:
    """One model load for many images; a package that was replaced has another version."""
    return Restorer(model, RestoreOptions.parse(dict(settings)))


def _title(title: str) -> str:
    stem, dot, ending = title.rpartition(".") if is_image_name(title) else (title, "", "")
    return f"{stem}{SUFFIX_IN_SAME_FOLDER}{dot}{ending}"


@JImplements("ij.CommandListener")
class _Listener:
    """Takes care_bridge's commands out of ImageJ's hands and leaves it all others."""

    @JOverride  # type: ignore[untyped-decorator]
    def commandExecuting(self, command: Any) -> Any:  # noqa: N802
        """Run the command if it is one of ours (None: ImageJ has nothing left to do)."""
        name = str(command)
        if name not in COMMANDS:
            return command
        text = JClass("ij.Macro").getOptions()
        try:
            COMMANDS[name](parse_arguments("" if text is None else str(text)))
        except CareBridgeError as error:
            message = f"{name}: {error}"
            macro = JClass("ij.macro.Interpreter").getInstance()
            if macro is None:
                raise FijiError(message) from error
            macro.abort(message)
        return None
