"""care-bridge: content-aware image restoration from PyTorch to Fiji."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import NoReturn

import care_bridge
from care_bridge.errors import CareBridgeError, Terminated
from care_bridge.runtime.stopping import is_left, stop_at_signals

VERBS = (
    "demo",
    "restore",
    "prepare",
    "train",
    "export",
    "import-csbdeep",
    "check",
    "evaluate",
    "inspect",
    "models",
    "simulate",
    "fiji",
    "worker",
    "doctor",
)

_INTERRUPTED = 130
_TERMINATED = 143
_DEBUG = "--debug"
_WORKER = "--worker"
# It would take SIGTERM for the end of the command line that it does, and stay.
_STAYS = "worker"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status: 0, 1 (an error, told in one line), 2
    (usage), 130 (interrupted) or 143 (ended by SIGTERM)."""
    arguments = _parse(list(sys.argv[1:] if argv is None else argv))
    _log_to_stderr()
    if argv is not None:
        return _run(arguments)
    if arguments.verb != _STAYS:  # a program of its own
        signal.signal(signal.SIGTERM, _terminate)
        stop_at_signals()
    status = _run(arguments)
    if is_left():
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)
    return status


def _run(arguments: argparse.Namespace) -> int:
    """The exit status of the verb."""
    try:
        return int(arguments.run(arguments))
    except BrokenPipeError:
        # The reader of our output (head, less) has gone; Python would complain again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (CareBridgeError, OSError) as error:  # a full disk is no fault of the program either
        if arguments.debug:
            raise
        print(f"care-bridge {arguments.verb}: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt as stop:
        print(f"care-bridge {arguments.verb}: {str(stop) or 'interrupted'}", file=sys.stderr)
        return _TERMINATED if isinstance(stop, Terminated) else _INTERRUPTED


def _terminate(_number: int, _frame: object) -> NoReturn:
    raise Terminated


def _parse(argv: list[str]) -> argparse.Namespace:
    """Arguments of the verb that is called: no other verb's module is imported."""
    called = argv[0] if argv else ""
    if called in VERBS:
        # --debug is taken anywhere, after a verb's action too.
        words = [word for word in argv[1:] if word != _DEBUG]
        if called == "restore" and _WORKER in words:
            return _handed_over(argv)
        return _parser_of(called).parse_args([_DEBUG] * (len(words) < len(argv) - 1) + words)
    parser = argparse.ArgumentParser("care-bridge", description=__doc__)
    parser.add_argument("--version", action="version", version=care_bridge.__version__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        verbs.add_parser(verb, help=_summary(_module(verb)))
    return parser.parse_args(argv)


def _handed_over(argv: list[str]) -> argparse.Namespace:
    """What lets the worker do the command line, which the worker parses: this process is not to
    take its time to import what a restoration needs."""
    from care_bridge.cli.worker import hand_over

    words = [word for word in argv if word != _WORKER]
    return argparse.Namespace(
        verb=argv[0], debug=_DEBUG in argv, run=lambda _arguments: hand_over(words)
    )


def _parser_of(verb: str) -> argparse.ArgumentParser:
    module = _module(verb)
    parser = _Parser(
        f"care-bridge {verb}",
        description=module.__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    module.add_arguments(parser)
    parser.add_argument(_DEBUG, action="store_true", help="show the trace of an error")
    parser.set_defaults(verb=verb, run=module.run)
    return parser


class _Parser(argparse.ArgumentParser):
    """Tells what is wrong in one line: below all flags of a verb, that line is not found."""

    def error(self, message: str) -> NoReturn:
        """Leave with the status of a usage error."""
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help tells all)\n")


def _module(verb: str) -> ModuleType:
    return import_module(f"care_bridge.cli.{verb.replace('-', '_')}")


def _summary(module: ModuleType) -> str:
    return (module.__doc__ or "").strip().splitlines()[0]


def _log_to_stderr() -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(logging.Formatter("%(message)s"))
    log = logging.getLogger("care_bridge")
    log.handlers = [handler]
    log.setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main())
