"""The device, the precision and the processes of a training, by Lightning Fabric.

With several devices each has a process of its own, started as this one was (the command line is run
again); in step k process r of n learns from batch n * k + r, so that n devices with batches of b
see the patches of one with batches of n * b. Gradients are averaged. The first process writes.
"""

from __future__ import annotations

import logging
from typing import Literal

import torch
from lightning.fabric import Fabric

from care_bridge.errors import DeviceError, TrainingError
from care_bridge.training.config import TrainConfig
from care_bridge.training.learning_config import TrainingConfig

_PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "float32": "32-true",
    "bf16": "bf16-mixed",
    "fp16": "16-mixed",
}


def launched(config: TrainingConfig) -> Fabric:
    """The fabric of a configuration, in each of its processes. DeviceError where there are no such
    devices, TrainingError where they do not compute in that precision."""
    for chatty in ("lightning.fabric", "lightning.pytorch"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    _check_devices(config)
    fabric = Fabric(
        accelerator=config.device,
        devices=config.devices,
        strategy="ddp" if config.devices > 1 else "auto",
        precision=_PRECISIONS[config.precision],
    )
    if config.devices > 1:
        fabric.launch()
    if not fabric.is_global_zero:
        logging.getLogger("care_bridge").setLevel(logging.ERROR)
    return fabric


def check_bf16(config: TrainConfig, device: torch.device) -> None:
    """TrainingError where torch's CPU convolutions in bfloat16 would give wrong gradients: those of
    3D layers with two slices were measured to be off by half, or infinite (torch 2.15).

    config: resolved."""
    slices, *plane = config.patches.size or ()
    levels = [slices >> halvings for halvings in range(config.size_step.bit_length())]
    on_cpu = config.training.precision == "bf16" and device.type == "cpu"
    if on_cpu and len(plane) == 2 and 2 in levels:
        raise TrainingError(
            f"patches of {slices} slices leave two on a level of the network, where bf16 goes "
            f"wrong on a CPU: take patches of {4 * config.size_step} slices, or "
            "training.precision=float32"
        )


def _check_devices(config: TrainingConfig) -> None:
    found = torch.cuda.device_count()
    if config.device == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "training.device is cuda, but this torch finds no CUDA GPU: install torch with CUDA "
            "and a driver for it, or set training.device=cpu"
        )
    if found and config.device != "cpu" and config.devices > found:
        raise DeviceError(
            f"training.devices is {config.devices}, but torch finds {found} CUDA GPUs: set at most "
            "as many"
        )
    if config.precision == "fp16" and (config.device == "cpu" or not found):
        raise TrainingError(
            "training.precision is fp16, which needs a CUDA GPU: take bf16 or float32"
        )
