"""The worker: the same results, errors and exit statuses as a process of one's own, for its user
alone."""

import contextlib
import json
import os
import socket
import stat
import subprocess
import sys
import time

import numpy as np
import pytest
import tifffile

from care_bridge.lock import lock_file
from care_bridge.runtime.worker_address import Address, Line, _proof
from tests.packages import tiny_package

PATIENCE = 60.0
GREETING = 5.0


def care_bridge(*words, cwd, cache, **more):
    return subprocess.run(
        [sys.executable, "-m", "care_bridge", *map(str, words)],
        cwd=cwd,
        env=environment(cache),
        capture_output=True,
        text=True,
        check=False,
        **more,
    )


def environment(cache):
    return os.environ | {"XDG_CACHE_HOME": str(cache), "OMP_NUM_THREADS": "1"}


def until(condition):
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with an image and a package, and a worker for it."""
    folder = tmp_path_factory.mktemp("worker")
    tiny_package(folder / "tiny model")
    image = np.random.default_rng(0).poisson(800, (120, 110)).astype(np.uint16)
    tifffile.imwrite(folder / "cell.tif", image, imagej=True)
    cache = folder / "cache"
    yield folder, cache
    care_bridge("worker", "--stop", cwd=folder, cache=cache)


def restored(place, out, *more):
    folder, cache = place
    words = ("restore", "cell.tif", "--model", "tiny model", "--out", out, *more)
    return care_bridge(*words, cwd=folder, cache=cache)


def test_its_file_is_the_same_byte_for_byte(place):
    folder, _ = place
    cold = restored(place, "cold.tif")
    first, second = restored(place, "1.tif", "--worker"), restored(place, "2.tif", "--worker")
    assert (cold.returncode, first.returncode, second.returncode) == (0, 0, 0), first.stderr
    assert (folder / "1.tif").read_bytes() == (folder / "cold.tif").read_bytes()
    assert (folder / "2.tif").read_bytes() == (folder / "cold.tif").read_bytes()
    assert first.stdout.startswith("1.tif  120 x 110 ")
    assert first.stderr == cold.stderr


@pytest.mark.parametrize(
    "words",
    {
        "no-such-model": ("cell.tif", "--model", "denois-2d", "--out", "x.tif"),
        "no-such-image": ("cel.tif", "--model", "tiny model", "--out", "x.tif"),
        "bad-option": ("cell.tif", "--model", "tiny model", "--out", "x.tif", "--tile", "big"),
        "no-output": ("cell.tif", "--model", "tiny model"),
        "forecast": ("cell.tif", "--model", "tiny model", "--out", "x", "--dry-run", "--json"),
    }.values(),
    ids=lambda words: words[-1],
)
def test_it_says_and_exits_as_a_process_of_ones_own(place, words):
    folder, cache = place
    own = care_bridge("restore", *words, cwd=folder, cache=cache)
    by_worker = care_bridge("restore", *words, "--worker", cwd=folder, cache=cache)
    assert by_worker.returncode == own.returncode
    assert by_worker.stderr == own.stderr
    if "--json" in words:
        entry, own_entry = (json.loads(each.stdout)["restored"][0] for each in (by_worker, own))
        assert (entry["source"], entry["tiles"]) == (own_entry["source"], own_entry["tiles"])


def test_watching_is_refused(place):
    done = restored(place, "o", "--watch", "--worker")
    assert done.returncode == 1
    assert "--watch and --worker" in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="file modes are of POSIX")
def test_the_key_is_readable_by_its_user_alone(place):
    _, cache = place
    until(lambda: restored(place, "3.tif", "--worker", "--overwrite").returncode == 0)
    mode = (cache / "care_bridge" / "worker.json").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600
    # Who may read the lock's file may hold it.
    mode = (cache / "care_bridge" / "worker.lock").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_whoever_has_not_the_key_is_turned_away(place):
    _, cache = place
    assert restored(place, "4.tif", "--worker", "--overwrite").returncode == 0
    address = Address(**json.loads((cache / "care_bridge" / "worker.json").read_text()))
    with socket.create_connection(("127.0.0.1", address.port), PATIENCE) as connection:
        line = Line(connection)
        challenge = line.receive()["challenge"]
        line.send(challenge="a", proof=_proof("00" * 32, "client", challenge, "a"))
        assert connection.recv(1) == b""
    assert restored(place, "4.tif", "--worker", "--overwrite").returncode == 0


def test_a_user_has_one_worker(place):
    folder, cache = place
    assert restored(place, "5.tif", "--worker", "--overwrite").returncode == 0
    second = care_bridge("worker", cwd=folder, cache=cache)
    assert second.returncode == 1
    assert "running already" in second.stderr


@pytest.mark.parametrize("damage", ["damaged", "removed"])
def test_a_worker_that_nobody_can_ask_is_followed_by_another(place, damage):
    _, cache = place
    assert restored(place, "7.tif", "--worker", "--overwrite").returncode == 0
    key = cache / "care_bridge" / "worker.json"
    before = json.loads(key.read_text())["process"]
    key.write_text("{") if damage == "damaged" else key.unlink()
    begun = time.monotonic()
    done = restored(place, "7.tif", "--worker", "--overwrite")
    assert done.returncode == 0, done.stderr
    assert time.monotonic() - begun < PATIENCE / 2
    assert json.loads(key.read_text())["process"] != before


def test_a_busy_worker_that_has_lost_its_key_is_not_waited_for(place, tmp_path):
    folder, _ = place
    (tmp_path / "care_bridge").mkdir()
    with (tmp_path / "care_bridge" / "worker.lock").open("ab") as held_by_the_busy_one:
        assert lock_file(held_by_the_busy_one)
        begun = time.monotonic()
        done = restored((folder, tmp_path), "8.tif", "--worker", "--overwrite")
    assert done.returncode == 1
    assert "is gone: it ends when it has done what it does; try again then" in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert time.monotonic() - begun < PATIENCE / 2


@pytest.mark.skipif(sys.platform == "win32", reason="Windows keeps the folder that one is in")
def test_it_is_not_started_from_a_folder_that_is_gone(tmp_path):
    (tmp_path / "gone").mkdir()
    code = 'cd gone && rmdir ../gone && exec "$0" -P -m care_bridge restore a.tif --worker'
    done = subprocess.run(
        ["sh", "-c", code, sys.executable],
        cwd=tmp_path,
        env=environment(tmp_path / "cache"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "the current folder was removed" in done.stderr
    assert not (tmp_path / "cache").exists()


def test_it_runs_no_file_of_the_current_folder(place, tmp_path):
    (tmp_path / "hmac.py").write_text("from pathlib import Path\nPath('ran.txt').touch()\n")
    words = [place[0] / "cell.tif", "--model", place[0] / "tiny model", "--out", "o.tif"]
    done = subprocess.run(
        [sys.executable, "-P", "-m", "care_bridge", "restore", *map(str, words), "--worker"],
        cwd=tmp_path,
        env=environment(tmp_path / "cache"),
        capture_output=True,
        text=True,
        check=False,
    )
    care_bridge("worker", "--stop", cwd=place[0], cache=tmp_path / "cache")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "o.tif").exists()
    assert not list(tmp_path.rglob("ran.txt"))


def test_it_may_wait_for_very_long(place, tmp_path):
    words = [sys.executable, "-m", "care_bridge", "worker", "--idle", "1e12"]
    process = subprocess.Popen(words, env=environment(tmp_path))
    until(lambda: (tmp_path / "care_bridge" / "worker.json").exists() or process.poll() is not None)
    stopped = care_bridge("worker", "--stop", cwd=place[0], cache=tmp_path)
    assert stopped.stdout == "the worker ends\n"
    assert process.wait(PATIENCE) == 0


@pytest.mark.parametrize("text", ["abc", "-1", "nan"])
def test_a_time_that_is_none_is_refused(tmp_path, text):
    done = care_bridge("worker", "--idle", text, cwd=tmp_path, cache=tmp_path)
    assert done.returncode == 2
    assert "give seconds" in done.stderr


@pytest.fixture
def worker(place, tmp_path):
    """A worker of its own that ends when nothing was asked for 1.5 s."""
    process = subprocess.Popen(
        [sys.executable, "-m", "care_bridge", "worker", "--idle", "1.5"], env=environment(tmp_path)
    )
    key = tmp_path / "care_bridge" / "worker.json"
    until(key.exists)
    yield process, key
    process.kill()
    process.wait()


def test_it_ends_when_idle_and_takes_its_key_away(worker):
    process, key = worker
    assert process.wait(PATIENCE) == 0
    assert not key.exists()


def test_who_has_not_the_key_does_not_keep_it_alive(worker):
    process, key = worker
    port = json.loads(key.read_text())["port"]
    end = time.monotonic() + 10
    while process.poll() is None:
        assert time.monotonic() < end
        with contextlib.suppress(ConnectionError):
            socket.create_connection(("127.0.0.1", port), PATIENCE).close()
        time.sleep(0.2)


def test_a_greeting_has_one_end(worker):
    _, key = worker
    port = json.loads(key.read_text())["port"]
    begun = time.monotonic()
    with socket.create_connection(("127.0.0.1", port), 1) as connection:
        assert connection.recv(1 << 10)
        with contextlib.suppress(ConnectionError):
            while time.monotonic() - begun < 3 * GREETING:
                connection.sendall(b" ")
                with contextlib.suppress(TimeoutError):
                    if not connection.recv(1):
                        break
    assert time.monotonic() - begun < 2 * GREETING


def test_the_key_of_a_killed_worker_is_no_hindrance(worker, place, tmp_path):
    process, key = worker
    process.kill()
    process.wait()
    left = key.read_text()
    done = restored((place[0], tmp_path), tmp_path / "o.tif", "--worker")
    assert done.returncode == 0, done.stderr
    assert key.read_text() != left
    stopped = care_bridge("worker", "--stop", cwd=tmp_path, cache=tmp_path)
    assert stopped.stdout == "the worker ends\n"
    until(lambda: not key.exists())


def test_a_client_that_is_killed_ends_its_request(place):
    folder, cache = place
    pixels = np.random.default_rng(1).poisson(800, (60, 900, 900)).astype(np.uint16)
    tifffile.imwrite(folder / "long.tif", pixels, imagej=True, metadata={"axes": "ZYX"})
    words = ["restore", "long.tif", "--model", "tiny model", "--out", "long_out", "--worker"]
    client = subprocess.Popen(
        [sys.executable, "-m", "care_bridge", *words], cwd=folder, env=environment(cache)
    )
    until(lambda: list(folder.glob("long_out/.*.partial")))
    client.kill()
    client.wait()
    until(lambda: not list(folder.glob("long_out/.*.partial")))
    assert not (folder / "long_out" / "long.tif").exists()
    assert restored(place, "6.tif", "--worker").returncode == 0
