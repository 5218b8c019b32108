"""The manifest of a folder of results: a line of JSON for each image when it is started, and one
when it ended, so that an interrupted batch goes on where it was.

A line tells its status ("started", "restored" or "failed"), when that was, the source (its path
below the folder that was named, size and time of its last change), the target (its path below the
manifest's folder), the model, the options that shape a result where they are not the defaults, and
the version of care_bridge. Lines are appended and forced to the disk, so that a killed process
loses the last one at most.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

import care_bridge
from care_bridge.errors import ImageError
from care_bridge.lock import open_locked, remove_locked
from care_bridge.package.spec import ModelSpec
from care_bridge.runtime.options import RestoreOptions

MANIFEST = "care_bridge_manifest.jsonl"

STARTED = "started"
RESTORED = "restored"
FAILED = "failed"

# What changes how a result is made, and not the result. Any other option shapes it.
_WITHOUT_TRACE = ("tile", "memory", "device", "overwrite", "include_subfolders")
_OR_OVERWRITE = "use another output, or overwrite to replace it"


@dataclass(frozen=True)
class Recipe:
    """What a result depends on besides its source: the package, by the hash of its description,
    the options that shape it (those that are not the defaults), and the version of care_bridge."""

    model: str
    rdf_sha256: str
    options: Mapping[str, Any]
    version: str

    @classmethod
    def of(cls, spec: ModelSpec, options: RestoreOptions) -> Recipe:
        """The recipe of restoring with this package and these options."""
        shaping = {
            option.name: _plain(getattr(options, option.name))
            for option in RestoreOptions.all()
            if option.name not in _WITHOUT_TRACE and getattr(options, option.name) != option.default
        }
        return cls(spec.name, spec.rdf_sha256, shaping, care_bridge.__version__)


@dataclass(frozen=True)
class SourceState:
    """A file (or the files of a folder, all together): its name in the manifest, bytes, and when
    it was last changed (nanoseconds since 1970)."""

    source: str
    size: int
    mtime_ns: int

    @classmethod
    def of(cls, path: Path, name: str) -> SourceState:
        """The state of the image at `path`. ImageError where it cannot be looked at."""
        try:
            files = [path, *path.rglob("*")] if path.is_dir() else [path]
            stats = [file.stat() for file in files]
        except FileNotFoundError as error:
            link = path.is_symlink()
            what = "is a link to a file that is not there" if link else "is not there any more"
            raise ImageError(f"{path} {what}") from error
        except OSError as error:
            raise ImageError(f"{path} cannot be looked at: {error.strerror}") from error
        size = sum(stat.st_size for file, stat in zip(files, stats, strict=True) if file.is_file())
        return cls(name, size, max(stat.st_mtime_ns for stat in stats))


@dataclass(frozen=True)
class Record:
    """A line of a manifest. replaces: the target was there when it was started, so that its being
    there says nothing. more: figures of the restoration, or the error."""

    status: str
    target: str
    state: SourceState
    recipe: Recipe
    replaces: bool = False
    more: Mapping[str, Any] = field(default_factory=dict)

    def as_line(self) -> bytes:
        """The record as it is written."""
        content = {
            "status": self.status,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
            **asdict(self.state),
            "target": self.target,
            **asdict(self.recipe),
            **({"replaces": True} if self.replaces else {}),
            **self.more,
        }
        return json.dumps(content, ensure_ascii=False).encode() + b"\n"

    @classmethod
    def from_line(cls, line: bytes) -> Record:
        """The record in a line, without its figures. ValueError, KeyError or TypeError where it
        is none."""
        content = json.loads(line)
        return cls(
            content["status"],
            content["target"],
            SourceState(content["source"], content["size"], content["mtime_ns"]),
            Recipe(content["model"], content["rdf_sha256"], content["options"], content["version"]),
            content.get("replaces", False),
        )

    def accounts_for(self, target: Path, state: SourceState, recipe: Recipe) -> None:
        """Raise ImageError, saying why, unless `target`, which is there, is what restoring the
        source in this state by this recipe gives. Results appear whole or not at all, so one that
        was started and is there was finished."""
        if self.replaces:
            raise ImageError(
                f"{target} was to be replaced when the run before was interrupted: overwrite to "
                "restore it anew"
            )
        made = self.recipe
        if made.rdf_sha256 != recipe.rdf_sha256:
            why = f"was restored with another model ({made.model}, {made.rdf_sha256[:12]})"
        elif made.options != recipe.options:
            why = f"was restored with other options ({_as_text(made.options)})"
        elif made.version != recipe.version:
            why = f"was restored by care_bridge {made.version}, this is {recipe.version}"
        elif self.state != state:
            why = f"was restored from {self.state.source} as it was before it changed"
        else:
            return
        raise ImageError(f"{target} {why}: {_OR_OVERWRITE}")


def unexplained(target: Path) -> ImageError:
    """The error of a result's name that is taken by who knows what."""
    return ImageError(f"{target} is there already: {_OR_OVERWRITE}")


class Records:
    """What is known of each target: the record of how it was restored, or, where a run was
    interrupted, of how it was started. A failed one leaves things as they were before."""

    def __init__(self) -> None:
        self._latest: dict[str, Record] = {}
        self._restored: dict[str, Record] = {}

    def note(self, record: Record) -> None:
        """Take account of the next record."""
        if record.status == FAILED:
            self._latest.pop(record.target, None)
            if record.target in self._restored:
                self._latest[record.target] = self._restored[record.target]
            return
        self._latest[record.target] = record
        if record.status == RESTORED:
            self._restored[record.target] = record

    def of(self, target: str) -> Record | None:
        """The record of a target by its name in the manifest."""
        return self._latest.get(target)


class Manifest:
    """An open manifest, which no other process can open; made by `open_manifest`. `records` says
    what is known of each target."""

    def __init__(self, path: Path, stream: BinaryIO) -> None:
        self._path = path
        self._stream = stream
        self.records = read_records(path)

    def add(self, record: Record) -> None:
        """Write a record; it is on the disk when this returns. ImageError where it cannot be."""
        try:
            self._stream.write(record.as_line())
            self._stream.flush()
            os.fsync(self._stream.fileno())
        except OSError as error:
            raise _not_written(self._path, error) from error
        self.records.note(record)


def _not_written(path: Path, error: OSError) -> ImageError:
    return ImageError(
        f"{path} cannot be written ({error.strerror}): choose another output, or free the disk"
    )


@contextmanager
def open_manifest(folder: Path) -> Iterator[Manifest]:
    """The manifest in `folder` for one run; where nothing is written to it, it is not made.

    Raises ImageError where another process restores into the folder, or it cannot be written.
    """
    path = folder / MANIFEST
    made = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    try:
        stream = open_locked(path)
    except OSError as error:
        raise _not_written(path, error) from error
    if stream is None:
        raise ImageError(
            f"another process restores into {folder} at this moment: wait for it, or use another "
            "output"
        )
    with stream:
        try:
            _cut_torn_line(path, stream)
            yield Manifest(path, stream)
        finally:
            if os.fstat(stream.fileno()).st_size == 0:
                remove_locked(path, stream)
                _remove_empty(made)


def read_records(path: Path) -> Records:
    """What the manifest at `path` says; nothing where it is not there. A last line without its end
    is left out. ImageError where another line is no record."""
    records = Records()
    if not path.exists():
        return records
    *lines, _ = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        try:
            record = Record.from_line(line)
        except (ValueError, KeyError, TypeError) as error:
            raise ImageError(
                f"line {number} of {path} is no record of a result: repair the line, or move the "
                "manifest and its results away"
            ) from error
        records.note(record)
    return records


def _remove_empty(folders: Iterable[Path]) -> None:
    for folder in folders:
        if any(folder.iterdir()):
            return
        folder.rmdir()


def _cut_torn_line(path: Path, stream: BinaryIO) -> None:
    content = path.read_bytes()
    stream.truncate(content.rfind(b"\n") + 1)


def _plain(value: object) -> Any:
    """An option's value as JSON has it."""
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {name: _plain(each) for name, each in value.items()}
    return list(value) if isinstance(value, tuple) else value


def _as_text(options: Mapping[str, Any]) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items()) or "the defaults"
