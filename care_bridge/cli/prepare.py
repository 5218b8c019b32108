"""Look at training data as the network will see it: patches, grey levels, faults.

Reads DATA and the configuration exactly as `care-bridge train` does, and trains nothing.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from care_bridge.errors import ImageError, MissingExtraError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The verb's arguments."""
    parser.add_argument(
        "data",
        type=Path,
        metavar="DATA",
        help="folder with source/ and GT/, or another layout of training data; CSV list of pairs",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="configuration, YAML")
    parser.add_argument(
        "--set",
        nargs="+",
        action="extend",
        default=[],
        metavar="KEY=VALUE",
        help="change keys of the configuration, e.g. patches.size=[64,64]",
    )
    parser.add_argument(
        "--out", type=Path, metavar="FOLDER", help="write patches.png and prepare.html there"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace what is there")
    parser.add_argument("--json", action="store_true", help="print everything as JSON")


def run(arguments: argparse.Namespace) -> int:
    """Survey the data, print what was found, and write the pictures where --out is given."""
    from importlib.util import find_spec

    for module in ("pydantic", "scipy"):
        if not find_spec(module):
            raise MissingExtraError("preparing training data", "train")
    import json
    from tempfile import TemporaryDirectory

    from care_bridge.images.picture import write_panels
    from care_bridge.images.whole_file import whole_file
    from care_bridge.training.config import load_config
    from care_bridge.training.dataset import open_dataset
    from care_bridge.training.survey import survey
    from care_bridge.training.survey_page import as_data, as_html, as_text, panels

    names = ("patches.png", "prepare.html")
    files = [arguments.out / name for name in names] if arguments.out else []
    for file in files:
        if file.exists() and not arguments.overwrite:
            raise ImageError(f"{file} exists already: choose another --out, or add --overwrite")
    config = load_config(arguments.config, arguments.set)
    # Windows does not remove files that are still mapped into memory.
    with TemporaryDirectory(prefix="care-bridge-", ignore_cleanup_errors=True) as scratch:
        found = survey(open_dataset(arguments.data, config, Path(scratch), leave_out=True))
    if files:
        montage, written = files
        write_panels(montage, panels(found), limits=(0.0, 1.0), columns=6)
        with whole_file(written, overwrite=True) as partial:
            partial.write_text(as_html(found, f"Training data {arguments.data}"), "utf-8")
    print(json.dumps(as_data(found), indent=2) if arguments.json else as_text(found))
    return 0
