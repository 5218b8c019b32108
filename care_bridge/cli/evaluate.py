"""Compare restored images with their truth: figures, baselines, objects, reliability, a report.

Files, or folders whose images have the same names, as `restore` writes them. Without --truth, the
restored images are held against the --input that they were made from. With --doses, exposures of
the truth are simulated and the baselines (and --model) are compared on them.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from care_bridge.errors import AxesError, BatchError, ConfigError, ImageError, MissingExtraError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from care_bridge.cli.evaluated_model import EvaluatedModel
    from care_bridge.evaluation.assessment import Assessment, Request
    from care_bridge.evaluation.region import Region
    from care_bridge.evaluation.samples import Sample
    from care_bridge.images.image import Image

_PICTURED = 3


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    for role, told in (
        ("truth", "the good images"),
        ("restored", "what is judged"),
        ("input", "what it was restored from"),
        ("members", "predicted distributions: channels mean, scale of each member, normalised"),
    ):
        parser.add_argument(f"--{role}", type=Path, metavar="FILE|FOLDER", help=told)
    parser.add_argument(
        "--members-percentiles",
        metavar="LOW,HIGH|none",
        help="percentiles of the truth that --members are scaled by (default: 2,99.8); none: they "
        "are in its grey levels",
    )
    parser.add_argument("--axes", metavar="AXES", help="of plain TIFF files, e.g. TYX")
    parser.add_argument("--roi", metavar="RANGES", help="region, in pixels, e.g. Y=10:200,X=0:128")
    parser.add_argument(
        "--baselines",
        nargs="*",
        metavar="NAME",
        help="compare the filtered --input, too, each filter at its best setting (default: all "
        "filters; see docs/evaluation.md)",
    )
    parser.add_argument("--objects", action="store_true", help="compare segmented objects, too")
    parser.add_argument("--line", metavar="Y0,X0,Y1,X1", help="profiles along this line")
    parser.add_argument(
        "--doses",
        metavar="PHOTONS",
        help="photons in the average pixel of simulated exposures, e.g. 2,5,10,40",
    )
    parser.add_argument(
        "--black",
        type=float,
        metavar="LEVEL",
        help="with --doses: the truth's grey level without light (default: 0)",
    )
    parser.add_argument(
        "--model",
        metavar="PACKAGE",
        help="restore --input, or the simulated exposures, with this; if it is a probabilistic "
        "model, judge its reliability",
    )
    parser.add_argument("--json", action="store_true", help="print everything as JSON")
    parser.add_argument("--csv", type=Path, metavar="FILE", help="write a line for each figure")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write one HTML page")
    parser.add_argument(
        "--pictures", type=Path, metavar="FOLDER", help="write panels (PNG) and charts (SVG) there"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what was written before")


def run(arguments: argparse.Namespace) -> int:
    """Assess every field of view, print the figures and write what was asked for."""
    from importlib.util import find_spec

    if not find_spec("skimage") or not find_spec("scipy"):
        raise MissingExtraError("evaluating", "evaluate")
    _check(arguments)
    import json

    from care_bridge.evaluation.tables import as_csv, as_data, as_text
    from care_bridge.images.whole_file import whole_file

    found, failed = _assessed(arguments)
    if arguments.csv:
        with whole_file(arguments.csv, overwrite=arguments.overwrite) as partial:
            partial.write_text(as_csv(found), encoding="utf-8")
    if arguments.report:
        from care_bridge.evaluation.report import as_html

        with whole_file(arguments.report, overwrite=arguments.overwrite) as partial:
            partial.write_text(as_html(found, _title(arguments), failed), encoding="utf-8")
    if arguments.pictures:
        from care_bridge.evaluation.picture_files import write_pictures

        write_pictures(found, arguments.pictures, overwrite=arguments.overwrite)
    print(json.dumps(as_data(found, failed), indent=2) if arguments.json else as_text(found))
    if failed:
        for _, reason in failed:
            print(f"care-bridge evaluate: {reason}", file=sys.stderr)
        names = ", ".join(name for name, _ in failed)
        raise BatchError(
            f"{len(failed)} images could not be evaluated, for the reasons above: {names}", failed
        )
    return 0


def _check(arguments: argparse.Namespace) -> None:
    """Refuse what cannot be done before anything is read."""
    given = {key: value is not None for key, value in vars(arguments).items()}
    for option, needed in (
        ("black", "doses"),
        ("members_percentiles", "members"),
        ("members", "truth"),
    ):
        if given[option] and not given[needed]:
            raise ConfigError(f"{_option(option)} has no effect without --{needed}: give both")
    if given["doses"]:
        refused = next((name for name in ("restored", "input", "members") if given[name]), None)
        if not given["truth"] or refused:
            raise ConfigError(
                "--doses simulates the inputs from --truth: give --truth"
                + (f" and leave --{refused} out" if refused else "")
            )
    elif given["model"]:
        refused = next((name for name in ("restored", "members") if given[name]), None)
        if refused or not given["truth"] or not given["input"]:
            raise ConfigError(
                "--model restores --input, or with --doses simulated exposures, to compare them "
                "with --truth: give both" + (f" and leave --{refused} out" if refused else "")
            )
    elif not given["truth"] and not (given["restored"] and given["input"]):
        raise ConfigError("there is nothing to compare with: give --truth, or --input")
    elif given["truth"] and not (given["restored"] or given["input"] or given["members"]):
        raise ConfigError("there is nothing to compare: give --restored, --input or --members")
    if given["baselines"] and not (given["input"] or given["doses"]):
        raise ConfigError("--baselines filter the noisy images: give them with --input")
    written = [path for path in (arguments.csv, arguments.report) if path]
    if len({path.resolve() for path in written}) < len(written):
        raise ConfigError(f"--csv and --report both name {arguments.csv}: give two files")
    for path in written:
        if path.exists() and not arguments.overwrite:
            raise ImageError(f"{path} exists already: choose another name, or add --overwrite")


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def _assessed(arguments: argparse.Namespace) -> tuple[list[Assessment], list[tuple[str, str]]]:
    """What was found out about each field of view, and (name, reason) of those that cannot be
    evaluated; ImageError where none can."""
    from dataclasses import replace

    from care_bridge.evaluation.matched_files import match_files
    from care_bridge.evaluation.region import Region

    judge = None
    if arguments.model:
        from care_bridge.cli.evaluated_model import EvaluatedModel

        judge = EvaluatedModel(arguments.model)
    request = _request(arguments)
    region = Region() if arguments.roi is None else Region.parse(arguments.roi)
    roles = ("truth", "restored", "input", "members")
    places = {role: vars(arguments)[role] for role in roles if vars(arguments)[role] is not None}
    pictured = bool(arguments.report or arguments.pictures)
    found: list[Assessment] = []
    failed: list[tuple[str, str]] = []
    for number, files in enumerate(match_files(places)):
        wanted = replace(request, pictures=pictured and number < _PICTURED)
        try:
            found += _assessments(files, wanted, arguments, region, judge, seed=number)
        except (ImageError, AxesError) as error:
            path = next(iter(files.values()))
            reason = str(error)
            named = any(str(file) in reason for file in files.values())
            failed.append((path.name, reason if named else f"{path}: {reason}"))
    if not found:
        others = f" (nor could {len(failed) - 1} others be evaluated)" if len(failed) > 1 else ""
        raise ImageError(failed[0][1] + others)
    return found, failed


def _assessments(
    files: Mapping[str, Path],
    request: Request,
    arguments: argparse.Namespace,
    region: Region,
    judge: EvaluatedModel | None,
    seed: int,
) -> list[Assessment]:
    """Those of one field of view."""
    from care_bridge.evaluation.assessment import assess
    from care_bridge.evaluation.samples import read_sample
    from care_bridge.images import open_image

    made: Mapping[str, Image] = {}
    if judge and "input" in files:
        image = open_image(files["input"], arguments.axes)
        made, request = judge.made(image, request)
    filters = bool(request.baselines)
    sample = read_sample(files, arguments.axes, region, made, filters=filters)
    if arguments.doses is not None:
        return list(_at_doses(sample, request, arguments, judge, seed))
    return [assess(sample, request)]


def _request(arguments: argparse.Namespace) -> Request:
    from dataclasses import replace

    from care_bridge.evaluation.assessment import Request
    from care_bridge.evaluation.pictures import Line

    names = arguments.baselines
    if names == []:
        from care_bridge.evaluation.filters import FILTERS

        names = list(FILTERS)
    request = Request(
        baselines=tuple(names or ()),
        objects=arguments.objects,
        line=None if arguments.line is None else Line.parse(arguments.line),
    )
    if arguments.members_percentiles is None:
        return request
    return replace(request, members_percentiles=_percentiles(arguments.members_percentiles))


def _at_doses(
    sample: Sample,
    request: Request,
    arguments: argparse.Namespace,
    judge: EvaluatedModel | None,
    seed: int,
) -> Iterator[Assessment]:
    """An assessment for each number of photons."""
    from care_bridge.evaluation.assessment import assess
    from care_bridge.evaluation.exposures import exposed
    from care_bridge.evaluation.samples import as_image

    for photons in _doses(arguments.doses):
        taken = exposed(sample, photons, seed, arguments.black or 0.0)
        if judge:
            image = as_image(taken.blocks["input"])
            taken, request = judge.restored(taken, request, image, exposed=True)
        yield assess(taken, request, photons)


def _doses(text: str) -> list[float]:
    doses = _numbers(text)
    # A million photons a pixel is beyond every camera; NaN compares false.
    if not doses or not all(0 <= number <= 1e6 for number in doses):
        raise ConfigError(f'--doses "{text}" cannot be read: write numbers like 2,5,10')
    return doses


def _percentiles(text: str) -> tuple[float, float] | None:
    if text == "none":
        return None
    match _numbers(text):
        case [low, high] if 0 <= low < high <= 100:
            return low, high
    raise ConfigError(
        f'--members-percentiles "{text}" cannot be read: write two like 2,99.8, or none'
    )


def _numbers(text: str) -> list[float]:
    """The numbers in a text; none where one of them cannot be read."""
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        return []


def _title(arguments: argparse.Namespace) -> str:
    judged = arguments.restored or arguments.model or arguments.input or arguments.members
    against = arguments.truth or arguments.input
    return f"{Path(judged).name} against {against.name}" if judged else f"Filters on {against.name}"
