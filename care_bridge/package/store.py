"""Where packages are found: by path, or by the name or hash of a model that this PC keeps.

Models are kept in three places, looked up in this order: the user's folder, what came with
care_bridge, and a folder for all users of the PC or of a facility, which may be read-only. The
order keeps a shared folder from changing what a bundled name means.
"""

from __future__ import annotations

import contextlib
import difflib
import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from platformdirs import site_data_path, user_data_path

from care_bridge.bundled import bundled_folder
from care_bridge.errors import ConfigError, PackageError, PackageNotFoundError
from care_bridge.package.archive import RDF_NAMES, open_archive, reading
from care_bridge.package.file_names import is_legal_name, same_file
from care_bridge.package.printable import one_line

SHARED_FOLDER = "CARE_BRIDGE_MODELS"
"""The environment variable that names the folder for all users, where it is not the usual one."""

Place = Literal["user", "bundled", "shared"]
_HASH = re.compile(r"[0-9a-f]{6,64}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class StoredModel:
    """A model that this PC keeps: its name, its package (a folder or a zip), and in which place."""

    name: str
    path: Path
    place: Place

    def sha256(self) -> str:
        """What identifies the model: the SHA-256 (hex) of its description. PackageError where the
        package cannot be opened."""
        return hashlib.sha256(open_archive(self.path).description()).hexdigest()


def place_folder(place: Place) -> Path:
    """The folder of a place; it need not exist."""
    if place == "bundled":
        return bundled_folder("model_zoo")
    if place == "user":
        return user_data_path("care_bridge", appauthor=False) / "models"
    given = os.environ.get(SHARED_FOLDER)
    if given:
        return Path(given).expanduser()
    return site_data_path("care_bridge", appauthor=False) / "models"


def stored_models() -> list[StoredModel]:
    """All models that this PC keeps, in the order in which they are looked up."""
    places: tuple[Place, ...] = ("user", "bundled", "shared")
    return [model for place in places for model in models_in(place)]


def models_in(place: Place) -> list[StoredModel]:
    """The models of a place in order of their names: its zips, and its folders with an RDF."""
    try:
        inside = sorted(place_folder(place).iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return []
    return [
        StoredModel(path.stem if _is_zip(path) else path.name, path, place)
        for path in inside
        if not path.name.startswith(".") and (_is_zip(path) or _has_rdf(path))
    ]


def bundled_models() -> dict[str, Path]:
    """Folders of the bundled models by name, in order of their names."""
    return {model.name: model.path for model in models_in("bundled")}


def find_package(source: str | Path) -> Path:
    """The folder, zip or description file that `source` names.

    A path that exists goes before a model of that name. Errors as `find_model`; PackageFormatError
    where the file system does not let it be looked at.
    """
    path = Path(source)
    with contextlib.suppress(RuntimeError):  # "~NAME" where no user has that name
        path = path.expanduser()
    with reading(path):
        if path.exists():
            return path
    return find_model(str(source)).path


def find_model(asked: str, place: Place | None = None) -> StoredModel:
    """The kept model with the name `asked`, capitals or not, or else the one whose hash begins so
    (6 digits or more); of one place, or of all.

    PackageNotFoundError names what there is and the nearest of it; ConfigError where the digits
    fit several different models.
    """
    models = models_in(place) if place else stored_models()
    for model in models:
        if same_file(model.name) == same_file(asked):
            return model
    if _HASH.fullmatch(asked.lower()):
        by_hash = _by_hash(models, asked.lower())
        if len(by_hash) > 1:
            names = ", ".join(model.name for model in by_hash.values())
            raise ConfigError(f'the hash "{asked}" fits {names}: give more of its digits')
        if by_hash:
            return next(iter(by_hash.values()))
    raise PackageNotFoundError(_not_found(asked, [model.name for model in models]))


def checked_model_name(name: str) -> str:
    """`name`, if a model can have it in the store; ConfigError where not."""
    if not _NAME.fullmatch(name) or not is_legal_name(name):
        raise ConfigError(
            f'a model cannot be called "{name}": give a --name of up to 64 letters, digits, -, _ '
            "and ."
        )
    return name


def _is_zip(path: Path) -> bool:
    return path.suffix.lower() == ".zip"


def _has_rdf(path: Path) -> bool:
    try:
        return any((path / name).is_file() for name in RDF_NAMES)
    except PermissionError:  # listed, so that it is told why it cannot be used
        return True


def _by_hash(models: list[StoredModel], digits: str) -> dict[str, StoredModel]:
    """The first model of each hash that begins with `digits`."""
    found: dict[str, StoredModel] = {}
    for model in models:
        with contextlib.suppress(PackageError, OSError):  # a damaged one has no hash
            sha256 = model.sha256()
            if sha256.startswith(digits):
                found.setdefault(sha256, model)
    return found


def _not_found(asked: str, names: list[str]) -> str:
    near = difflib.get_close_matches(asked, names, n=1)
    guess = f'did you mean "{one_line(near[0])}"? ' if near else ""
    kept = ", ".join(dict.fromkeys(map(one_line, names))) or "none is there"
    return (
        f'there is no model package "{one_line(asked)}": {guess}give a model that is kept here '
        f"({kept}) or a package's folder, .zip or rdf.yaml"
    )
