"""Restoring what an acquisition writes while it is written."""

import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest
import tifffile

from care_bridge import Restorer
from care_bridge.axes import Axes
from care_bridge.images import Image, open_image, write_image
from care_bridge.runtime.options import RestoreOptions
from care_bridge.runtime.watch import Pace, watch_files
from tests.packages import tiny_package

PACE = Pace(look=0.02, settle=0.2, patience=0.6, idle=1.2)


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return tiny_package(tmp_path_factory.mktemp("package") / "model")


def cells(seed=0, shape=(64, 80)):
    return np.random.default_rng(seed).poisson(200, shape).astype(np.uint16)


class Watching(threading.Thread):
    """A watch in a thread, which ends when nothing is new; it keeps what it was told."""

    def __init__(self, source, package, out, **options):
        super().__init__()
        self.arguments = [source], package, out, RestoreOptions(device="cpu", **options), PACE
        self.restored, self.failed, self.result = [], [], None

    def run(self):
        self.result = watch_files(
            *self.arguments,
            on_restored=lambda result: self.restored.append(result.job.name),
            on_failed=lambda job, error: self.failed.append((job.name, error)),
        )


@contextmanager
def watching(source, package, out, **options):
    thread = Watching(source, package, out, **options)
    thread.start()
    yield thread
    thread.join()


def wait_for(path):
    until = time.monotonic() + 20
    while not path.exists() and time.monotonic() < until:
        time.sleep(0.01)


def test_each_file_once_when_it_is_complete(tmp_path, package):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    tifffile.imwrite(tmp_path / "b.tif", cells(1))
    whole = (tmp_path / "b.tif").read_bytes()
    tifffile.imwrite(source / "a.tif", cells())
    with watching(source, package, out) as watch:
        wait_for(out / "a.tif")
        with (source / "b.tif").open("wb", buffering=0) as stream:
            for start in range(0, len(whole), 1000):
                stream.write(whole[start : start + 1000])
                time.sleep(0.05)
    assert watch.restored == ["a.tif", "b.tif"]
    assert watch.failed == []
    assert (watch.result.restored, watch.result.interrupted) == (2, False)
    with watching(source, package, out) as watch:
        tifffile.imwrite(source / "c.tif", cells(2))
    assert watch.restored == ["c.tif"]


def test_a_file_that_stops_half_way_is_named_once_and_restored_when_it_goes_on(tmp_path, package):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    tifffile.imwrite(tmp_path / "a.tif", cells())
    whole = (tmp_path / "a.tif").read_bytes()
    (source / "a.tif").write_bytes(whole[:4000])
    with watching(source, package, out) as watch:
        until = time.monotonic() + 20
        while not watch.failed and time.monotonic() < until:
            time.sleep(0.01)
        assert not (out / "a.tif").exists()
        (source / "a.tif").write_bytes(whole)
    ((name, error),) = watch.failed
    assert name == "a.tif"
    assert str(source / "a.tif") in error
    assert watch.restored == ["a.tif"]
    assert watch.result.failures == ()


def test_a_folder_that_is_away_for_a_while_is_looked_for_again(tmp_path, package, caplog):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    tifffile.imwrite(source / "a.tif", cells())
    with watching(source, package, out) as watch:
        wait_for(out / "a.tif")
        source.rename(tmp_path / "away")
        time.sleep(0.3)
        (tmp_path / "away").rename(source)
        tifffile.imwrite(source / "b.tif", cells(1))
    assert watch.restored == ["a.tif", "b.tif"]
    assert watch.failed == []
    warned = [record.getMessage() for record in caplog.records if "again" in record.getMessage()]
    assert len(warned) == 1
    assert str(source) in warned[0]


@pytest.mark.parametrize("reported", [False, True], ids=["in-time", "after-it-was-reported"])
def test_a_ground_truth_that_comes_later(tmp_path, package, reported):
    source, truth, out = tmp_path / "in", tmp_path / "truth", tmp_path / "out"
    source.mkdir()
    truth.mkdir()
    tifffile.imwrite(source / "a.tif", cells())
    with watching(source, package, out, rescale_to=truth) as watch:
        until = time.monotonic() + (20 if reported else 0.4)
        while not watch.failed and time.monotonic() < until:
            time.sleep(0.01)
        tifffile.imwrite(truth / "a.tif", cells() * 20)
    assert watch.restored == ["a.tif"]
    assert watch.result.failures == ()
    # Brought to the levels of the truth, which are 20 times those of the source.
    assert abs(tifffile.imread(out / "a.tif").mean() / 4000 - 1) < 0.01


def test_a_ground_truth_that_never_comes_is_named(tmp_path, package):
    source, truth, out = tmp_path / "in", tmp_path / "truth", tmp_path / "out"
    source.mkdir()
    truth.mkdir()
    tifffile.imwrite(source / "a.tif", cells())
    with watching(source, package, out, rescale_to=truth) as watch:
        pass
    ((name, error),) = watch.failed
    assert name == "a.tif"
    assert f"{truth / 'a.tif'} is not there" in error


def test_a_file_that_changes_afterwards_is_restored_again(tmp_path, package):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    tifffile.imwrite(source / "a.tif", cells())
    with watching(source, package, out) as watch:
        wait_for(out / "a.tif")
        first = (out / "a.tif").read_bytes()
        tifffile.imwrite(source / "a.tif", cells(1, (100, 90)))
    assert watch.restored == ["a.tif", "a.tif"]
    assert first != (out / "a.tif").read_bytes()
    assert tifffile.imread(out / "a.tif").shape == (100, 90)


def test_a_zarr_folder_that_is_written_chunk_by_chunk(tmp_path, package):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    write_image(Image(cells(), Axes("YX")), tmp_path / "a.ome.zarr")
    files = (path for path in tmp_path.joinpath("a.ome.zarr").rglob("*") if path.is_file())
    parts = sorted(files)
    with watching(source, package, out) as watch:
        for part in parts:
            copy = source / part.relative_to(tmp_path)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_bytes(part.read_bytes())
            time.sleep(0.1)
    assert watch.restored == ["a.ome.zarr"]
    assert watch.failed == []
    whole = Restorer(package).restore_image(open_image(source / "a.ome.zarr"))
    np.testing.assert_array_equal(open_image(out / "a.ome.zarr").pixels, whole.pixels)


def test_a_result_of_unknown_origin_stays_and_is_named(tmp_path, package):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    out.mkdir()
    (out / "a.tif").write_bytes(b"mine")
    tifffile.imwrite(source / "a.tif", cells())
    for _ in range(2):
        with watching(source, package, out) as watch:
            pass
        assert watch.restored == []
        ((_, error),) = watch.failed
        assert "there already" in error
        assert (out / "a.tif").read_bytes() == b"mine"


def test_ctrl_c_ends_it_with_a_summary(tmp_path, package):
    source, out = tmp_path / "in", tmp_path / "out"
    source.mkdir()
    tifffile.imwrite(source / "a.tif", cells())
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "care_bridge", "restore", str(source), "--watch", "--json"),
            *("--model", str(package), "--out", str(out)),
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert '"status": "restored"' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate()
    assert process.returncode == 0
    assert told.splitlines()[-1] == "watched: 1 was restored"
