"""Stay, and restore for later calls without loading their model again (restore --worker).

One for each user; it listens on this machine alone, to processes of its user alone.
"""

from __future__ import annotations

import argparse
import sys

from care_bridge.errors import ConfigError

_IDLE_SECONDS = 900.0
_WITHOUT_WORKER = ("--watch", "--cluster")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "--idle",
        type=_seconds,
        default=_IDLE_SECONDS,
        metavar="SECONDS",
        help="end when nothing was asked for so long (default: %(default)g)",
    )
    parser.add_argument("--stop", action="store_true", help="end the worker that runs")


def run(arguments: argparse.Namespace) -> int:
    """Serve, or end the one that does."""
    if arguments.stop:
        from care_bridge.runtime.worker_client import stop_worker

        print("the worker ends" if stop_worker() else "no worker runs")
        return 0
    from care_bridge.cli.main import main
    from care_bridge.runtime.stopping import stop_all
    from care_bridge.runtime.worker import serve

    serve(arguments.idle, main, stop_all)
    return 0


def hand_over(words: list[str]) -> int:
    """Let the worker do a command line, and print what it prints; its exit status."""
    from care_bridge.runtime.worker_client import ask_worker

    for word in words:
        if word.startswith(_WITHOUT_WORKER):
            raise ConfigError(f"{word} and --worker were both given: use one of the two")
    streams = {"out": sys.stdout, "err": sys.stderr}

    def show(name: str, text: str) -> None:
        streams[name].write(text)
        streams[name].flush()

    terminals = [name for name, stream in streams.items() if stream.isatty()]
    return ask_worker(words, show, terminals)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not seconds > 0:
        raise argparse.ArgumentTypeError(f'"{text}" is no time: give seconds, e.g. 900')
    return seconds
