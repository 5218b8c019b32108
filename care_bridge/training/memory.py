"""What a training needs of the memory: asked before, and told where it runs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import torch

from care_bridge.errors import TrainingError
from care_bridge.training.architecture import architecture
from care_bridge.training.config import TrainConfig

# A weight, its gradient and Adam's two moments, in float32 at every precision.
_BYTES_OF_A_WEIGHT = 4 * 4
_GIB = 1 << 30


def check_memory(config: TrainConfig, channels_in: int, channels_out: int) -> None:
    """TrainingError where the weights of the network alone, in training, are more than the device's
    whole memory. config: resolved."""
    with torch.device("meta"):  # shapes alone: no memory
        network = architecture(config, channels_in, channels_out).network()
    weights = sum(each.numel() for each in network.parameters())
    needed, there = weights * _BYTES_OF_A_WEIGHT, _memory(config)
    if needed > there:
        raise TrainingError(
            f"the network has about {weights:.2g} weights, which need {needed / _GIB:.3g} GiB in "
            f"training, and there are {there / _GIB:.3g} GiB of memory: set a lower "
            f"{_filters(config)}"
        )


@contextmanager
def memory_is_told(config: TrainConfig) -> Iterator[None]:
    """TrainingError where the device's memory runs out, with what to make smaller."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # On a CPU torch raises a bare RuntimeError.
        ran_out = isinstance(error, torch.OutOfMemoryError | MemoryError)
        if not ran_out and "allocate memory" not in str(error):
            raise
        size = " x ".join(map(str, config.patches.size or ()))
        raise TrainingError(
            f"memory ran out on {config.training.batch_size} patches of {size} pixels: set a lower "
            f"training.batch_size, patches.size, or {_filters(config)}"
        ) from None


def _filters(config: TrainConfig) -> str:
    """E.g. "network.n_first than 64"."""
    if config.task == "rcan":
        return f"rcan.channels than {config.rcan.channels}"
    filters = f"network.n_first than {config.network.n_first}"
    if config.task == "projection":
        filters += f", or projection.n_first than {config.projection.n_first}"
    return filters


def _memory(config: TrainConfig) -> int:
    """Bytes of the device that is trained on."""
    if config.training.device != "cpu" and torch.cuda.is_available():
        return torch.cuda.get_device_properties(0).total_memory
    return psutil.virtual_memory().total
