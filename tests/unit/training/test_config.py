"""The training configuration: what it takes, what it refuses and what it says then."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from care_bridge.errors import ConfigError
from care_bridge.training.config import dump_config, load_config


def test_settings_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    file = tmp_path / "config.yaml"
    file.write_text("seed: 3\ntraining:\n  learning_rate: 1e-3\n  batch_size: 4\npatches:\n")
    config = load_config(file, ["training.batch_size=8", "patches.size=[64, 96]"])
    assert (config.seed, config.training.learning_rate) == (3, 0.001)
    assert (config.training.batch_size, config.patches.size) == (8, (64, 96))
    assert config.training.steps == 100 * 400


@pytest.mark.parametrize(
    ("axes", "patch", "kernel"), [("YX", (128, 128), 5), ("ZYX", (16, 64, 64), 3)]
)
def test_what_depends_on_the_axes_is_filled_in_and_survives_a_file(
    tmp_path: Path, axes: str, patch: tuple[int, ...], kernel: int
) -> None:
    config = load_config(None, ["seed=7"]).resolved(axes)
    assert (config.patches.size, config.network.kernel) == (patch, kernel)
    file = tmp_path / "config.yaml"
    file.write_text(dump_config(config))
    assert load_config(file) == config


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        pytest.param("trainng.steps=3", '"trainng": did you mean "training"', id="section"),
        pytest.param("training.stepz=3", 'did you mean "training.steps"', id="key"),
        pytest.param("lerning_rate=3", 'did you mean "training.learning_rate"', id="no-section"),
        pytest.param("training.steps=0", "training.steps has the value 0: ", id="too-small"),
        pytest.param("training.steps=x", "training.steps has the value 'x': ", id="no-number"),
        pytest.param("training.learning_rate=inf", "_rate has .*'inf': .*finite", id="infinite"),
        pytest.param(
            "training.clip_gradients=.inf", "_gradients has .* finite", id="yaml-infinite"
        ),
        pytest.param("isotropic.noise=.nan", "isotropic.noise has .* nan: ", id="nan"),
        pytest.param(
            "seed=9223372036854775808", "seed has the value 9223372036854775808", id="seed"
        ),
        pytest.param("training=3", "training has the value 3: this is a section", id="no-key"),
        pytest.param("network.n_first=1000000", "value 1000000: it should", id="uncountable"),
        pytest.param("network.kernel=4", "network.kernel has the value 4: .*odd", id="even"),
        pytest.param("patches.size=64", "^patches.size has the value 64: give a list", id="list"),
        pytest.param(
            "isotropic={numerical_aperture: 1.4, wavelength: 0.5}",
            r"^isotropic: numerical_aperture 1\.4 must lie below refractive_index 1\.33: set that",
            id="several-keys",
        ),
        pytest.param("patches.size=[0, 32]", "^patches.size has the value 0: it should", id="item"),
        pytest.param("normalization.low=99.9", "must lie below the upper", id="crossed"),
        pytest.param("normalization.train_low=[3,1]", "smallest first", id="reversed"),
        pytest.param("steps", '"steps" is no setting: write section.key=value', id="no-value"),
        pytest.param("seed=[1", 'the value of "seed=.1" is not valid YAML', id="no-yaml"),
        pytest.param("seed=2024-13-45", 'the value of "seed=2024-13-45" is not', id="no-date"),
        pytest.param("seed=" + "[" * 5000, "nested too deep", id="nested"),
    ],
)
def test_a_bad_setting_is_named_in_one_line(setting: str, expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        load_config(None, [setting])
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("seed: [1", "is not valid YAML: .*line 1", id="no-yaml"),
        pytest.param("seed: 2024-13-45", "is not valid YAML: month must be", id="no-date"),
        pytest.param("seed: " + "[" * 5000, "nested too deep", id="nested"),
        pytest.param("seed: &a 1\nnetwork: *a", "holds the alias", id="alias"),
        pytest.param("just words", "holds no keys", id="no-mapping"),
        pytest.param("1: 2", "holds no keys", id="keys-are-numbers"),
    ],
)
def test_a_bad_file_is_named_in_one_line(tmp_path: Path, text: str, expected: str) -> None:
    file = tmp_path / "config.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=expected) as caught:
        load_config(file)
    assert "\n" not in str(caught.value)
    assert str(file) in str(caught.value)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.yaml cannot be read"):
        load_config(tmp_path / "nowhere.yaml")


@pytest.mark.parametrize(
    ("axes", "settings"),
    [
        pytest.param("YX", ["patches.size=[16, 64, 64]"], id="three-sizes-in-2d"),
        pytest.param("YX", ["patches.size=[66, 64]"], id="no-multiple-of-4"),
        pytest.param("YX", ["patches.size=[64, 64]", "network.depth=7"], id="too-deep"),
        pytest.param("ZYX", ["network.depth=5"], id="default-patch-too-flat"),
    ],
)
def test_a_patch_must_suit_the_network(axes: str, settings: list[str]) -> None:
    with pytest.raises(ConfigError):
        load_config(None, settings).resolved(axes)


def test_the_documentation_lists_every_key_with_its_default() -> None:
    documentation = Path(__file__).parents[3] / "docs" / "training.md"
    listed = documentation.read_text(encoding="utf-8").split("```yaml\n")[1].split("```")[0]
    assert yaml.safe_load(listed) == yaml.safe_load(dump_config(load_config(None)))


@pytest.mark.parametrize("task", ["structn2v", "isotropic"])
def test_patches_of_tasks_with_a_direction_are_not_turned(task: str) -> None:
    with pytest.raises(ConfigError, match=f"turns patches, but the task {task} .* give flips"):
        load_config(None, [f"task={task}", "patches.augment=true"])
    assert load_config(None, [f"task={task}"]).patches.augment == "flips"


def test_isotropic_restoration_goes_plane_by_plane() -> None:
    config = load_config(None, ["task=isotropic"])
    with pytest.raises(ConfigError, match="network.axes has the value ZYX, the task isotropic"):
        config.resolved("ZYX")
