"""Packages whose folder is hostile or broken."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable
from pathlib import Path

from tests.hostile.case import RUNNING, WHOLE, Case, good, in_folder, with_file


def linked(name: str, target: str = "/etc/passwd") -> Callable[[Path], Path]:
    """With a file that is a link to another place."""

    def make(folder: Path) -> Path:
        package = in_folder(folder, good())
        (package / name).unlink()
        (package / name).symlink_to(target)
        return package

    return make


def linked_to_itself(folder: Path) -> Path:
    return linked("weights.onnx", "weights.onnx")(folder)


def linked_folder(folder: Path) -> Path:
    """The weights are a file of a folder that is linked to."""
    package = in_folder(folder, good())
    (folder / "elsewhere").mkdir()
    (package / "weights.onnx").rename(folder / "elsewhere" / "weights.onnx")
    (package / "inside").symlink_to(folder / "elsewhere")
    rdf = package / "rdf.yaml"
    rdf.write_bytes(rdf.read_bytes().replace(b"source: weights", b"source: inside/weights"))
    return package


def pipe(name: str) -> Callable[[Path], Path]:
    """With a pipe, from which nothing ever comes."""

    def make(folder: Path) -> Path:
        package = in_folder(folder, good())
        (package / name).unlink()
        os.mkfifo(package / name)
        return package

    return make


def only_a_pipe(folder: Path) -> Path:
    os.mkfifo(folder / "package.zip")
    return folder / "package.zip"


def device(_folder: Path) -> Path:
    return Path("/dev/zero")


def with_a_socket(folder: Path) -> Path:
    package = in_folder(folder, good())
    (package / "cover.png").unlink()
    here = Path.cwd()
    os.chdir(package)  # its path may be longer than a socket's may be
    with socket.socket(socket.AF_UNIX) as made:
        made.bind("cover.png")
    os.chdir(here)
    return package


def sparse(name: str, size: int) -> Callable[[Path], Path]:
    """With a file of zeros that takes no place on the disk."""

    def make(folder: Path) -> Path:
        package = in_folder(folder, good())
        os.truncate(package / name, size)
        return package

    return make


def emptied(folder: Path) -> Path:
    package = in_folder(folder, {})
    package.mkdir()
    return package


def changed(name: str) -> Callable[[Path], Path]:
    """With a file that is not the one whose hash the description gives."""
    return lambda folder: in_folder(folder, {**good(), name: good()[name] + b"more"})


def without(name: str) -> Callable[[Path], Path]:
    return lambda folder: in_folder(
        folder, {each: data for each, data in good().items() if each != name}
    )


FOLDERS = {
    "folder-description-linked": Case(linked("rdf.yaml"), "is a link"),
    "folder-weights-linked": Case(linked("weights.onnx"), "is a link", RUNNING),
    "folder-weights-linked-to-themselves": Case(linked_to_itself, "is a link", RUNNING),
    "folder-cover-linked": Case(linked("cover.png"), "is a link", WHOLE),
    "folder-in-it-linked": Case(linked_folder, "is a link", RUNNING),
    "folder-description-a-pipe": Case(pipe("rdf.yaml"), "has no rdf.yaml"),
    "folder-weights-a-pipe": Case(pipe("weights.onnx"), "has no file", RUNNING),
    "folder-cover-a-socket": Case(with_a_socket, "has no file", WHOLE),
    "pipe-for-a-package": Case(only_a_pipe, "neither a file nor a folder"),
    "device-for-a-package": Case(device, "neither a file nor a folder"),
    "folder-description-too-large": Case(sparse("rdf.yaml", 1 << 20), "it may have at most"),
    "folder-weights-too-large": Case(
        sparse("weights.onnx", 1 << 42), "it may have at most", RUNNING
    ),
    "folder-weights-large-and-others": Case(
        sparse("weights.onnx", 700 << 20), "is not the file", RUNNING
    ),
    "folder-test-image-too-large": Case(
        sparse("test_input.npy", 1 << 42), "it may have at most", WHOLE
    ),
    "folder-empty": Case(emptied, "has no rdf.yaml"),
    "folder-weights-missing": Case(without("weights.onnx"), "has no file", RUNNING),
    "folder-weights-changed": Case(changed("weights.onnx"), "is not the file", RUNNING),
    "folder-sample-changed": Case(changed("sample_input.tif"), "is not the file", WHOLE),
    "folder-weights-of-pickle": Case(
        lambda folder: in_folder(
            folder, with_file("weights.onnx", b"\x80\x04cos\nsystem\n(Vtouch evil\ntR.")
        ),
        "no ONNX file",
        RUNNING,
    ),
}
