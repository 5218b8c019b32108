"""Restore a bundled real image, taken with a few photons, with the bundled model denoise-2d.

The image of fluorescent nuclei (BBBC038v1, CC0) is the truth; a simulated camera takes it again
with a few photons in each pixel. The noisy, the restored and the true image are written as TIFF,
and side by side as PNG.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from care_bridge.evaluation.metrics import Figures

_MODEL = "denoise-2d"
_SEED = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "--out",
        type=Path,
        default=Path("demo"),
        metavar="FOLDER",
        help="where results go; it is made, and the results of an earlier demo are replaced "
        "(default: demo)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Degrade, restore, compare with the truth, and write what was seen."""
    from care_bridge.bundled import bundled_folder
    from care_bridge.evaluation.metrics import care_figures
    from care_bridge.images import open_image, write_image
    from care_bridge.images.picture import write_panels
    from care_bridge.runtime.restorer import Restorer
    from care_bridge.simulation.lowlight import DEMO_PHOTONS, dim_exposure

    out: Path = arguments.out
    truth = open_image(bundled_folder("model_zoo") / "samples" / "nuclei_dsb2018_512.tif")
    noisy = truth.replace(pixels=dim_exposure(truth.pixels, DEMO_PHOTONS, _SEED))
    restorer = Restorer(_MODEL)
    restored = restorer.restore_image(noisy)

    images = {"noisy": noisy, "restored": restored, "truth": truth}
    files = {name: out / f"nuclei_{name}.tif" for name in images}
    for name, image in images.items():
        write_image(image, files[name], overwrite=True)
    files["picture"] = out / "nuclei.png"
    write_panels(files["picture"], [(name, image.pixels) for name, image in images.items()])

    before = care_figures(noisy.pixels, truth.pixels)
    after = care_figures(restored.pixels, truth.pixels)
    if arguments.json:
        print(_as_json(before, after, restorer.device, DEMO_PHOTONS, files))
    else:
        print(f"nuclei with {DEMO_PHOTONS:g} photons a pixel, restored with {_MODEL}\n")
        print(_as_table(before, after))
        print(f"\nsee {files['picture']}, and the three TIFFs beside it\n\n{_next(files)}")
    return 0


def _as_json(
    before: Figures, after: Figures, device: str, photons: float, files: dict[str, Path]
) -> str:
    return json.dumps(
        {
            "psnr_before": before.psnr,
            "psnr_after": after.psnr,
            "ssim_before": before.ssim,
            "ssim_after": after.ssim,
            "photons": photons,
            "model": _MODEL,
            "device": device,
            "files": {name: str(path) for name, path in files.items()},
        },
        indent=2,
    )


def _as_table(before: Figures, after: Figures) -> str:
    """The figures in the CARE paper's metric; SSIM where it could be computed."""
    lines = [
        f"PSNR before {before.psnr:6.2f} dB",
        f"PSNR after  {after.psnr:6.2f} dB  ({after.psnr - before.psnr:+.2f} dB)",
    ]
    if before.ssim is not None and after.ssim is not None:
        lines += [f"SSIM before {before.ssim:6.3f}", f"SSIM after  {after.ssim:6.3f}"]
    return "\n".join(lines)


def _next(files: dict[str, Path]) -> str:
    return f"""what to do next:
  care-bridge restore {files["noisy"]} --model {_MODEL} --out restored.tif
  care-bridge inspect {_MODEL}       what the model is, and what it was trained on
  care-bridge train DATA --out RUN     a model of your own, from DATA/source and DATA/GT
  care-bridge fiji macros              restore folders from Fiji"""
