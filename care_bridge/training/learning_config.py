"""The configuration of how a network learns."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from care_bridge.training.section import Section


class TrainingConfig(Section):
    """How the network learns.

    steps: batches in total; steps_per_epoch: batches between two validations. batch_size: patches
    in a batch of each device. loss: mean absolute error, mean squared error, or the former plus
    1 - SSIM; that of probabilistic networks is "laplace", the negative log-likelihood. schedule:
    "plateau" multiplies the learning rate by plateau_factor after plateau_patience epochs without
    a better network; "cosine" lowers it to zero over all steps. early_stopping: end after so many
    epochs without a better network; None: never. Which network is better the validation tells: by
    PSNR where the target's contrast is guessed (normalization.target), by the loss elsewhere.
    clip_gradients: the largest norm of all gradients together, which longer ones are scaled to;
    None: any. precision: "bf16" and "fp16" (on CUDA GPUs, with a scaled loss) compute convolutions
    in 16 bits, the weights stay float32. channels_last: memory layout, faster on most machines, the
    same up to rounding. deterministic: the same numbers each time on a GPU, too, where torch can,
    and slower; on a CPU they always are. devices: GPUs that learn together, each in a process of
    its own (processes.py).
    """

    steps: Annotated[int, Field(gt=0)] = 40_000
    steps_per_epoch: Annotated[int, Field(gt=0)] = 400
    batch_size: Annotated[int, Field(gt=0)] = 16
    loss: Literal["mae", "mse", "mae+ssim", "laplace"] = "mae"
    learning_rate: Annotated[float, Field(gt=0)] = 4e-4
    schedule: Literal["plateau", "cosine"] = "plateau"
    plateau_factor: Annotated[float, Field(gt=0, lt=1)] = 0.5
    plateau_patience: Annotated[int, Field(ge=0)] = 10
    early_stopping: Annotated[int, Field(ge=1)] | None = None
    clip_gradients: Annotated[float, Field(gt=0)] | None = None
    precision: Literal["float32", "bf16", "fp16"] = "float32"
    channels_last: bool = True
    deterministic: bool = False
    device: Literal["auto", "cpu", "cuda"] = "auto"
    devices: Annotated[int, Field(ge=1)] = 1
