"""Macro functions that return values: Ext.CARE_…, after run("CARE Macro Extensions")."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from jpype import JArray, JClass, JDouble, JImplements, JOverride

from care_bridge.errors import FijiError
from care_bridge.fiji.arguments import parse_arguments
from care_bridge.fiji.calling import ERRORS, current_thread, end_caller, macro_threads
from care_bridge.fiji.described import RESTORE, described
from care_bridge.fiji.evaluating import figures_of
from care_bridge.fiji.images import to_imageplus
from care_bridge.fiji.open_images import find_image, find_open
from care_bridge.fiji.restoring import restore_imageplus
from care_bridge.fiji.sessions import one_at_a_time, restorer_for
from care_bridge.fiji.source import ImagePlusSource
from care_bridge.images.source import ImageInMemory
from care_bridge.package.store import stored_models
from care_bridge.runtime.restorer import Restorer

_CALLED_LIKE = described(RESTORE, lambda _given: None)


@dataclass(frozen=True)
class _Function:
    """texts: how many text arguments it takes; numbers: how many variables it fills with numbers
    after them. run gets the texts and returns a text, or the numbers."""

    texts: int
    numbers: int
    run: Callable[..., str | Sequence[float]]


def _restore(image: str, options: str) -> str:
    """Restore an open image (by title) or a file; returns the result's title. FijiError where a
    file is to be replaced."""
    given, imp = _given(options), find_open(image)
    if imp is None:
        if given.get("result") == "replace":
            raise FijiError(
                f'result=replace needs an open image, and none is called "{image}": open it first, '
                "or use result=new"
            )
        imp = to_imageplus(find_image(image), Path(image).name)
    return str(restore_imageplus(imp, given).getTitle())


def _models() -> str:
    """Names of the models that are kept here, with commas between them."""
    return ",".join(dict.fromkeys(model.name for model in stored_models()))


def _device(options: str) -> str:
    """What is computed on with these options, e.g. cpu or cuda:0."""
    return _restorer(options).device


def _levels(image: str, options: str) -> Sequence[float]:
    """The grey levels that the image's first channel is scaled by: those at its percentiles."""
    imp = find_open(image)
    source = ImageInMemory(find_image(image)) if imp is None else ImagePlusSource(imp)
    sample = next(iter(_restorer(options).plan(source).scales.all()))
    scale = sample.before[0]
    return scale.offset, scale.offset + scale.gain


def _compare(image: str, truth: str) -> Sequence[float]:
    """PSNR in dB, SSIM and NRMSE of an image's first channel against the truth."""
    figures = next(figures_of(image, truth))
    return figures.psnr, figures.ssim, figures.nrmse


FUNCTIONS: Mapping[str, _Function] = {
    "CARE_restore": _Function(2, 0, _restore),
    "CARE_models": _Function(0, 0, _models),
    "CARE_device": _Function(1, 0, _device),
    "CARE_levels": _Function(2, 2, _levels),
    "CARE_compare": _Function(2, 3, _compare),
}


def _given(options: str) -> dict[str, str]:
    return _CALLED_LIKE.checked(parse_arguments(options))


def _restorer(options: str) -> Restorer:
    return restorer_for(_given(options))


def register_extensions(_given: Mapping[str, str]) -> None:
    """CARE Macro Extensions: make the running macro know Ext.CARE_…; FijiError outside macros, and
    where several run."""
    if JClass("ij.macro.Interpreter").getInstance() is None:
        raise FijiError("no macro is running that could use the functions: call it in a macro")
    if len(macro_threads()) > 1:
        # They would come to the macro that was started last.
        raise FijiError("another macro is running, too: start this one when it has ended")
    JClass("ij.macro.Functions").registerExtensions(_extension())


@cache
def _extension() -> Any:
    return _Extension()


@JImplements("ij.macro.MacroExtension")
class _Extension:
    @JOverride  # type: ignore[untyped-decorator]
    def getExtensionFunctions(self) -> Any:  # noqa: N802
        """The functions with the types of their arguments."""
        descriptor, kinds = (
            JClass("ij.macro.ExtensionDescriptor"),
            JClass("ij.macro.MacroExtension"),
        )
        number = int(kinds.ARG_NUMBER) | int(kinds.ARG_OUTPUT)
        return JArray(descriptor)(
            [
                descriptor(
                    name, [int(kinds.ARG_STRING)] * each.texts + [number] * each.numbers, self
                )
                for name, each in FUNCTIONS.items()
            ]
        )

    @JOverride  # type: ignore[untyped-decorator]
    def handleExtension(self, name: Any, arguments: Any) -> Any:  # noqa: N802
        """Call a function; an error ends the macro at its line."""
        function = FUNCTIONS[str(name)]
        texts = [str(arguments[place]) for place in range(function.texts)]
        try:
            with one_at_a_time:
                found = function.run(*texts)
        except ERRORS as error:
            end_caller(f"Ext.{name}", error, current_thread())
            return None
        if isinstance(found, str):
            return found
        for place, value in enumerate(found, function.texts):
            arguments[place][0] = JClass("java.lang.Double")(JDouble(value))
        return None
