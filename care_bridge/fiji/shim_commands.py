"""The commands for shims: from image files to macro code that shows the results.

The same parameters, checks and computations as in a Fiji that Python has opened (`commands`);
only how images come and go differs. No Java is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path

from care_bridge.errors import CareBridgeError, FijiError, MissingExtraError
from care_bridge.fiji.arguments import parse_arguments
from care_bridge.fiji.described import (
    BATCH,
    CHECK,
    COLUMNS,
    EVALUATE,
    GONE,
    LABEL_PLACE,
    MODELS,
    PREVIEW,
    RESTORE,
    RESULTS,
    SUFFIX,
    as_composite,
    check_replacement,
    check_same_dimensions,
    described,
    failed_check,
    middle,
    preview_variants,
    result_title,
    side_by_side,
)
from care_bridge.fiji.macro_text import number, of_codes, quoted
from care_bridge.fiji.parameters import restore_options
from care_bridge.fiji.sessions import model_lines, restorer_for
from care_bridge.fiji.shim_client import PREPARED
from care_bridge.fiji.shim_request import Request
from care_bridge.images import open_image
from care_bridge.images.image import Image
from care_bridge.images.source import ImageInMemory

_BITS = {"uint8": 8, "uint16": 16, "float32": 32}
_Code = Iterator[str]

# A result is a copy of the file that was opened: the file is removed.
_SHOW = """\
open({path});
opened = getImageID();
run("Duplicate...", "title=care_bridge duplicate");
shown = getImageID();
selectImage(opened);
close();
selectImage(shown);
rename({title});
setOption("Changes", true);"""

# The source may have been closed meanwhile, and another image may be the active one.
_OVERLAY = """\
overlaid = false;
labels = newArray(0);
if (isOpen({source})) {{
    selectImage({source});
    overlaid = Overlay.size > 0;
    if (overlaid) Overlay.copy;
    labels = newArray(nSlices);
    for (i = 0; i < labels.length; i++) labels[i] = "" + Property.getSliceLabel(i + 1);
}}"""
_KEEP_OVERLAY = """\
if (overlaid) Overlay.paste;"""
_KEEP_LABELS = """\
if (labels.length > 1 && labels.length == nSlices)
    for (i = 0; i < labels.length; i++)
        if (labels[i] != "" && labels[i] != "null" && labels[i] != "0")
            Property.setSliceLabel(labels[i], i + 1);"""

_REPLACE = """\
source = {source};
if (!isOpen(source)) return {gone};
selectImage(source);
selected = selectionType() >= 0;
if (selected) run("Select None");
getDimensions(width, height, channels, slices, frames);
Stack.getPosition(channel, slice, frame);
low = newArray(channels); high = newArray(channels);
for (c = 0; c < channels; c++) {{
    if (channels > 1) Stack.setChannel(c + 1);
    getMinAndMax(low[c], high[c]);
}}
if (bitDepth() != {bits}) run("{bits}-bit");
open({path});
opened = getImageID();
imageCalculator("Copy stack", source, opened);
selectImage(opened);
close();
selectImage(source);
for (c = 0; c < channels; c++) {{
    if (channels > 1) Stack.setChannel(c + 1);
    setMinAndMax(low[c], high[c]);
}}
if (nSlices > 1) Stack.setPosition(channel, slice, frame);
if (selected) run("Restore Selection");
setOption("Changes", true);"""


def wrong_options(name: str, codes: str = "") -> str:
    """Macro code that returns why the command `name` cannot use the options of a dialog, which come
    as numbers of their characters; "" where it can."""
    try:
        described(name, lambda _given: None).checked(parse_arguments(of_codes(codes)))
    except (CareBridgeError, OSError) as error:
        return f"return {quoted(str(error))};"
    return ""


def work_for_shim(name: str, folder: Path, words: Sequence[str]) -> None:
    """Do the command `name` and write the macro code that shows its result.

    words: "options=…" and "title=…" as numbers of their characters, "source=…", "part=…",
    "virtual=…" and "headless=…". Raises the command's errors.
    """
    values = dict(word.split("=", 1) for word in words)
    command = described(name, lambda _given: None)
    given = command.checked(parse_arguments(of_codes(values["options"])))
    request = Request(
        given,
        folder,
        of_codes(values["title"]),
        int(values["source"]),
        tuple(int(float(number)) for number in values["part"].split(",") if number),
        values["virtual"] == "1",
        values["headless"] == "true",
    )
    code = [*_WORKS[name](request), 'return "done";', ""]
    (folder / PREPARED).write_text("\n".join(code), "ascii")


def _restore(request: Request) -> _Code:
    image, given = request.active(), request.given
    how, suffix = given.get("result", RESULTS[0]), given.get("suffix", SUFFIX)
    window = request.window(image)
    if how == "replace":
        check_replacement(part=window is not None, virtual=request.virtual)
    else:
        request.check_shown()
    if how == "composite":
        given = {**given, "with_raw": "true"}
    restorer = restorer_for(given)
    plan = restorer.plan(ImageInMemory(image), window)
    if how == "replace":
        check_same_dimensions(request.title, image.info, plan.info)
    infos = [plan.info] if plan.uncertainty is None else [plan.info, plan.uncertainty]
    sink, *beside = map(ImageInMemory.empty, infos)
    restorer.restore(ImageInMemory(image), plan, sink, request.progress, *beside)
    restored = as_composite(sink.image) if how == "composite" else sink.image
    path = request.result(restored)
    told = [
        _SHOW.format(
            path=request.result(each.image, "uncertainty"),
            title=quoted(result_title(request.title, f"{suffix}_{restorer.options.uncertainty}")),
        )
        for each in beside
    ]
    if how == "replace":
        bits = _BITS[restored.pixels.dtype.name]
        yield _REPLACE.format(path=path, bits=bits, source=request.source, gone=quoted(GONE))
        yield from told
        yield "selectImage(source);"
        return
    yield _OVERLAY.format(source=request.source)
    yield from told
    yield _SHOW.format(path=path, title=quoted(result_title(request.title, suffix)))
    yield _KEEP_LABELS
    if window is None:
        yield _KEEP_OVERLAY


def _batch(request: Request) -> _Code:
    from care_bridge.runtime.batch import restore_files
    from care_bridge.runtime.loaded import loaded_restorer

    restored = restore_files(
        [Path(request.given["input"]).expanduser()],
        request.given["model"],
        Path(request.given["output"]).expanduser(),
        restore_options(request.given),
        load=loaded_restorer,
        on_progress=lambda _job, done, tiles: request.progress(done, tiles),
    )
    for result in restored:
        yield _print(f"{result.job.target}  {result.dtype}")


def _preview(request: Request) -> _Code:
    image = request.active()
    request.check_shown()
    window = request.window(image) or middle(image.sizes)
    inside = tuple(window.get(axis, slice(None)) for axis in image.axes)
    panels = {"raw": image.replace(pixels=image.pixels[inside])}
    for label, variant in preview_variants(request.given).items():
        restorer = restorer_for(variant)
        panels[label] = restorer.restore_image(image, request.progress, window)
    path = request.result(side_by_side(panels))
    yield _SHOW.format(path=path, title=quoted(f"{request.title}: preview"))
    width = panels["raw"].sizes["X"]
    yield 'setColor("yellow");'
    for place, label in enumerate(panels):
        x, y = place * width + LABEL_PLACE, LABEL_PLACE + 14
        yield f"Overlay.drawString({quoted(label)}, {x}, {y});"
    yield "Overlay.show;"


def _evaluate(request: Request) -> _Code:
    if not find_spec("skimage") or not find_spec("scipy"):
        raise MissingExtraError("evaluating", "evaluate")
    from care_bridge.evaluation.figures import full_figures
    from care_bridge.evaluation.samples import as_block

    names = {
        "restored": request.given.get("restored") or request.title,
        "truth": request.given["truth"],
    }
    images = {role: _named(request, role, name) for role, name in names.items()}
    image, truth = (as_block(each.axes, each.pixels) for each in images.values())
    if image.shape != truth.shape:
        raise FijiError(
            f"{names['restored']} {image.shape} and {names['truth']} {truth.shape} differ in "
            "size: give two images of the same field of view"
        )
    yield "row = nResults;"
    for channel, (of_image, of_truth) in enumerate(zip(image, truth, strict=True), 1):
        figures = full_figures(of_image, of_truth)
        yield f'setResult("Label", row, {quoted(" against ".join(names.values()))});'
        yield f'setResult("Channel", row, {channel});'
        for column, name in COLUMNS.items():
            yield f'setResult("{column}", row, {number(getattr(figures, name))});'
        yield "row++;"
    yield "updateResults();"


def _named(request: Request, role: str, name: str) -> Image:
    """The image of that title, which the shim has kept, or else the file of that name."""
    image = request.image(role, name)
    if image is not None:
        return image
    path = Path(name).expanduser()
    if not name or not path.exists():
        raise FijiError(
            f'there is no open image and no file "{name}": give the title of an open image or a '
            "file"
        )
    return open_image(path)


def _check(request: Request) -> _Code:
    from care_bridge.runtime.check import check_package
    from care_bridge.runtime.report import CARE_BRIDGE

    report = check_package(request.given["model"]).limited((CARE_BRIDGE,))
    yield from map(_print, report.text().splitlines())
    if report.errors:
        yield f"return {quoted(failed_check(request.given['model'], len(report.errors)))};"


def _models(request: Request) -> _Code:
    yield from map(_print, model_lines(request.given))


def _print(text: str) -> str:
    return f"print({quoted(text)});"


_WORKS: Mapping[str, Callable[[Request], _Code]] = {
    RESTORE: _restore,
    BATCH: _batch,
    PREVIEW: _preview,
    EVALUATE: _evaluate,
    CHECK: _check,
    MODELS: _models,
}
