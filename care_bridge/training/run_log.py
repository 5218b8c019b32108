"""What a run tells while it goes on: a progress bar, log.csv and TensorBoard."""

from __future__ import annotations

import csv
import logging
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from lightning.fabric.loggers.tensorboard import TensorBoardLogger
from numpy.typing import NDArray
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from care_bridge.atomic import replacing
from care_bridge.errors import TrainingError
from care_bridge.training.learning_config import TrainingConfig

log = logging.getLogger(__name__)

LOG = "log.csv"
Row = dict[str, str]

_COLUMNS = (
    "step",
    "loss",
    "validation_loss",
    "validation_psnr",
    "validation_psnr_input",
    "validation_calibration_error",
    "learning_rate",
    "steps_per_second",
    "waiting_share",
)


class RunLog:
    """The progress of a run that starts at step `first`; a context manager.

    log.csv gets a row at each validation; rows of steps after `first`, which an interrupted run
    had written, are dropped, in TensorBoard too.
    """

    def __init__(self, run: Path, first: int, config: TrainingConfig) -> None:
        self._run = run
        self._steps = config.steps
        self._step = first
        self._keep_rows(first)
        self._bar = tqdm(
            total=config.steps,
            initial=first,
            unit="step",
            file=sys.stderr,
            disable=None,
            smoothing=0.05,
        )
        self._redirect = logging_redirect_tqdm([logging.getLogger("care_bridge")])
        self._board = TensorBoardLogger(
            root_dir=run, name="tensorboard", version="", purge_step=first + 1
        )
        self._waited = 0.0
        self._since = (time.monotonic(), first)

    def __enter__(self) -> RunLog:
        self._redirect.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._board.finalize("done")
        self._bar.close()
        self._redirect.__exit__(None, None, None)

    def stepped(self, waited: float) -> None:
        """A step is done, for whose batch the network had waited so many seconds."""
        self._bar.update()
        self._waited += waited

    def learned(self, step: int, losses: Sequence[float], learning_rate: float) -> None:
        """`losses` are those of the steps since the last call."""
        mean = sum(losses) / len(losses)
        self._bar.set_postfix(loss=f"{mean:.4f}", refresh=False)
        self._board.log_metrics({"loss": mean, "learning_rate": learning_rate}, step)

    def validated(
        self, step: int, loss: float, figures: Mapping[str, float], learning_rate: float
    ) -> None:
        """An epoch has ended with these figures; `loss`: the mean of its steps."""
        now = time.monotonic()
        started, first = self._since
        row = {
            "step": step,
            "loss": loss,
            **{f"validation_{name}": figure for name, figure in figures.items()},
            "learning_rate": learning_rate,
            "steps_per_second": (step - first) / (now - started),
            "waiting_share": self._waited / (now - started),
        }
        with (self._run / LOG).open("a", newline="", encoding="utf-8") as stream:
            csv.DictWriter(stream, _COLUMNS).writerow(row)
        self._board.log_metrics(
            {f"validation/{name}": figure for name, figure in figures.items()}, step
        )
        log.info(
            "step %d of %d: loss %.4f, validation loss %.4f%s",
            step,
            self._steps,
            loss,
            figures["loss"],
            f", PSNR {figures['psnr']:.2f} dB" if "psnr" in figures else "",
        )
        self._waited = 0.0
        self._since = (now, step)

    def shown(self, step: int, pictures: Mapping[str, NDArray[np.float32]]) -> None:
        """Put pictures (Y, X), of which 0 is shown black and 1 white, into TensorBoard."""
        for name, picture in pictures.items():
            levels = np.nan_to_num(picture.clip(0, 1))
            self._board.experiment.add_image(f"patch/{name}", levels, step, dataformats="HW")

    def _keep_rows(self, first: int) -> None:
        rows = [row for row in read_log(self._run) if int(row["step"]) <= first]
        with (
            replacing(self._run / LOG) as partial,
            partial.open("w", newline="", encoding="utf-8") as stream,
        ):
            writer = csv.DictWriter(stream, _COLUMNS)
            writer.writeheader()
            writer.writerows(rows)


def read_log(run: Path) -> list[Row]:
    """The rows of a run's log, one for each validation; without the last one where it is cut short,
    as by a full disk; none where there is no log. TrainingError where another program wrote it."""
    file = run / LOG
    if not file.exists():
        return []
    with file.open(newline="", encoding="utf-8", errors="replace") as stream:
        reader = csv.DictReader(stream, restval="")
        names, rows = tuple(reader.fieldnames or ()), list(reader)
    if names != _COLUMNS:
        raise TrainingError(
            f"{file} does not start with the columns that training writes (a spreadsheet program "
            "may have saved it): bring the run's own one back, or delete it, a new one is begun"
        )
    return [row for row in rows if row[_COLUMNS[-1]]]
