"""The pixels of a training on disk: deleted at its end, whatever the end is."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from mmap import ACCESS_READ, mmap
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from care_bridge.training.checkpoint import LAST, read_state
from care_bridge.training.config import load_config
from care_bridge.training.run import train
from tests.interrupted_training import stop_at
from tests.small_training import TINY
from tests.training_pairs import write_pairs


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("data"), 4, (64, 72))


@contextmanager
def finished(_monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    yield


@contextmanager
def interrupted_in_a_step(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    stop_at(1, monkeypatch)
    with pytest.raises(KeyboardInterrupt):
        yield


@contextmanager
def interrupted_while_reading(_monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Ctrl-C where pixels are being copied out of a file."""

    def profile(frame: FrameType, event: str, called: Any) -> None:
        copies = event == "c_call" and called.__name__ == "copy"
        if copies and Path(frame.f_code.co_filename).name == "pixels.py":
            sys.setprofile(None)
            raise KeyboardInterrupt

    sys.setprofile(profile)
    with pytest.raises(KeyboardInterrupt):
        yield
    assert sys.getprofile() is None


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="no list of files in use")
@pytest.mark.parametrize(
    "ending", [finished, interrupted_in_a_step, interrupted_while_reading], ids=lambda f: f.__name__
)
def test_no_file_is_in_use_when_the_pixels_are_deleted(
    data: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ending: Callable[[pytest.MonkeyPatch], AbstractContextManager[None]],
) -> None:
    """Windows deletes no file that is open or mapped, and NFS keeps it by another name."""
    seen, delete = [], shutil.rmtree

    def note_and_delete(path: Path, **how: bool) -> None:
        seen.append((path, list(path.iterdir()), in_use_below(path)))
        delete(path, **how)

    monkeypatch.setattr(shutil, "rmtree", note_and_delete)
    with ending(monkeypatch):
        train(data, tmp_path / "run", load_config(None, [*TINY, "training.steps=2"]))
    ((scratch, files, in_use),) = seen
    assert files
    assert not in_use
    assert not scratch.exists()


def in_use_below(folder: Path) -> set[str]:
    """Files that this process has mapped or open."""
    mapped = {line.split()[-1] for line in Path("/proc/self/maps").read_text().splitlines()}
    opened = {str(link.readlink()) for link in Path("/proc/self/fd").iterdir() if link.is_symlink()}
    return {name for name in mapped | opened if name.startswith(f"{folder}{os.sep}")}


def test_files_in_use_are_seen(tmp_path: Path) -> None:
    for name in ("mapped", "opened", "neither"):
        (tmp_path / name).write_bytes(b"pixels")
    with (tmp_path / "mapped").open("rb") as file:
        map_ = mmap(file.fileno(), 0, access=ACCESS_READ)
    with map_, (tmp_path / "opened").open("rb"):
        assert in_use_below(tmp_path) == {str(tmp_path / "mapped"), str(tmp_path / "opened")}
    assert not in_use_below(tmp_path)


def test_pixels_that_cannot_be_deleted_are_told_of_and_mask_nothing(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    delete, scratch = os.unlink, tmp_path / ".run.pixels"

    def refuse(path: Any, **where: Any) -> None:
        if scratch.is_dir() and Path(path).name in {file.name for file in scratch.iterdir()}:
            raise PermissionError(13, "in use")
        delete(path, **where)

    monkeypatch.setattr(os, "unlink", refuse)
    train(data, tmp_path / "run", load_config(None, [*TINY, "training.steps=1"]))
    assert read_state(tmp_path / "run" / LAST)["step"] == 1
    assert ".run.pixels could not be deleted" in caplog.text
