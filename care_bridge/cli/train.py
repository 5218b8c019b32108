"""Train a model on images: for most tasks DATA/source and DATA/GT with files of the same names."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from care_bridge.errors import ConfigError, MissingExtraError
from care_bridge.training.defaults import ENSEMBLE


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="folder with source/ and GT/, or with noisy images, or a CSV list of pairs",
    )
    parser.add_argument(
        "--out", required=True, type=Path, metavar="RUN", help="new folder for the run"
    )
    parser.add_argument(
        "--task",
        help="what to learn: care (the default), n2n, n2v, n2v2, structn2v, isotropic, upsampling, "
        "projection, rcan",
    )
    parser.add_argument(
        "--preset", help="what pairs are for: denoise, deconvolve, aberration, resolution"
    )
    parser.add_argument(
        "--probabilistic",
        action="store_true",
        help="predict a distribution of each pixel: how far the restoration may be trusted",
    )
    parser.add_argument(
        "--members",
        nargs="?",
        const="",
        metavar="M",
        help=f"train M probabilistic networks, which together are one model (default: {ENSEMBLE})",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration, YAML")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change keys of the configuration, e.g. training.precision=bf16",
    )
    parser.add_argument(
        "--steps", type=int, metavar="N", help="batches to train on (training.steps)"
    )
    parser.add_argument(
        "--from",
        dest="start",
        metavar="START",
        help="fine-tune: start from the weights of a run, a checkpoint of one, or a package (or "
        "the name of a bundled model), whose network and normalisation are kept",
    )
    parser.add_argument(
        "--resume", action="store_true", help="go on with the run in RUN where it stopped"
    )


def run(arguments: argparse.Namespace) -> int:
    """Train, and print the run folder."""
    for module in ("torch", "lightning", "pydantic", "scipy", "yaml"):
        if not find_spec(module):
            raise MissingExtraError("training", "train")
    ensemble = arguments.members is not None
    told = {
        "task": arguments.task,
        "preset": arguments.preset,
        "training.steps": arguments.steps,
        "probabilistic": "true" if arguments.probabilistic or ensemble else None,
        "members": (arguments.members or ENSEMBLE) if ensemble else None,
    }
    settings = [f"{key}={value}" for key, value in told.items() if value is not None]
    kept = (arguments.task, arguments.preset, arguments.config, arguments.start, *arguments.set)
    if arguments.resume and (any(kept) or arguments.probabilistic or ensemble):
        raise ConfigError(
            "a resumed run keeps its configuration: leave --task, --preset, --probabilistic, "
            "--members, --config, --set and --from out (--steps may change where it ends)"
        )
    from care_bridge.training.config import check_given, parse_config, read_values
    from care_bridge.training.run import resume, train
    from care_bridge.training.start import open_start

    if arguments.resume:
        report = resume(arguments.data, arguments.out, arguments.steps)
    else:
        given = read_values(arguments.config, [*arguments.set, *settings])
        start = open_start(arguments.start) if arguments.start else None
        config = start.configuration(given) if start else parse_config(given)
        check_given(given, config)
        report = train(arguments.data, arguments.out, config, start)
    if report:
        print(arguments.out)
    return 0
