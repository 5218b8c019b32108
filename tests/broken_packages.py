"""Packages with one thing changed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import onnx
import yaml

from care_bridge import load_package
from care_bridge.runtime.prediction import predict
from care_bridge.runtime.session import Session
from tests.packages import npy


def edit(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change the RDF of the package in `folder`."""
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text("utf-8"))
    change(rdf)
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf, sort_keys=False), "utf-8")


def put(folder: Path, name: str, data: bytes) -> None:
    """Replace a file of the package and its hash in the RDF."""
    old = hashlib.sha256((folder / name).read_bytes()).hexdigest()
    (folder / name).write_bytes(data)
    rdf = (folder / "rdf.yaml").read_text("utf-8")
    (folder / "rdf.yaml").write_text(rdf.replace(old, hashlib.sha256(data).hexdigest()), "utf-8")


def with_model(folder: Path, change: Callable[[Any], object]) -> None:
    """Change the package's ONNX model."""
    model = onnx.load_model_from_string((folder / "weights.onnx").read_bytes())
    change(model)
    put(folder, "weights.onnx", model.SerializeToString())


def with_test_input(folder: Path, values: Any) -> None:
    """Another test input, and the output that the network gives for it."""
    package = load_package(folder)
    (output,) = predict(package.spec, Session(package.weights(), "cpu"), values)
    put(folder, "test_input.npy", npy(values))
    put(folder, "test_output.npy", npy(output))
