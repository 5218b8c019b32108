"""A model package: its description and its files."""

from __future__ import annotations

import gc
import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from care_bridge.package.archive import Archive, open_archive
from care_bridge.package.checked_weights import check_once
from care_bridge.package.npy import LARGEST_TENSOR, read_npy
from care_bridge.package.spec import ModelSpec
from care_bridge.package.spec_cache import load_spec, save_spec
from care_bridge.package.store import find_package


@dataclass(frozen=True)
class Package:
    """A package that lies at `source` (a folder or a zip); made by `load_package`.

    Its files are read when they are asked for.
    """

    spec: ModelSpec
    archive: Archive

    @property
    def source(self) -> Path:
        """The package's folder or zip."""
        return self.archive.path

    def read(self, name: str) -> bytes:
        """The bytes of a file of the package. PackageError where it is missing or damaged."""
        return self.archive.read(name)

    def weights(self) -> bytes:
        """The ONNX file. PackageIntegrityError where it is not the one the RDF was written for,
        and errors as of `check_network` where it is not to be run."""
        source, sha256 = self.spec.weights.source, self.spec.weights.sha256
        self.archive.check(source, sha256)  # before it takes memory
        data = self.read(source)
        check_once(data, sha256, source)
        return data

    def tensor(self, name: str) -> NDArray[Any]:
        """The numbers in the .npy file `name`, not to be written to. PackageFormatError where it
        holds none."""
        return read_npy(self.archive.read(name, LARGEST_TENSOR), name, self.source)


def load_package(source: str | Path) -> Package:
    """The package at `source`: a folder, a .zip, an rdf.yaml, or a kept model's name.

    PackageNotFoundError where there is none, PackageFormatError where it is no package or one
    that care_bridge cannot run, PackageIntegrityError where its files are not allowed.
    """
    archive = open_archive(find_package(source))
    data = archive.description()
    spec = load_spec(hashlib.sha256(data).hexdigest())
    if spec is None:
        spec = _parse(data, str(archive.path))
        save_spec(spec)
    return Package(spec, archive)


def _parse(data: bytes, origin: str) -> ModelSpec:
    """The description in an RDF's bytes, by the spec library, which is imported here: it takes
    longer to import than a small image to restore."""
    # The library makes some hundred classes when it is imported; without the garbage collector,
    # which would walk them again and again, that takes a fifth less time.
    gc.disable()
    try:
        from care_bridge.package.rdf import parse_rdf
    finally:
        gc.enable()
    return parse_rdf(data, origin)
