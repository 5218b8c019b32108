"""Packages whose description is hostile or broken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.hostile.case import EVERY, RUNNING, WHOLE, Case, described, good, in_folder

YAML = "is not valid YAML"
REFUSED_YAML = "description is refused"
INVALID = "description is not valid"
LEAVES = "leaves the package"
_ALIASES = "a0: &a0 [x]\n" + "".join(
    f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 10)}]\n" for level in range(1, 9)
)
_SHA256 = "0" * 64


def text(more: str | bytes, alone: bool = False) -> Callable[[Path], Path]:
    """With this text in its description, behind the good one unless alone."""
    data = more if isinstance(more, bytes) else more.encode()

    def make(folder: Path) -> Path:
        rdf = data if alone else good()["rdf.yaml"] + data
        return in_folder(folder, {**good(), "rdf.yaml": rdf})

    return make


def with_values(*changes: tuple[str, Any]) -> Callable[[Path], Path]:
    """With other values at places such as "inputs.0.id"; None removes one."""

    def change(content: dict[str, Any]) -> None:
        for place, value in changes:
            *path, last = (int(key) if key.isdigit() else key for key in place.split("."))
            inner: Any = content
            for key in path:
                inner = inner[key]
            if value is None:
                del inner[last]
            else:
                inner[last] = value

    return lambda folder: in_folder(folder, described(change))


def case(said: str, *changes: tuple[str, Any], verbs: tuple[str, ...] = EVERY) -> Case:
    return Case(with_values(*changes), said, verbs)


_Y = "inputs.0.axes.2"
_OURS = "config.care_bridge"

TEXTS = {
    "yaml-aliases": Case(text(_ALIASES), REFUSED_YAML),
    "yaml-alias-of-itself": Case(text("a: &a [*a]\n"), REFUSED_YAML),
    "yaml-python": Case(text("a: !!python/object/apply:os.system ['touch evil']\n"), YAML),
    "yaml-python-name": Case(text("a: !!python/name:os.system\n"), YAML),
    "yaml-own-tag": Case(text("a: !evil {b: c}\n"), YAML),
    "yaml-key-twice": Case(text("name: another\n"), YAML),
    "yaml-merged": Case(text("a: {<<: {b: c}}\n"), REFUSED_YAML),
    "yaml-deep": Case(text("a: " + "[" * 20_000), REFUSED_YAML),
    "yaml-deep-maps": Case(text("a: " + "{a: " * 20_000), REFUSED_YAML),
    "yaml-long-number": Case(text("a: " + "9" * 100_000), REFUSED_YAML),
    "yaml-many-values": Case(text("a: [" + "b," * 100_000 + "]"), REFUSED_YAML),
    "yaml-no-text": Case(text(b"a: \xff\xfe\n"), YAML),
    "yaml-half-a-letter": Case(text('a: "\\ud800"\n'), YAML),
    "yaml-date-as-key": Case(text("2024-01-01: a\n"), REFUSED_YAML),
    "yaml-two-documents": Case(text("---\na: b\n"), YAML),
    "yaml-cut": Case(text(good()["rdf.yaml"] + b'a: ["b', alone=True), YAML),
    "yaml-too-large": Case(text("#" * 300_000), "it may have at most"),
    "yaml-empty": Case(text("", alone=True), "description"),
    "yaml-a-list": Case(text("[type, model]", alone=True), "description"),
    "yaml-a-word": Case(text("model", alone=True), "description"),
    "yaml-binary": Case(text(b"\x89PNG\r\n\x1a\n\0\0", alone=True), YAML),
}

VALUES = {
    "type-another": case("not of a model", ("type", "dataset")),
    "format-of-the-future": case("format_version", ("format_version", "9.9.9")),
    "format-a-list": case("format_version", ("format_version", ["0.5.4"])),
    "name-missing": case(INVALID, ("name", None)),
    "name-a-map": case(INVALID, ("name", {"a": "b"})),
    "version-a-list": case("version", ("version", ["1"])),
    "inputs-missing": case("", ("inputs", None)),
    "inputs-a-number": case("", ("inputs", 5)),
    "inputs-a-map": case("", ("inputs", {"a": 1})),
    "inputs-nested-nonsense": case("", ("inputs", [[[[{}]]], 3])),
    "outputs-empty": case("", ("outputs", [])),
    "axes-a-word": case("", ("inputs.0.axes", "bcyx")),
    "axes-twice": case("", (f"{_Y}.id", "x")),
    "axes-many": case("", ("inputs.0.axes", [{"type": "batch"}] * 2_000)),
    "step-negative": case(INVALID, (f"{_Y}.size.step", -4)),
    "step-zero": case(INVALID, (f"{_Y}.size.step", 0)),
    "size-negative": case(INVALID, (f"{_Y}.size.min", -4)),
    "size-a-word": case(INVALID, (f"{_Y}.size", "large")),
    "size-of-itself": case("", (f"{_Y}.size", {"tensor_id": "input", "axis_id": "y"})),
    "halo-negative": case(INVALID, ("outputs.0.axes.2.halo", -4)),
    "channels-none": case(INVALID, ("inputs.0.axes.1.channel_names", [])),
    "weights-missing": case("", ("weights", None)),
    "weights-none": case("", ("weights", {})),
    "weights-that-are-code": case(
        "onnx",
        (
            "weights",
            {
                "pytorch_state_dict": {
                    "source": "weights.onnx",
                    "sha256": _SHA256,
                    "pytorch_version": "2.0",
                    "architecture": {"source": "evil.py", "sha256": _SHA256, "callable": "Evil"},
                }
            },
        ),
    ),
    "weights-without-hash": case("sha256", ("weights.onnx.sha256", None)),
    "weights-hash-no-hash": case("", ("weights.onnx.sha256", "abc")),
    "weights-hash-a-number": case("", ("weights.onnx.sha256", 12)),
    "weights-hash-of-others": case(
        "is not the file", ("weights.onnx.sha256", _SHA256), verbs=RUNNING
    ),
    "weights-above": case("", ("weights.onnx.source", "../weights.onnx"), verbs=RUNNING),
    "weights-absolute": case("", ("weights.onnx.source", "/etc/passwd"), verbs=RUNNING),
    "weights-in-the-web": case(
        "--allow-download",
        ("weights.onnx.source", "https://example.com/weights.onnx"),
        verbs=RUNNING,
    ),
    "weights-by-file-address": case(
        "", ("weights.onnx.source", "file:///etc/passwd"), verbs=RUNNING
    ),
    "test-image-above": case("", ("inputs.0.test_tensor.source", "../../image.tif"), verbs=WHOLE),
    "test-image-missing": case("", ("inputs.0.test_tensor.source", "nothing.npy"), verbs=WHOLE),
    "documentation-above": case(
        LEAVES, ("documentation", "../../../../../../etc/passwd.md"), verbs=WHOLE
    ),
    "dependencies-above": case(
        LEAVES, ("weights.onnx.dependencies", "conda:../../evil.yaml"), verbs=("check",)
    ),
    "attachment-of-weights-above": case(
        LEAVES, ("weights.onnx.attachments", {"files": ["../../evil"]}), verbs=("check",)
    ),
    "cover-absolute": case("", ("covers", ["/etc/cover.png"]), verbs=WHOLE),
    "two-hashes-of-a-file": case(
        "two hashes",
        ("attachments", [{"source": "weights.onnx", "sha256": _SHA256}]),
        verbs=("add",),
    ),
    "processing-unknown": case("", ("inputs.0.preprocessing", [{"id": "evil", "kwargs": {}}])),
    "processing-of-code": case(
        "",
        (
            "inputs.0.preprocessing",
            [{"id": "custom", "kwargs": {"source": "evil.py", "callable": "run"}}],
        ),
    ),
    "percentiles-swapped": case("", ("inputs.0.preprocessing.1.kwargs.min_percentile", 99.9)),
    "percentiles-nan": case("", ("inputs.0.preprocessing.1.kwargs.min_percentile", float("nan"))),
    "eps-negative": case("", ("inputs.0.preprocessing.1.kwargs.eps", -1.0)),
    "ours-a-list": case("config.care_bridge", (_OURS, [1])),
    "ours-of-the-future": case("format", (f"{_OURS}.format", 99)),
    "ours-step-a-word": case("size_step", (f"{_OURS}.size_step", {"y": "4", "x": "4"})),
    "ours-step-zero": case("size_step", (f"{_OURS}.size_step", {"y": 0, "x": 4})),
    "ours-step-huge": case("", (f"{_OURS}.size_step", {"y": 10**30, "x": 4}), verbs=RUNNING),
    "ours-halo-huge": case("", (f"{_OURS}.halo", {"y": 10**12, "x": 4}), verbs=RUNNING),
    "ours-halo-negative": case("halo", (f"{_OURS}.halo", {"y": -12, "x": 12})),
    "ours-memory-nan": case("memory", (f"{_OURS}.memory_per_pixel", float("nan"))),
    "ours-memory-infinite": case("memory", (f"{_OURS}.memory_per_pixel", float("inf"))),
    "ours-memory-a-map": case("memory", (f"{_OURS}.memory_per_pixel", {"a": 1})),
}

DESCRIPTIONS = {**TEXTS, **VALUES}
