"""A package under examination: its description as plain data and its files, read and mended."""

from __future__ import annotations

import hashlib
import itertools
import math
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from care_bridge.errors import PackageError, PackageFormatError
from care_bridge.package.archive import Archive, check_hash
from care_bridge.package.file_names import same_file
from care_bridge.package.npy import LARGEST_TENSOR, read_npy
from care_bridge.package.onnx_file import OnnxFacts, external_files, read_onnx
from care_bridge.package.rdf_files import files_in, read_description, sources

Described = dict[str, Any]
"""A map of the description: a tensor, an axis, a processing step, …"""

_IDS = {"space": "x"}
"""What the spec calls an axis without id; those of the other types are called as their type."""

_WHOLE = tuple(f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
DATA_TYPES = ("float32", "float64", *_WHOLE, "bool")
"""The types that format 0.5 has for data and for ensure_dtype."""


@dataclass
class Draft:
    """The package in `archive`, with what is changed of it: rules look at it, and mend it.

    content: the description as plain data. rdf_name: its file name. changed: files that are new or
    other than those of the archive, by name.
    """

    archive: Archive
    rdf_name: str
    content: Described
    changed: dict[str, bytes] = field(default_factory=dict)
    _facts: dict[str, OnnxFacts | None] = field(default_factory=dict, repr=False)

    @classmethod
    def of(cls, archive: Archive) -> Draft:
        """The package as it is. PackageFormatError where its description is no map in YAML,
        PackageIntegrityError where that is refused."""
        its = f"cannot use the package {archive.path}: its description"
        content = read_description(archive.description(), its)
        if not isinstance(content, dict):
            raise PackageFormatError(f"{its} holds no keys")
        return cls(archive, archive.rdf_name, content)

    def copy(self) -> Draft:
        """The same, to be changed by itself."""
        content, changed, facts = deepcopy(self.content), dict(self.changed), dict(self._facts)
        return Draft(self.archive, self.rdf_name, content, changed, facts)

    def read(self, name: str) -> bytes:
        """The bytes of a file; errors as in `Archive.read`."""
        return self.changed[name] if name in self.changed else self.archive.read(name)

    def chunks(self, name: str) -> Iterator[bytes]:
        """The bytes of a file in parts; errors as in `Archive.chunks`."""
        return iter([self.changed[name]]) if name in self.changed else self.archive.chunks(name)

    def beginning(self, name: str) -> bytes:
        """The first part of a file; errors as in `Archive.chunks`."""
        return next(self.chunks(name), b"")

    def check(self, name: str, sha256: str | None) -> None:
        """Raise PackageError where a file is missing, or has another hash."""
        if name not in self.changed:
            self.archive.check(name, sha256)  # without holding it
        elif sha256:
            check_hash(self.changed[name], sha256, name, self.archive.path)

    @property
    def files(self) -> dict[str, str | None]:
        """The files that the description names, with their SHA-256 where it is given."""
        return files_in(self.content)

    def text(self) -> bytes:
        """The description as YAML."""
        text: str = yaml.safe_dump(self.content, sort_keys=False, allow_unicode=True, width=100)
        return text.encode()

    def write(self, name: str, data: bytes) -> None:
        """Replace a file or add one; where the description has its hash, that follows."""
        self.changed[name] = data
        self._facts.pop(name, None)
        sha256 = hashlib.sha256(data).hexdigest()
        for entry in sources(self.content):
            if entry["source"] == name and "sha256" in entry:
                entry["sha256"] = sha256

    def own_name(self, wanted: str) -> str:
        """A name for a file to write: the `wanted` one, unless a file has it that the description
        does not name."""
        if wanted in self.files:
            return wanted
        taken = {same_file(name) for name in (*self.archive.names(), *self.files)}
        path = PurePosixPath(wanted)
        numbered = (str(path.with_stem(f"{path.stem}_{number}")) for number in itertools.count(2))
        names = itertools.chain([wanted], numbered)
        return next(name for name in names if same_file(name) not in taken)

    def tensors(self, side: str) -> list[Described]:
        """The "inputs" or "outputs", as far as they are described as in format 0.5."""
        listed = self.content.get(side)
        return [
            tensor
            for tensor in (listed if isinstance(listed, list) else [])
            if isinstance(tensor, dict) and _are_maps(tensor.get("axes"))
        ]

    def test_tensor(self, tensor: Described) -> NDArray[Any] | None:
        """The numbers of its test tensor; None where it has none that can be read."""
        name = source_of(tensor.get("test_tensor"))
        if name is None:
            return None
        try:
            data = self.changed.get(name) or self.archive.read(name, LARGEST_TENSOR)
            return read_npy(data, name, self.archive.path)
        except PackageError:
            return None

    def weights(self, kind: str) -> Described:
        """The entry of a weights format, e.g. "onnx"; {} where there is none."""
        entries = self.content.get("weights")
        entry = entries.get(kind) if isinstance(entries, dict) else None
        return entry if isinstance(entry, dict) else {}

    def onnx_bytes(self) -> bytes | None:
        """The ONNX file; None where there is none that can be read."""
        entry = self.weights("onnx")
        name, sha256 = entry.get("source"), entry.get("sha256")
        if not isinstance(name, str):
            return None
        try:
            self.check(name, sha256 if isinstance(sha256, str) else None)
            return self.read(name)
        except PackageError:
            return None

    def onnx(self) -> OnnxFacts | None:
        """The facts of the ONNX file; None where there is none that can be read."""
        name = str(self.weights("onnx").get("source"))
        if name not in self._facts:
            data = self.onnx_bytes()
            try:
                self._facts[name] = read_onnx(data, name) if data else None
            except PackageError:
                self._facts[name] = None
        return self._facts[name]

    def network_inputs(self) -> list[tuple[Described, str]]:
        """The inputs, each with the type of numbers that the network takes at its place; float32
        where the ONNX file does not tell it, as networks of other formats take it."""
        facts = self.onnx()
        types = iter(facts.input_types.values() if facts else ())
        return [(tensor, next(types, "") or "float32") for tensor in self.tensors("inputs")]

    def onnx_beside(self) -> tuple[str, ...]:
        """The files in which the ONNX file keeps weights, as far as it can be read."""
        data = self.onnx_bytes()
        try:
            return external_files(data, "") if data else ()
        except PackageError:
            return ()

    def config(self, name: str) -> Described:
        """A section of config, e.g. "bioimageio"; {} where there is none."""
        config = self.content.get("config")
        section = config.get(name) if isinstance(config, dict) else None
        return section if isinstance(section, dict) else {}

    def set_config(self, name: str, key: str, value: object) -> None:
        """Set a key of a section of config, which is made where there is none."""
        config = self.content.get("config")
        self.content["config"] = {
            **(config if isinstance(config, dict) else {}),
            name: {**self.config(name), key: value},
        }


def space_axes(tensor: Described) -> list[Described]:
    """The axes of type space."""
    return [axis for axis in tensor["axes"] if axis.get("type") == "space"]


def scale_of(axis: Described) -> float:
    """The extent of an axis's pixels; 1 where none is given, or what the spec does not allow."""
    scale = axis.get("scale")
    return scale if isinstance(scale, int | float) and 0 < scale < math.inf else 1.0


def axis_of_type(tensor: Described, kind: str) -> Described | None:
    """The axis of a type that a tensor has once: "batch" or "channel"; None where it has none."""
    return next((axis for axis in tensor["axes"] if axis.get("type") == kind), None)


def axis_id(axis: Described) -> str:
    """The id of an axis, as the spec fills it in."""
    kind = str(axis.get("type"))
    return str(axis.get("id", _IDS.get(kind, kind)))


def position(tensor: Described, axis: Described) -> int:
    """Which dimension of the tensor an axis of it is."""
    return next(index for index, each in enumerate(tensor["axes"]) if each is axis)


def source_of(file: object) -> str | None:
    """The name of a file, which the description gives by itself or as {source: …}."""
    name = file.get("source") if isinstance(file, dict) else file
    return name if isinstance(name, str) else None


def data_type(tensor: Described) -> str:
    """The type of a tensor's data, as the spec fills it in."""
    data = tensor.get("data")
    first = next(iter(data), None) if isinstance(data, list) else data  # of its channels
    told = first if isinstance(first, dict) else {}
    return str(told.get("type", "uint8" if "values" in told else "float32"))


def as_type(values: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any] | None:
    """The same numbers in another type; None where that cannot hold them."""
    with np.errstate(invalid="ignore"):  # of NaN as an integer, which is told by the comparison
        converted = values.astype(kind)
    return converted if np.array_equal(converted, values, equal_nan=True) else None


def _are_maps(axes: object) -> bool:
    return isinstance(axes, list) and all(isinstance(axis, dict) for axis in axes)
