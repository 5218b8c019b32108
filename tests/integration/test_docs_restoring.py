"""The commands and the code of docs/restoring.md run, and the page names every option."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import tifffile
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.cluster.connection import connect
from care_bridge.fiji.arguments import parse_arguments
from care_bridge.images import open_image, write_image
from care_bridge.images.image import Calibration, Display, Image
from care_bridge.runtime.options import RestoreOptions
from tests.unit.test_bioio import write_lif

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "restoring.md").read_text("utf-8")
COMMANDS = re.findall(r"^    care-bridge (restore .*)$", PAGE, re.MULTILINE)
SETTINGS, *_ = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
CODE = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
MACRO = re.findall(r'^run\("CARE .*?", "(.*)"\);$', PAGE, re.MULTILINE)
HAS_OPENVINO = "OpenVINOExecutionProvider" in onnxruntime.get_available_providers()
SCHEDULER = "tcp://scheduler:8786"


def spots(*shape: int) -> NDArray[np.uint16]:
    """Bright spots with photon noise, in every slice and frame."""
    y, x = np.mgrid[: shape[-2], : shape[-1]]
    scene = 400 * (1.2 + np.sin(x / 9) * np.cos(y / 7))
    return np.random.default_rng(0).poisson(np.broadcast_to(scene, shape)).astype(np.uint16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the images that the page names, and what its commands made of them."""
    folder = tmp_path_factory.mktemp("restoring")
    calibration = Calibration({"Y": 0.2, "X": 0.2}, "µm")
    channels = Display(channel_names=("DAPI", "GFP"))
    deskewed = spots(96, 120).astype(np.float32)
    deskewed[:20] = 0
    deskewed[50, 60] = np.nan
    images = {
        "cell.tif": Image(spots(128, 160), Axes("YX"), calibration),
        "truth.tif": Image(spots(128, 160) * 2 + 300, Axes("YX"), calibration),
        "stack.tif": Image(spots(2, 2, 3, 96, 120), Axes("TCZYX"), calibration, channels),
        "movie.tif": Image(spots(5, 96, 120), Axes("TYX"), calibration),
        "deskewed.tif": Image(deskewed, Axes("YX"), calibration),
    }
    for name, image in images.items():
        write_image(image, folder / name)
    tifffile.imwrite(folder / "plain.tif", spots(4, 96, 120), photometric="minisblack")
    write_lif(folder / "slide.lif", {"Series001": spots(96, 120)}, "YX")
    (folder / "settings.yaml").write_text(SETTINGS, "utf-8")
    with pytest.MonkeyPatch.context() as patch, connect("local:1") as client:
        patch.chdir(folder)
        for command in COMMANDS:
            here = command.replace(SCHEDULER, client.scheduler.address)
            can = HAS_OPENVINO or "--device openvino" not in command
            assert main(shlex.split(here)) == (0 if can else 1), command
    return folder


def test_the_commands_make_what_the_page_says(folder: Path) -> None:
    def made(name: str) -> Image:
        return open_image(folder / name)

    assert made("cell_restored.ome.tif").container == "ome"
    assert not (folder / "planned").exists()
    assert made("from_leica/slide.ome.tif").axes == "YX"
    assert made("volume/plain.tif").axes == "ZYX"
    assert made("one_channel/stack.tif").display.channel_names == ("GFP",)
    assert made("exact/cell.tif").pixels.dtype == np.float32
    assert made("picture/cell.tif").pixels.dtype == np.uint8
    assert made("compare/stack.tif").sizes["C"] == 4
    means = [made(name).pixels.mean() for name in ("fitted/cell.tif", "truth.tif")]
    assert means[0] == pytest.approx(means[1], abs=0.5)
    whole = made("whole/deskewed.tif").pixels
    assert np.argwhere(np.isnan(whole)).tolist() == [[50, 60]]
    assert made("from_yaml/stack.tif").display.channel_names == ("GFP raw", "GFP restored")


@pytest.mark.parametrize("name", ["small/stack.tif", "tiles/stack.tif", "viewer/stack.ome.zarr"])
@pytest.mark.parametrize("cluster", ["on_workers", "on_cluster"])
def test_the_cluster_gives_the_pixels_of_one_process(name: str, cluster: str, folder: Path) -> None:
    alone, together = (open_image(folder / each) for each in (name, f"{cluster}/stack.ome.zarr"))
    pixels = together.axes.to(together.pixels, alone.axes)
    # float32's rounding in tiles of another size may round an integer the other way
    np.testing.assert_allclose(pixels.astype(int), alone.pixels.astype(int), atol=1)


def test_the_lines_that_are_shown_are_those_that_are_printed(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    assert main(shlex.split(next(each for each in COMMANDS if "--dry-run" in each))) == 0
    printed, *_ = capsys.readouterr().out.splitlines()
    recorded = open_image(folder / "restored" / "cell.tif").history[-1]
    shown = [_without_numbers(line.strip()) for line in PAGE.splitlines()]
    assert _without_numbers(printed) in shown
    assert _without_numbers(recorded) in shown


def _without_numbers(line: str) -> str:
    """The machine's figures and the model's hash may change, the words and the sizes not."""
    return re.sub(r"(?<=sha256 )\w+|\d+ MiB|[\d.]+ s$", "#", line)


@pytest.mark.parametrize("code", CODE, ids=lambda code: code.splitlines()[-1][:40])
def test_the_code_runs(code: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    exec(code, {})


@pytest.mark.parametrize("text", MACRO)
def test_the_options_of_the_macros_are_options(text: str) -> None:
    given = parse_arguments(text)
    for own in ("model", "input", "output"):
        given.pop(own, None)
    assert RestoreOptions.parse(given) != RestoreOptions()


def test_the_page_names_every_option(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["restore", "--help"])
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out)) - {"--help"}
    assert len(flags) > 25
    assert {flag for flag in flags if not re.search(rf"{flag}\b(?!-)", PAGE)} == set()
