"""How near networks come to the validation patches' targets, and how well they know it."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from care_bridge.evaluation.metrics import care_psnr
from care_bridge.evaluation.reliability import (
    Laplaces,
    calibration,
    fitted_spread,
    laplaces_from_channels,
)
from care_bridge.training.networks.mixture import Mixture
from care_bridge.training.task import Task


def figures(
    task: Task,
    restored: NDArray[np.float32],
    members: NDArray[np.float32] | None,
    spread: float = 1.0,
) -> dict[str, float]:
    """psnr, and psnr_input where input and target have as many channels, in dB; of probabilistic
    networks calibration_error besides. A stack whose target is a plane is its maximum projection.

    restored: (B, C, …) for all validation patches. members: the predicted distributions (B, 2 * M
    * C, …), None where there are none. spread: of them about their mean (Laplaces.spread).
    """
    sources, targets = map(np.concatenate, zip(*task.validation, strict=True))
    if sources.ndim > targets.ndim:
        sources = sources.max(axis=2)
    found = {"psnr": care_psnr(restored, targets)}
    if task.channels_in == task.channels_out:
        found["psnr_input"] = care_psnr(sources, targets)
    if members is not None:
        truth, predicted = _compared(task, members)
        found["calibration_error"] = calibration(truth, predicted.spread(spread)).error
    return found


def _compared(task: Task, members: NDArray[np.float32]) -> tuple[NDArray[np.float32], Laplaces]:
    """The validation patches' targets, channels first, and what is predicted of them."""
    truth = np.moveaxis(np.concatenate([target for _, target in task.validation]), 1, 0)
    return truth, laplaces_from_channels(np.moveaxis(members, 1, 0), task.channels_out)


def ensemble_figures(
    task: Task, network: Mixture, device: torch.device
) -> tuple[dict[str, float], float]:
    """`figures` of an ensemble, and psnr_members, the mean of its members' own; and the spread with
    which its intervals hold."""
    network.eval().to(device)
    restored, members = [], []
    with torch.inference_mode():
        for source, _ in task.validation:
            outputs = network(torch.from_numpy(source).to(device))
            restored.append(outputs[0].cpu().numpy())
            members.append(outputs[1].cpu().numpy())
    joined = np.concatenate(members)
    count, channels = len(network.members), task.channels_out
    means = joined.reshape(len(joined), count, 2, channels, *joined.shape[2:])[:, :, 0]
    targets = np.concatenate([target for _, target in task.validation])
    own = [care_psnr(means[:, number], targets) for number in range(count)]
    spread = fitted_spread(*_compared(task, joined))
    found = figures(task, np.concatenate(restored), joined, spread)
    return found | {"psnr_members": float(np.mean(own))}, spread
