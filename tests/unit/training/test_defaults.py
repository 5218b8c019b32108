"""What tasks and presets change, and what wins over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from care_bridge.errors import ConfigError
from care_bridge.training.config import dump_config, load_config, parse_config
from care_bridge.training.defaults import PAIR_TASKS, PRESETS, TASKS


@pytest.mark.parametrize("task", TASKS)
def test_every_task_has_a_configuration_that_survives_a_file(tmp_path: Path, task: str) -> None:
    config = load_config(None, [f"task={task}"])
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config))
    assert load_config(file) == config
    assert parse_config(config.model_dump()) == config


@pytest.mark.parametrize(
    ("preset", "steps", "epoch", "kernel", "filters"),
    [
        pytest.param("denoise", 25_600, 256, None, 32, id="denoise"),
        pytest.param("deconvolve", 51_200, 256, None, 32, id="deconvolve"),
        pytest.param("aberration", 10_000, 100, 5, 32, id="aberration"),
        pytest.param("resolution", 25_600, 256, None, 64, id="resolution"),
    ],
)
def test_presets_have_the_books_lengths(
    preset: str, steps: int, epoch: int, kernel: int | None, filters: int
) -> None:
    config = load_config(None, [f"preset={preset}"])
    assert (config.training.steps, config.training.steps_per_epoch) == (steps, epoch)
    assert (config.network.kernel, config.network.n_first) == (kernel, filters)
    assert set(PRESETS) == {"denoise", "deconvolve", "aberration", "resolution"}


def test_the_user_wins_over_the_preset_and_the_preset_over_the_task(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("task: n2n\npreset: deconvolve\ntraining: {steps_per_epoch: 7}\ndata:\n")
    config = load_config(file, ["training.loss=mae+ssim"])
    assert (config.training.steps, config.training.steps_per_epoch) == (51_200, 7)
    assert config.training.loss == "mae+ssim"
    assert (config.data.target, config.normalization.target) == ("target", "source")
    assert load_config(None, ["task=n2n"]).training.loss == "mse"


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(
            ["n2v.masked_percentage=3"],
            "n2v.masked_percentage has the value 3.0, which is for the task n2v or n2v2 or "
            "structn2v, not for care: leave it out, or set task=n2v",
            id="n2v-in-care",
        ),
        pytest.param(
            ["task=n2v", "n2v.span=7"],
            "n2v.span has the value 7, which is for the task structn2v, not for n2v: leave it out, "
            "or set task=structn2v",
            id="structn2v-in-n2v",
        ),
        pytest.param(
            ["task=n2v", "isotropic.noise=3"],
            "isotropic.noise has the value 3.0, which is for the task isotropic, not for n2v: "
            "leave it out, or set task=isotropic",
            id="isotropic-in-n2v",
        ),
        pytest.param(
            ["task=rcan", "network.n_first=64"],
            "network.n_first has the value 64, which is for U-Nets, not for the task rcan: leave "
            "it out, or set rcan.channels, rcan.groups or rcan.blocks",
            id="unet-in-rcan",
        ),
        *(
            pytest.param([f"{section}.{key}=9"], f"{section}.{key} has the value 9", id=section)
            for section, key in (("upsampling", "z"), ("projection", "n_first"), ("rcan", "blocks"))
        ),
    ],
)
def test_a_key_for_another_task_is_told(settings: list[str], expected: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, settings)
    assert str(caught.value).startswith(expected)


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("axes", ["YX", "ZYX"])
def test_what_a_run_was_told_may_be_told_again(tmp_path: Path, task: str, axes: str) -> None:
    """Its config.yaml names all keys, of other tasks too; a preset of an RCAN sets filters."""
    preset = ["preset=resolution"] if task in PAIR_TASKS else []
    config = load_config(None, [f"task={task}", *preset])
    if config.network.axes in ("auto", axes):
        config = config.resolved(axes)
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config))
    assert load_config(file) == config


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        pytest.param("task=n3n", "task has the value 'n3n'", id="task"),
        pytest.param("task=[1]", "task has the value .1.", id="no-text"),
        pytest.param("preset=sharpen", "preset has the value 'sharpen'", id="preset"),
    ],
)
def test_an_unknown_task_or_preset_is_one_line(setting: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        load_config(None, [setting])
    assert "\n" not in str(caught.value)
