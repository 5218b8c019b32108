"""Signals are heard while a network loads or runs."""

import signal
import subprocess
import sys
import threading
import time
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from onnx import numpy_helper

from care_bridge.runtime import stopping
from care_bridge.runtime.manifest import MANIFEST
from tests.broken_packages import put
from tests.hostile.networks import network, node
from tests.packages import tiny_package


def test_a_call_gives_its_result_or_its_error():
    assert stopping.left_at_signals(lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        stopping.left_at_signals(lambda: 1 // 0)
    assert not stopping.is_left()


def test_a_signal_does_not_wait_for_a_call():
    going = threading.Event()
    threading.Timer(0.2, lambda: signal.raise_signal(signal.SIGINT)).start()
    begun = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        stopping.left_at_signals(lambda: going.wait(60))
    assert time.monotonic() - begun < 30
    assert stopping.is_left()
    going.set()
    while stopping.is_left():
        time.sleep(0.01)


def test_all_that_is_stoppable_is_stopped_while_it_runs():
    stopped = []
    with (
        stopping.stoppable(lambda: stopped.append(1)),
        stopping.stoppable(lambda: stopped.append(2)),
    ):
        stopping.stop_all()
    stopping.stop_all()
    assert stopped == [1, 2]


def slow_package(folder, layers=1000):
    """A network of so many convolutions, each of which takes a good part of a second."""
    kernel = numpy_helper.from_array(np.full((32, 32, 3, 3), 1e-3, np.float32), "kernel")
    names = [f"x{layer}" for layer in range(layers + 1)]
    nodes = [node("Concat", ["input"] * 32, ["x0"], axis=1)]
    nodes += [node("Conv", [a, "kernel"], [b], pads=[1] * 4) for a, b in pairwise(names)]
    nodes.append(node("ReduceMean", [names[-1]], ["output"], axes=[1], keepdims=1))
    tiny_package(folder)
    put(folder, "weights.onnx", network(nodes, [kernel]))
    return folder


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
def test_a_tile_that_takes_minutes_is_interrupted_at_once(tmp_path, number):
    image, out = tmp_path / "cells.tif", tmp_path / "out"
    tifffile.imwrite(image, np.arange(1 << 20, dtype=np.float32).reshape(1024, 1024))
    words = ["restore", image, "--model", slow_package(tmp_path / "slow"), "--out", out]
    process = subprocess.Popen(
        [sys.executable, "-m", "care_bridge", *map(str, words)],
        stderr=subprocess.PIPE,
        text=True,
    )
    assert "device" in process.stderr.readline()
    time.sleep(2)
    assert process.poll() is None
    process.send_signal(number)
    _, told = process.communicate(timeout=30)
    assert process.returncode == {signal.SIGINT: 130, signal.SIGTERM: 143}[number]
    assert told.splitlines()[-1].startswith("care-bridge restore: interrupted: 0 of 1")
    assert "Traceback" not in told
    assert {path.name for path in out.iterdir()} <= {MANIFEST}
