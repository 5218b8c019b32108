"""Adding packages to the models that a PC keeps, and removing them."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from care_bridge.atomic import partial_beside
from care_bridge.errors import ConfigError, PackageError, PackageNotFoundError
from care_bridge.lock import open_locked, remove_locked
from care_bridge.package.archive import (
    RDF_NAMES,
    Archive,
    check_digest,
    is_address,
    name_in_package,
    open_archive,
)
from care_bridge.package.downloading import fetched_file
from care_bridge.package.file_names import checked_name, same_file
from care_bridge.package.package import Package, load_package
from care_bridge.package.packing import pack
from care_bridge.package.rdf_files import named_addresses, named_files
from care_bridge.package.store import (
    StoredModel,
    checked_model_name,
    find_model,
    find_package,
    models_in,
    place_folder,
    stored_models,
)

WritablePlace = Literal["user", "shared"]


@dataclass(frozen=True)
class Added:
    """A model in the store, and whether it came there now or was there."""

    model: StoredModel
    is_new: bool


def add_model(
    source: str | Path,
    name: str | None = None,
    place: WritablePlace = "user",
    *,
    allow_download: bool = False,
) -> Added:
    """Keep the package at `source` (a folder, a .zip or an rdf.yaml) as one zip in a place.

    name: what it is called then; None for the name of its file or folder. allow_download: whether
    the weights and test tensors that it names by web addresses are fetched and kept with it.
    Nothing is done where the place, the bundled models or the shared folder hold it already; a
    damaged zip of that name in the place is replaced.
    PackageError where it cannot be used, is not whole, or the place cannot be written; ConfigError
    where another model has the name, or no model can have it.
    """
    path = find_package(source)
    package = load_package(path)
    name = checked_model_name(_usual_name(path) if name is None else name)
    found = _found(package, name, place)
    if found.kept:
        return Added(found.kept, is_new=False)
    if allow_download:
        package = replace(package, archive=_with_fetched(package))
    package.weights()
    for tensor in package.spec.tensors:
        package.tensor(tensor.test_tensor)
    with _writing(place), ExitStack() as held:
        if found.damaged:
            held.enter_context(_alone(found.damaged, name))
            found = _found(package, name, place)  # it may have been replaced meanwhile
            if found.kept:
                return Added(found.kept, is_new=False)
        out = found.damaged or _path_for(name, place)
        try:
            # What was not seen above came meanwhile, from another process.
            pack(out, _files(package.archive), only_new=found.damaged is None)
        except FileExistsError:
            if not out.is_file():
                raise
            kept = _found(package, name, place).kept
            if kept is None:
                raise _added_by_others(name) from None
            return Added(kept, is_new=False)
    return Added(StoredModel(out.stem, out, place), is_new=True)


@contextmanager
def _alone(damaged: Path, name: str) -> Iterator[None]:
    """Keep others from replacing a damaged zip, too; ConfigError where one does."""
    path = damaged.with_name(f".{damaged.name}.lock")
    lock = open_locked(path)
    if lock is None:
        raise _added_by_others(name)
    try:
        yield
    finally:
        remove_locked(path, lock)


def _added_by_others(name: str) -> ConfigError:
    return ConfigError(f'"{name}" is being added by somebody else: try again')


def remove_model(asked: str, place: WritablePlace = "user") -> StoredModel:
    """Remove the model with this name or hash from a place, and return what it was.

    PackageNotFoundError and ConfigError as `find_model`; ConfigError where it is in another place;
    PackageError where the place cannot be written.
    """
    try:
        model = find_model(asked, place)
    except PackageNotFoundError:
        elsewhere = find_model(asked)
        raise ConfigError(_why_not_removed(elsewhere)) from None
    with _writing(place):
        if model.path.is_dir() and not model.path.is_symlink():
            leaving = partial_beside(model.path)
            model.path.rename(leaving)
            shutil.rmtree(leaving)
        else:
            model.path.unlink()
    return model


def _usual_name(path: Path) -> str:
    if path.suffix.lower() in (".yaml", ".yml"):
        return path.absolute().parent.name
    return path.stem if path.is_file() else path.resolve().name


@dataclass(frozen=True)
class _Found:
    """What has the name already: the model itself, whole, or a damaged zip to be replaced."""

    kept: StoredModel | None = None
    damaged: Path | None = None


def _found(package: Package, name: str, place: WritablePlace) -> _Found:
    """What has the name; ConfigError where that is another model."""
    damaged = None
    for model in stored_models():
        if same_file(model.name) != same_file(name):
            continue
        try:
            sha256 = model.sha256()
        except PackageError as error:
            if model.place == place and not _may_be_replaced(model):
                raise ConfigError(
                    f'what is kept as "{model.name}" cannot be used ({model.path}): remove it, or '
                    "add this one with a --name of its own"
                ) from error
            if model.place == place:
                damaged = damaged or model.path
            continue
        if sha256 != package.spec.rdf_sha256:
            raise ConfigError(
                f'another model is called "{model.name}" ({model.path}): add this one with a '
                "--name of its own"
            )
        if model.place in (place, "bundled", "shared") and _is_whole(model):
            return _Found(model)
        if model.place == place and model.path.is_file():
            damaged = damaged or model.path
    return _Found(damaged=damaged)


def _may_be_replaced(damaged: StoredModel) -> bool:
    """A damaged zip is; not a folder, nor what may be whole for those who may read it."""
    return damaged.path.is_file() and os.access(damaged.path, os.R_OK)


def _path_for(name: str, place: WritablePlace) -> Path:
    """The zip to write: the one that has the name, capitals or not, or a new one."""
    zips = (model.path for model in models_in(place) if same_file(model.name) == same_file(name))
    return next((path for path in zips if path.is_file()), place_folder(place) / f"{name}.zip")


def _is_whole(model: StoredModel) -> bool:
    try:
        for _, parts in _files(open_archive(model.path)):
            for _ in parts:
                pass
    except PackageError:
        return False
    return True


def _with_fetched(package: Package) -> Archive:
    """The package's archive with the files that its model needs and that lie in the web."""
    archive = package.archive
    hashes = named_addresses(archive.description())
    tensors = [tensor.test_tensor for tensor in package.spec.tensors]
    needed = [name for name in (package.spec.weights.source, *tensors) if is_address(name)]
    fetched = {each: fetched_file(each, hashes.get(each), archive.path) for each in needed}
    return replace(archive, fetched=fetched)


def _files(archive: Archive) -> Iterator[tuple[str, Iterator[bytes]]]:
    """The description and the files that it names, as they go into a zip; each is compared with
    its hash when its last part is taken."""
    description = archive.description()
    yield RDF_NAMES[0], iter([description])
    addresses = named_addresses(description)
    named = named_files(description) | {each: addresses[each] for each in archive.fetched}
    places = {checked_name(name_in_package(name), archive.path): name for name in named}
    for place in sorted(places.keys() - {*RDF_NAMES, archive.rdf_name}):
        yield place, _hashed(archive, places[place], named[places[place]])


def _hashed(archive: Archive, name: str, sha256: str | None) -> Iterator[bytes]:
    digest = hashlib.sha256()
    for part in archive.chunks(name):
        digest.update(part)
        yield part
    if sha256:
        check_digest(digest.hexdigest(), sha256, name, archive.path)


@contextmanager
def _writing(place: WritablePlace) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        hint = "ask its owner, or leave out --shared" if place == "shared" else "free or allow it"
        raise PackageError(
            f"the models' folder {place_folder(place)} cannot be written "
            f"({error.strerror or error}): {hint}"
        ) from error


def _why_not_removed(model: StoredModel) -> str:
    if model.place == "bundled":
        return f'"{model.name}" came with care_bridge ({model.path}) and cannot be removed'
    if model.place == "shared":
        return (
            f'"{model.name}" is in the folder for all users ({model.path}): add --shared to remove '
            "it for all of them"
        )
    return f'"{model.name}" is a model of your own ({model.path}): leave out --shared'
