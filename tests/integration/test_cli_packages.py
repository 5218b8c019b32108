"""The verbs export, check and inspect, as they are called."""

import json

import pytest

from care_bridge import load_package
from care_bridge.cli.main import main
from tests.packages import tiny_package
from tests.training_pairs import write_pairs


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """The folder of a real training run, of two batches."""
    folder = tmp_path_factory.mktemp("training")
    data = write_pairs(folder / "data", 2, (64, 72))
    settings = (
        "network.n_first=4",
        "network.kernel=3",
        "patches.size=[32, 32]",
        "training.steps=2",
        "training.steps_per_epoch=1",
        "training.batch_size=2",
        "training.device=cpu",
    )
    command = ["train", data, "--out", folder / "run_7", "--set", *settings]
    assert main([str(part) for part in command]) == 0
    return folder / "run_7"


def test_from_a_run_to_a_checked_zip(run, tmp_path, capsys):
    out = tmp_path / "model.zip"
    flags = ["--author", "Ada", "--author", "Bob", "--license", "CC0-1.0", "--tag", "nuclei"]
    flags += ["--model-version", "1.1.0"]
    assert main(["export", str(run), "--out", str(out), *flags]) == 0
    said = capsys.readouterr()
    assert said.out.splitlines()[-1].startswith(f"{out} passes: 0 errors")
    assert "differs from torch by" in said.err
    assert "before you share it" not in said.err
    spec = load_package(out).spec
    assert (spec.name, spec.license, spec.version) == ("CARE 2D run_7", "CC0-1.0", "1.1.0")
    assert spec.tiling["Y"].halo == 22

    assert main(["check", str(out), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["passed"] is True

    assert main(["export", str(run), "--out", str(out)]) == 1
    assert "exists already" in capsys.readouterr().err

    for argument in ("--author", "--name", "--license", "--tag", "--training-data"):
        assert main(["export", str(run), "--out", str(out), argument, " \n", "--overwrite"]) == 1
        assert capsys.readouterr().err.splitlines() == [
            f'care-bridge export: {argument} was given "", a text was expected: leave it out or '
            "fill it in"
        ]
    sizes = ["--pixel-size", "YX=0.1", "--pixel-size", "X=0.2"]
    assert main(["export", str(run), "--out", str(out), *sizes, "--overwrite"]) == 1
    assert "along X was given twice: give it once" in capsys.readouterr().err
    assert main(["export", str(run), "--out", str(out), "--author", "Ada", "--overwrite"]) == 0
    said = [line for line in capsys.readouterr().err.splitlines() if "before you share it" in line]
    assert len(said) == 1
    assert "with --license:" in said[0]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["export", "{here}", "--out", "{here}/m.zip"], "no checkpoint"),
        (["check", "{here}/nothing"], "there is no model package"),
        (["inspect", "{here}"], "no rdf.yaml"),
        (["models", "path", "denoise-9d"], "there is no model package"),
    ],
    ids=["no-run", "no-package", "no-description", "no-model"],
)
def test_what_is_not_there_is_one_line(tmp_path, capsys, arguments, expected):
    assert main([part.format(here=tmp_path) for part in arguments]) == 1
    said = capsys.readouterr()
    assert said.out == ""
    assert expected in said.err
    assert said.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_a_package_with_an_error_fails_its_check(tmp_path, capsys):
    tiny_package(tmp_path, halo=4)
    assert main(["check", str(tmp_path)]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("error   along Y") for line in lines)
    counts = "4 errors, 0 warnings, 1 note; --fix may mend 2"
    assert lines[-1] == f"{tmp_path} fails: {counts}"


def test_inspect_shows_what_a_package_is(tmp_path, capsys):
    tiny_package(tmp_path, dims=3, percentiles=(1, 99.9))
    assert main(["inspect", str(tmp_path)]) == 0
    shown = capsys.readouterr().out
    for expected in ("Tiny network for tests 0.1.0", "CC0-1.0", "Z 12, Y 12, X 12", "1 and 99.9"):
        assert expected in shown
    assert main(["inspect", str(tmp_path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["tiling"]["Z"] == {
        "step": 4,
        "min": 4,
        "halo": 12,
        "most": None,
    }
