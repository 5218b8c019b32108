"""What tasks and presets change, and what wins over them."""

from __future__ import annotations

from pathlib import Path

import pytest

from care_bridge.errors import ConfigError
from care_bridge.training.config import dump_config, load_config, parse_config
from care_bridge.training.defaults import PRESETS, TASKS


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
