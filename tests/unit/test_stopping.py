"""Calls that nothing can end are left to themselves at a signal."""

import signal
import threading
import time

import pytest

from care_bridge.runtime import stopping


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
