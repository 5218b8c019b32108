"""Restoring on the workers of a local dask cluster, in processes of their own."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from care_bridge import Restorer
from care_bridge.axes import Axes
from care_bridge.cli.main import main
from care_bridge.cluster.connection import connect
from care_bridge.cluster.regions import cut_into_regions
from care_bridge.cluster.restoring import restore_on_cluster
from care_bridge.errors import ClusterError, ConfigError, ImageError
from care_bridge.images import Storage, open_image, write_image
from care_bridge.images.image import Calibration, Image, ImageInfo
from care_bridge.runtime.file_restoring import FileTask
from care_bridge.runtime.options import RestoreOptions
from care_bridge.tiling import AxisLimits, TileGrid
from tests.packages import tiny_package


@pytest.fixture(scope="module")
def workers():
    with connect("local:2") as client:
        yield client


@pytest.fixture(scope="module")
def volume(tmp_path_factory):
    """Frames and channels of a volume of more than one chunk (512 x 512), on disk."""
    rng = np.random.default_rng(0)
    pixels = rng.poisson(rng.uniform(20, 900, (2, 2, 3, 700, 1100))).astype(np.uint16)
    calibration = Calibration({"Z": 2.0, "Y": 0.5, "X": 0.5}, "µm")
    path = tmp_path_factory.mktemp("cluster") / "volume.tif"
    write_image(Image(pixels, Axes("TCZYX"), calibration), path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return tiny_package(tmp_path_factory.mktemp("package") / "2d")


def on_cluster(client, model, source, target, progress=lambda *_: None):
    restorer = Restorer(model, RestoreOptions(tile={"Y": 300, "X": 400}))
    task = FileTask(source, target, Storage())
    restore_on_cluster(client, restorer, task, lambda: None, progress)
    return open_image(target)


def test_the_result_is_that_of_a_single_process(workers, model, volume, tmp_path):
    told = []
    image = on_cluster(workers, model, volume, tmp_path / "a.zarr", lambda *now: told.append(now))
    alone = Restorer(model).restore_image(open_image(volume))
    np.testing.assert_array_equal(image.axes.to(image.pixels, alone.axes), alone.pixels)
    assert image.calibration == alone.calibration
    assert told[-1][0] == told[-1][1] > 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.zarr"]


def test_an_interrupted_one_leaves_nothing(workers, model, volume, tmp_path):
    def interrupt(done, regions):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        on_cluster(workers, model, volume, tmp_path / "a.zarr", interrupt)
    assert list(tmp_path.iterdir()) == []
    assert not any(workers.processing().values())
    time.sleep(1)
    assert list(tmp_path.iterdir()) == []


def test_a_lost_scheduler_is_one_line(model, volume, tmp_path):
    scheduler_file = tmp_path / "scheduler.json"
    command = [sys.executable, "-m", "distributed.cli.dask_scheduler", "--port", "0"]
    scheduler = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", scheduler_file], stderr=subprocess.DEVNULL
    )
    command = [sys.executable, "-m", "distributed.cli.dask_worker", "--no-nanny", "--nthreads", "1"]
    worker = subprocess.Popen(
        [*command, "--no-dashboard", "--scheduler-file", scheduler_file], stderr=subprocess.DEVNULL
    )
    try:
        until = time.monotonic() + 30
        while not scheduler_file.exists() and time.monotonic() < until:
            time.sleep(0.1)
        address = json.loads(scheduler_file.read_text())["address"]
        with connect(address) as client, pytest.raises(ClusterError, match="scheduler was lost"):
            on_cluster(client, model, volume, tmp_path / "a.zarr", lambda *_: scheduler.kill())
    finally:
        scheduler.kill()
        worker.kill()
        scheduler.wait()
        worker.wait()
    assert [path.name for path in tmp_path.iterdir()] == ["scheduler.json"]


def test_dask_leaves_the_environment_as_it_was(monkeypatch):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    before = dict(os.environ)
    with connect("local:1") as client:
        assert client.submit(sum, [1, 2]).result() == 3
    assert dict(os.environ) == before


def test_the_part_of_a_worker_that_is_lost_is_done_again(model, volume, tmp_path, caplog, capfd):
    with connect("local:2") as client:
        [first, _] = client.run(os.getpid).values()
        killed = []

        def kill_one(done, regions):
            if not killed and done >= regions // 2:
                os.kill(first, signal.SIGKILL)
                killed.append(done)

        image = on_cluster(client, model, volume, tmp_path / "a.zarr", kill_one)
    assert killed
    lost = [told for told in caplog.messages if "was lost: the part of volume.tif" in told]
    assert len(lost) == 1
    assert "distributed" not in capfd.readouterr().err
    alone = Restorer(model).restore_image(open_image(volume))
    np.testing.assert_array_equal(image.axes.to(image.pixels, alone.axes), alone.pixels)


def test_a_worker_that_sees_another_package_says_so_and_nothing_is_left(workers, volume, tmp_path):
    model = tiny_package(tmp_path / "model")
    restorer = Restorer(model)
    tiny_package(model, percentiles=(1.0, 99.0))
    task = FileTask(volume, tmp_path / "a.zarr", Storage())
    with pytest.raises(ClusterError, match="another package"):
        restore_on_cluster(workers, restorer, task, lambda: None, lambda *_: None)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_result_that_workers_cannot_share_is_refused(workers, model, volume, tmp_path):
    with pytest.raises(ImageError, match="format zarr"):
        on_cluster(workers, model, volume, tmp_path / "a.tif")


@pytest.mark.parametrize(
    ("address", "error"),
    [("local:none", ConfigError), ("local:0", ConfigError), ("nonsense", ClusterError)],
)
def test_a_cluster_that_cannot_be_used_is_one_line(address, error):
    with pytest.raises(error, match="cluster") as caught, connect(address):
        pass
    assert "\n" not in str(caught.value)


def test_regions_cover_all_and_end_where_pieces_end():
    info = ImageInfo(Axes("TCZYX"), (2, 3, 10, 1000, 700), np.dtype(np.uint16))
    limits = {"Y": AxisLimits(4, 4, 40), "X": AxisLimits(4, 4, 40)}
    grid = TileGrid.fit({"Y": 1000, "X": 700}, limits, {"Y": 400, "X": 700})
    pieces = (1, 1, 1, 4, 128, 256)
    seen = np.zeros((2, 10, 1000, 700), int)
    for region in cut_into_regions(info, pieces, grid):
        seen[tuple(region[axis] for axis in "TZYX")] += 1
        for axis, piece in zip("TZYX", (1, 4, 128, 256), strict=True):
            assert region[axis].start % piece == 0
    assert (seen == 1).all()


def test_the_command_line_gives_the_result_of_a_single_process(model, volume, tmp_path, capsys):
    command = ["restore", str(volume), "--model", str(model), "--tile", "300,400"]
    assert main([*command, "--out", str(tmp_path / "many"), "--cluster", "local:2"]) == 0
    assert capsys.readouterr().err.count("device: cpu") == 1
    assert main([*command, "--out", str(tmp_path / "one")]) == 0
    many = open_image(tmp_path / "many" / "volume.ome.zarr")
    one = open_image(tmp_path / "one" / "volume.tif")
    np.testing.assert_array_equal(many.axes.to(many.pixels, one.axes), one.pixels)
    assert many.history == one.history


@pytest.mark.parametrize(
    ("more", "says"),
    [(["--rescale-to", "truth.tif"], "rescale_to"), (["--format", "ome"], "format zarr")],
)
def test_what_a_cluster_cannot_do_is_one_line(model, volume, tmp_path, capsys, more, says):
    write_image(open_image(volume), tmp_path / "truth.tif")
    command = ["restore", str(volume), "--model", str(model), "--out", str(tmp_path / "out")]
    more = [str(tmp_path / word) if word.endswith(".tif") else word for word in more]
    assert main([*command, *more, "--cluster", "local:1"]) == 1
    assert says in capsys.readouterr().err.strip().splitlines()[-1]
    assert not list((tmp_path / "out").glob("*.zarr"))
