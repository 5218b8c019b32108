"""care-bridge simulate: folders that training reads, and one line for each mistake."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as Picture

from care_bridge.cli.main import main
from care_bridge.images import open_image
from tests.training_pairs import opened_stacks


def simulate(*arguments: object) -> int:
    return main(["simulate", *map(str, arguments)])


@pytest.mark.parametrize(
    ("kind", "size", "settings", "axes", "count", "channels", "shape"),
    [
        pytest.param("membranes", "64,80", [], "YX", 2, 1, (64, 80), id="2D"),
        pytest.param("granules", "8,48,48", [], "ZYX", 2, 1, (8, 48, 48), id="3D"),
        pytest.param(
            "spheres", "64,64", ["movie.frames=3"], "YX", 6, 1, (64, 64), id="each-frame-of-a-movie"
        ),
        pytest.param(
            "tubules", "64,64", ["exposure.doses=[1,0.3]"], "YX", 2, 2, (64, 64), id="exposures"
        ),
        pytest.param(
            "tubules",
            "9,48,48",
            ["sampling.z_factor=2.5", "sampling.binning=2"],
            "ZYX",
            2,
            1,
            (9, 48, 48),
            id="coarser-source",
        ),
    ],
)
def test_training_reads_what_was_simulated(
    tmp_path: Path,
    kind: str,
    size: str,
    settings: list[str],
    axes: str,
    count: int,
    channels: int,
    shape: tuple[int, ...],
) -> None:
    out = tmp_path / "pairs"
    extra = ["--set", *settings] if settings else []
    assert simulate(kind, "--out", out, "--count", 2, "--size", size, "--seed", 1, *extra) == 0
    patch = tuple(32 if length > 32 else 4 for length in shape)
    assert len(patch) == len(axes)
    stacks = opened_stacks(out, "auto", patch)  # refuses a patch that does not suit the axes
    assert len(stacks) == count
    for stack in stacks:
        source, target = stack.source.whole(), stack.target.whole()
        assert source.shape == (channels, *shape)
        assert target.shape == (1, *shape)
        assert np.corrcoef(source[0].ravel(), target[0].ravel())[0, 1] > 0.3
    assert Picture.open(out / "preview.png").mode == "L"


def test_a_recipe_makes_the_same_files_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["--count", 2, "--size", "40,48", "--seed", 7, "--set", "exposure.average=[1,10]"]
    assert simulate("nuclei", "--out", tmp_path / "one", *arguments) == 0
    assert capsys.readouterr().out == f"{tmp_path / 'one'}\n"
    assert simulate("--recipe", tmp_path / "one/recipe.yaml", "--out", tmp_path / "two") == 0
    one, two = (
        {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "two")
    )
    assert one == two
    more = ["--recipe", tmp_path / "one/recipe.yaml", "--count", 3]
    assert simulate(*more, "--out", tmp_path / "more") == 0
    for name in ("0000.tif", "0001.tif"):
        first, longer = (
            open_image(tmp_path / folder / "source" / name).pixels for folder in ("one", "more")
        )
        assert np.array_equal(first, longer)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["cells"], "choose one of tubules", id="unknown-kind"),
        pytest.param([], "no kind", id="no-kind"),
        pytest.param(["nuclei", "--size", "12x12"], "give pixels as Y,X or Z,Y,X", id="size"),
        pytest.param(["nuclei", "--set", "camera.gian=3"], '"camera.gain"', id="unknown-key"),
        pytest.param(["nuclei", "--recipe", "no.yaml"], "cannot be read", id="no-recipe"),
        pytest.param(
            ["nuclei", "--set", "optics.psf=no.tif", "--size", "32,32"], "does not exist", id="psf"
        ),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(*arguments, "--out", tmp_path / "out") == 1
    said = capsys.readouterr()
    assert message in said.err
    assert len(said.err.strip().splitlines()) == 1
    assert said.out == ""
    assert not (tmp_path / "out").exists()


def test_a_folder_that_holds_something_is_left_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    assert simulate("nuclei", "--out", tmp_path, "--size", "32,32") == 1
    assert "not empty" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_without_scipy_the_extra_is_named(tmp_path: Path) -> None:
    """In a process where scipy cannot be found."""
    program = (
        "import sys, importlib.util as u\n"
        "found = u.find_spec\n"
        "u.find_spec = lambda name, *rest: None if name == 'scipy' else found(name, *rest)\n"
        "from care_bridge.cli.main import main\n"
        f"sys.exit(main(['simulate', 'nuclei', '--out', {str(tmp_path / 'out')!r}]))\n"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert said.returncode == 1
    (line,) = said.stderr.splitlines()
    assert line.startswith('care-bridge simulate: simulating needs the extra "evaluate": ')
