"""Ways to use the commands wrongly: the macro, and words of the one message that it ends with."""

from pathlib import Path

import numpy as np
import tifffile

from tests.packages import tiny_package

GREY = 'newImage("grey", "16-bit ramp", 64, 64, 1);\n'
COLOUR = 'newImage("colour", "RGB white", 64, 64, 1);\n'
STACK = 'newImage("stack", "16-bit ramp", 64, 64, 6);\n'


def restore(options: str, model: str = "model=[{m}] ") -> str:
    return f'run("CARE Restore", "{model}{options}");'


def batch(options: str) -> str:
    return f'run("CARE Batch Restore", "{options}");'


# {m}: a 2D model of one channel; {d}: a folder of what `materials` makes.
MISUSE = {
    "no-image": ('close("*");\n' + restore(""), "there is no active image: open one first"),
    "no-model": (GREY + restore("tile=auto", model=""), '"model" is missing: add model='),
    "missing-model": (GREY + restore("model=[/no/model]", ""), 'no model package "/no/model"'),
    "misspelt-model": (GREY + restore("model=denois-2d", ""), 'did you mean "denoise-2d"'),
    "damaged-model": (GREY + restore("model=[{d}/damaged.zip]", ""), "damaged.zip"),
    "model-for-stacks": (GREY + restore("model=[{d}/model3d]", ""), "axes YX"),
    "model-for-two-channels": (GREY + restore("model=[{d}/model2c]", ""), "2 channels"),
    "misspelt-option": (GREY + restore("percentil_low=3"), 'did you mean "percentile_low"'),
    "option-about-files": (GREY + restore("format=zarr"), 'no option "format"'),
    "bad-tile": (GREY + restore("tile=big"), 'tile "big" cannot be read: use auto'),
    "small-tile": (GREY + restore("tile=8,8"), "tile"),
    "bad-type": (GREY + restore("dtype=int8"), 'dtype "int8" is unknown: use one of auto'),
    "bad-memory": (GREY + restore("memory=lots"), 'memory "lots" cannot be read'),
    "little-memory": (GREY + restore("memory=1MiB"), "this model and image need at least"),
    "bad-device": (GREY + restore("device=gpu"), 'device "gpu" is unknown: use auto'),
    "no-cuda": (GREY + restore("device=cuda"), "cuda"),
    "percentiles-the-wrong-way": (
        GREY + restore("percentile_low=99 percentile_high=2"),
        "do not satisfy 0 <= low < high <= 100",
    ),
    "percentile-no-number": (GREY + restore("percentile_low=low"), "is no number"),
    "contradiction": (GREY + restore("range=0-1 dtype=uint8"), "range 0-1 needs dtype float32"),
    "bad-result": (GREY + restore("result=over"), 'result "over" is unknown: use one of new'),
    "open-bracket": (GREY + restore("model=[{m} tile=auto", ""), "is not closed"),
    "given-twice": (GREY + restore("tile=auto tile=auto"), '"tile" is given twice'),
    "no-key": (GREY + restore("=5"), "is no key=value"),
    "no-such-channel": (GREY + restore("channels=3"), 'there is no channel "3"'),
    "colours": (COLOUR + restore(""), "RGB picture"),
    "not-a-number": (
        'newImage("x", "32-bit ramp", 64, 64, 1);\nsetPixel(3, 3, NaN);\n' + restore(""),
        "ignore_nonfinite",
    ),
    "replace-a-part": (
        GREY + "makeRectangle(8, 8, 32, 32);\n" + restore("result=replace"),
        "remove the selection, or use result=new",
    ),
    "replace-by-other-channels": (
        GREY + restore("result=replace with_raw"),
        "needs a result of the image's own dimensions",
    ),
    "replace-a-virtual-stack": (
        'run("TIFF Virtual Stack...", "open=[{d}/stack.tif]");\n' + restore("result=replace"),
        "cannot change a virtual stack",
    ),
    "file-of-a-virtual-stack-gone": (
        'File.copy("{d}/stack.tif", "{d}/gone.tif");\n'
        'run("TIFF Virtual Stack...", "open=[{d}/gone.tif]");\n'
        'File.delete("{d}/gone.tif");\n' + restore(""),
        "put it back, or open the stack again",
    ),
    "no-such-folder": (batch("input=[{d}/none] output=[{d}/out] model=[{m}]"), "none is not there"),
    "folder-without-images": (
        batch("input=[{d}/empty] output=[{d}/out] model=[{m}]"),
        "holds no images",
    ),
    "no-output": (batch("input=[{d}/broken] model=[{m}]"), '"output" is missing'),
    "output-below-a-file": (
        batch("input=[{d}/fine] output=[{d}/stack.tif/out] model=[{m}]"),
        "stack.tif",
    ),
    "broken-image": (batch("input=[{d}/broken] output=[{d}/out] model=[{m}]"), "broken.tif"),
    "result-there-already": (
        batch("input=[{d}/fine] output=[{d}/taken] model=[{m}]"),
        "overwrite",
    ),
    "truth-is-not-there": (
        GREY + 'run("CARE Evaluate", "truth=grep");',
        'no file "grep": did you mean "grey"',
    ),
    "truth-of-another-size": (
        GREY + 'run("CARE Evaluate", "truth=[{d}/stack.tif]");',
        "differ in size",
    ),
    "nothing-to-check": (
        'run("CARE Check Model", "model=nothing");',
        'no model package "nothing"',
    ),
    "preview-of-no-model": (
        GREY + 'run("CARE Preview", "model=[{m}; nothing]");',
        'no model package "nothing"',
    ),
    "preview-of-no-pair": (
        GREY + 'run("CARE Preview", "model=[{m}] percentiles=[2-99]");',
        'percentiles "2-99" is no pair',
    ),
    "name-that-no-file-may-have": (
        GREY + f'run("CARE Evaluate", "truth={"a" * 300}");',
        "File name too long",
    ),
    "function-with-a-wrong-option": (
        'run("CARE Macro Extensions");\nExt.CARE_device("modle=x");',
        'Ext.CARE_device: there is no option "modle": did you mean "model"',
    ),
    "function-of-no-image": (
        'run("CARE Macro Extensions");\nExt.CARE_restore("none.tif", "model=[{m}]");',
        'no open image and no file "none.tif"',
    ),
    "function-that-replaces-a-file": (
        'run("CARE Macro Extensions");\n'
        'Ext.CARE_restore("{d}/stack.tif", "model=[{m}] result=replace");',
        "result=replace needs an open image",
    ),
    "name-of-nothing": ('run("CARE Models", "name=foo");', "give add="),
}


def materials(folder: Path) -> Path:
    """What the macros name, in `folder`, which is returned."""
    for name in ("empty", "broken", "fine", "taken"):
        (folder / name).mkdir(parents=True)
    noise = np.random.default_rng(4).integers(0, 4000, (6, 64, 64)).astype(np.uint16)
    tifffile.imwrite(folder / "stack.tif", noise, imagej=True, metadata={"axes": "ZYX"})
    for place in ("broken/fine.tif", "fine/fine.tif", "taken/fine.tif"):
        tifffile.imwrite(folder / place, noise[0], imagej=True)
    whole = (folder / "fine" / "fine.tif").read_bytes()
    (folder / "broken" / "broken.tif").write_bytes(whole[: len(whole) // 2])
    (folder / "damaged.zip").write_bytes(b"PK\x03\x04 and no more")
    tiny_package(folder / "model3d", dims=3)
    tiny_package(folder / "model2c", channels=2)
    return folder


def filled(code: str, package: Path, folder: Path) -> str:
    return code.replace("{m}", str(package)).replace("{d}", str(folder))
