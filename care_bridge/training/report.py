"""What a finished training has to tell, as one page in its run folder."""

from __future__ import annotations

import platform
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from torch import nn

from care_bridge.atomic import replacing
from care_bridge.evaluation.charts import Series, line_chart
from care_bridge.evaluation.page import page, picture, table_of
from care_bridge.training.checkpoint import BEST, LAST, Checkpoint, load_checkpoint, read_state
from care_bridge.training.patches import shown_plane
from care_bridge.training.run_log import Row, read_log
from care_bridge.training.task import Task

REPORT = "report.html"

_SHOWN = 4
_FEW = 6
_DIGITS = 32
_LIMITS = (0.0, 1.0)
_FIGURES = {
    "loss": "loss",
    "psnr": "PSNR (dB)",
    "psnr_input": "PSNR of the input (dB)",
    "psnr_members": "PSNR of the members, mean (dB)",
    "calibration_error": "calibration error",
}


def write_report(run: Path, task: Task, folders: Sequence[Path]) -> Path:
    """Write `run`'s page, and give its path. folders: of the networks that it trained."""
    best = load_checkpoint(run)
    logs = {folder.name if len(folders) > 1 else "": read_log(folder) for folder in folders}
    files = sorted(task.files)
    parts = [
        "<h2>Validation</h2>",
        _validation(best),
        "<h2>Learning</h2>",
        *_curves(logs),
        "<h2>Patches that training did not see</h2>",
        '<p class="said">Normalised, black 0, white 1; of volumes the middle slice, of channels '
        "the first. Where the restored picture shows what the input does not, ask what it is "
        "made of.</p>",
        *_examples(best.network, task),
        "<h2>Run</h2>",
        table_of([["what", ""], *_facts(best, task, folders, logs)]),
        "<h2>Images</h2>",
        table_of([["images", "number", "names"], *_images(best)]),
        f"<details><summary>Hashes (BLAKE2b, {_DIGITS} digits of them) of the files</summary>",
        table_of([["file", "hash"], *([name, task.files[name][:_DIGITS]] for name in files)]),
        "</details>",
    ]
    with replacing(run / REPORT) as partial:
        partial.write_text(page(f"Training: {run.resolve().name}", parts), "utf-8")
    return run / REPORT


def _validation(best: Checkpoint) -> str:
    told = [[_FIGURES[name], f"{value:.4g}"] for name, value in best.validation.items()]
    return table_of([[f"on {best.validated_on}", ""], *told])


def _curves(logs: Mapping[str, Sequence[Row]]) -> Iterator[str]:
    losses = dict(_lines(logs, {"training": "loss", "validation": "validation_loss"}))
    psnr = dict(_lines(logs, {"PSNR": "validation_psnr", "of the input": "validation_psnr_input"}))
    for lines, label in ((losses, "loss"), (psnr, "PSNR (dB)")):
        if lines:
            values = [value for _, ys in lines.values() for value in ys]
            yield line_chart(
                lines,
                x_label="step",
                y_label=label,
                log_y=label == "loss" and min(values) > 0,
                dots=max(len(xs) for xs, _ in lines.values()) <= _FEW,
            )


def _lines(
    logs: Mapping[str, Sequence[Row]], columns: Mapping[str, str]
) -> Iterator[tuple[str, Series]]:
    for member, rows in logs.items():
        for name, column in columns.items():
            points = [(float(row["step"]), float(row[column])) for row in rows if row[column]]
            if points:
                xs, ys = zip(*points, strict=True)
                yield f"{member} {name}".strip(), (xs, ys)


def _examples(network: nn.Module, task: Task) -> Iterator[str]:
    """The first patch of some validation batches: before, after, and the truth where there is."""
    for source, target in task.validation[:_SHOWN]:
        with torch.no_grad():
            output = network(torch.from_numpy(source[:1]))
        restored = (output[0] if isinstance(output, tuple) else output).numpy()
        shown = source[0]
        if not task.whole_targets:  # the pixels that were hidden
            shown = np.where(np.isnan(target[0]), source[0], target[0])
        planes = {"input": shown, "restored": restored[0]}
        if task.whole_targets:
            planes["target"] = target[0]
        pictures = "".join(
            picture(name, shown_plane(pixels).astype(np.float64), _LIMITS)
            for name, pixels in planes.items()
        )
        yield f'<div class="panels">{pictures}</div>'


def _facts(
    best: Checkpoint, task: Task, folders: Sequence[Path], logs: Mapping[str, Sequence[Row]]
) -> list[list[str]]:
    config, rows = task.config, [row for each in logs.values() for row in each]
    training = config.training
    network = config.network
    filters = f"depth {network.depth}, {network.n_first} first filters, kernel {network.kernel}"
    if config.task == "rcan":
        sizes = config.rcan
        filters = f"{sizes.groups} groups of {sizes.blocks} blocks, {sizes.channels} channels"
    facts = {
        "task": config.task + (", probabilistic" if config.probabilistic else ""),
        "network": f"{best.axes}, {filters}",
        "channels": f"{best.channels_in} in, {best.channels_out} out",
        "weights": sum(weights.numel() for weights in task.network.parameters()),
        "started from": _start(best),
        "networks": len(folders),
        "steps": ", ".join(str(read_state(folder / LAST)["step"]) for folder in folders),
        "best after step": ", ".join(str(read_state(folder / BEST)["step"]) for folder in folders),
        "batches": f"{training.batch_size} patches of "
        + " x ".join(map(str, config.patches.size or ()))
        + (f" on each of {training.devices} devices" if training.devices > 1 else ""),
        "loss": training.loss,
        "learning rate": f"{training.learning_rate:g}, {training.schedule}",
        "precision": training.precision,
        "seed": config.seed,
        "time": _time(sum(_seconds(each) for each in logs.values())),
        "steps a second": f"{np.median([float(row['steps_per_second']) for row in rows]):.3g}",
        "waiting for patches": f"{_share(rows):.1%} of the time",
        **{f"version of {name}": number for name, number in best.versions.items()},
        "Python": platform.python_version(),
        "machine": platform.platform(),
    }
    return [[name, str(value)] for name, value in facts.items()]


def _start(best: Checkpoint) -> str:
    if best.start is None:
        return "freshly drawn weights"
    return ", ".join(f"{key} {value}" for key, value in best.start.items())


def _images(best: Checkpoint) -> Iterator[list[str]]:
    for part, names in best.images.items():
        yield [part, str(len(names)), ", ".join(names)]


def _seconds(rows: Sequence[Row]) -> float:
    """Of all epochs in a log."""
    steps = [0, *(int(row["step"]) for row in rows)]
    return sum(
        (after - before) / float(row["steps_per_second"])
        for (before, after), row in zip(pairwise(steps), rows, strict=True)
    )


def _share(rows: Sequence[Row]) -> float:
    return float(np.median([float(row["waiting_share"]) for row in rows]))


def _time(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {seconds} s"
