"""Learning from noisy images alone: the data, the networks, and what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import convolve1d, maximum_filter

from care_bridge.errors import ConfigError, TrainingError
from care_bridge.training.checkpoint import build_network, load_checkpoint
from care_bridge.training.config import load_config
from care_bridge.training.n2v import prepare
from care_bridge.training.networks.pooling import MaxBlurPool
from care_bridge.training.run import train
from tests.training_pairs import blobs, write_image

RNG = np.random.default_rng(12)
SMALL = ("patches.size=[16,16]", "patches.validation_batches=1", "training.batch_size=4")


def movies(folder: Path, count: int = 2) -> Path:
    """Stacks with frames and channels, as noisy images alone."""
    for index in range(count):
        movie = np.stack([blobs((2, 40, 48), RNG) for _ in range(3)])
        write_image(folder / f"movie{index}.tif", RNG.poisson(movie / 9).astype("u2"), "TCYX")
    return folder


@pytest.mark.parametrize("task", ["n2v", "n2v2", "structn2v"])
def test_batches_show_noisy_images_with_some_pixels_hidden(tmp_path: Path, task: str) -> None:
    data = movies(tmp_path / "data")
    config = load_config(None, [f"task={task}", *SMALL, "n2v.masked_percentage=4"])
    made = prepare(data, config, tmp_path / "scratch")
    assert (made.channels_in, made.channels_out) == (2, 2)
    assert set(made.files) == {"source movie0.tif", "source movie1.tif"}
    known = []
    for k in range(30):
        shown, hidden = made.batch(k)
        assert shown.shape == hidden.shape == (4, 2, 16, 16)
        again = made.batch(k)
        np.testing.assert_array_equal(shown, again[0])
        np.testing.assert_array_equal(hidden, again[1])
        known.append(np.isfinite(hidden))
    assert np.mean(known) == pytest.approx(0.04, rel=0.05)
    assert not np.array_equal(known[0], known[1])
    # Each image was decoded once: it is its own target.
    assert len(list((tmp_path / "scratch").iterdir())) == 2


def test_structured_noise_keeps_its_axis(tmp_path: Path) -> None:
    """Rows of one grey level each stay rows, however the patch is flipped."""
    rows = RNG.integers(10, 5000, (64, 1)).astype("u2").repeat(64, axis=1)
    for name in ("a.tif", "b.tif"):
        write_image(tmp_path / "data" / name, rows)
    config = load_config(None, ["task=structn2v", *SMALL, "n2v.masked_percentage=10"])
    made = prepare(tmp_path / "data", config, tmp_path / "scratch")
    for k in range(8):
        _, hidden = made.batch(k)
        for patch in hidden[:, 0]:
            levels = [row[np.isfinite(row)] for row in patch]
            # Normalised, they differ in the last bit at most.
            assert all(np.ptp(row) < 1e-5 for row in levels if row.size)
            assert len({round(float(row[0]), 3) for row in levels if row.size}) > 4


@pytest.mark.parametrize("dimensions", [2, 3])
def test_blur_pooling_is_a_maximum_blurred_and_every_second_pixel(dimensions: int) -> None:
    image = RNG.random((8, 10, 12)[-dimensions:], np.float32)
    # Without the last pixel, whose neighbour is outside; then zeros all around.
    highest = maximum_filter(image, 2, origin=-1)[(slice(-1),) * dimensions]
    blurred = np.pad(highest, (0, 1)).astype(np.float64)
    for axis in range(dimensions):
        blurred = convolve1d(blurred, [0.25, 0.5, 0.25], axis, mode="constant")
    inner = blurred[(slice(None, None, 2),) * dimensions]
    found = MaxBlurPool(dimensions)(torch.from_numpy(image)[None, None].expand(1, 3, *image.shape))
    for channel in found[0].numpy():
        np.testing.assert_allclose(channel, inner, atol=1e-6)


@pytest.mark.parametrize("axes", ["YX", "ZYX"])
def test_the_networks_of_n2v_and_n2v2(axes: str) -> None:
    """n2v's last level gets the first level's features, n2v2's does not."""
    inputs = torch.rand(1, 1, *(16,) * len(axes))
    for task, joined in (("n2v", 8), ("n2v2", 4)):
        config = load_config(None, [f"task={task}", "network.n_first=4", "network.kernel=3"])
        network = build_network(config.resolved(axes), 1, 1).eval()
        assert network.decoder[-1][0].in_channels == joined
        torch.nn.init.zeros_(network.last.weight)
        assert not network(inputs).any()  # the input is not added
        kinds = [type(module).__name__.rstrip("23d") for module in network.modules()]
        assert (kinds.count("Conv"), kinds.count("BatchNorm")) == (11, 10)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        pytest.param(["preset=denoise"], "preset has the value denoise.*task n2v", id="preset"),
        pytest.param(["data.target=GT"], "data.target has the value GT.*alone", id="target"),
        pytest.param(["training.loss=mae+ssim"], "training.loss has the value mae", id="loss"),
        pytest.param(["n2v.masked_percentage=50"], "n2v.masked_percentage has the", id="share"),
        pytest.param(["n2v.span=4"], "n2v.span has the value 4: .*odd", id="span"),
        pytest.param(["task=care", "data.target=null"], "data.target.*from pairs", id="care"),
    ],
)
def test_keys_that_do_not_suit_the_task_are_one_line(settings: list[str], expected: str) -> None:
    with pytest.raises(ConfigError, match=expected) as caught:
        load_config(None, ["task=n2v", *settings])
    assert "\n" not in str(caught.value)


def test_noise_along_an_axis_that_is_not_there_is_refused() -> None:
    config = load_config(None, ["task=structn2v", "n2v.axis=Z"])
    with pytest.raises(ConfigError, match=r"n2v\.axis has the value Z, the network .* YX"):
        config.resolved("YX")
    config.resolved("ZYX")


def test_folders_without_images_are_named(tmp_path: Path) -> None:
    config = load_config(None, ["task=n2v"])
    with pytest.raises(TrainingError, match="holds nothing: expected a folder of images"):
        prepare(tmp_path, config, tmp_path / "scratch")
    config = load_config(None, ["task=n2v", "data.source=raw"])
    with pytest.raises(TrainingError, match="holds nothing: expected .*data.source names another"):
        prepare(tmp_path, config, tmp_path / "scratch")


def test_it_takes_noise_away_that_it_never_saw_without(tmp_path: Path) -> None:
    """Images of smooth blobs with independent noise: the error to the truth, which training never
    saw, after a short run."""
    rng = np.random.default_rng(11)
    truth = np.stack([blobs((64, 64), rng) for _ in range(4)])
    noisy = truth + rng.normal(0, 150, truth.shape)
    for index, image in enumerate(noisy):
        write_image(tmp_path / "data" / f"im{index}.tif", image.astype(np.float32))
    settings = ["network.n_first=8", "network.kernel=3", "network.depth=1", "training.steps=400"]
    learn = ["training.learning_rate=5e-3", "training.schedule=cosine", "training.device=cpu"]
    epochs = ["training.steps_per_epoch=400", "normalization.mode=fixed", "training.batch_size=8"]
    config = load_config(None, ["task=n2v", *SMALL, *settings, *learn, *epochs])
    train(tmp_path / "data", tmp_path / "run", config)
    checkpoint = load_checkpoint(tmp_path / "run")
    assert set(checkpoint.validation) == {"loss"}
    (scale,) = checkpoint.intensities.source
    with torch.no_grad():
        restored = checkpoint.network(torch.from_numpy(scale.apply(noisy))[:, None])[:, 0].numpy()
    error = np.std(scale.invert(restored) - truth)
    assert error < 0.75 * np.std(noisy - truth)


@pytest.mark.parametrize("task", ["n2v", "n2v2", "structn2v"])
def test_patches_with_hardly_a_masked_pixel_are_refused(tmp_path: Path, task: str) -> None:
    data = movies(tmp_path / "data")
    config = load_config(None, [f"task={task}", *SMALL, "patches.size=[8,8]"])
    with pytest.raises(ConfigError, match=r"patch too small .* 1.5 percent .* \[8, 8\] are 0.96"):
        prepare(data, config, tmp_path / "scratch")
