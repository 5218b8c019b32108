"""The RDF that care_bridge writes, as plain data.

It is written as format 0.5.4, which both old and new bioimage.io consumers read; later formats
turn file names into maps with hashes, which old consumers refuse.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime

from care_bridge.axes import rdf_id
from care_bridge.normalization import FixedScale, Percentiles, Scale
from care_bridge.package.procedure import procedure_content
from care_bridge.package.spec import CONFIG_FORMAT, ModelSpec, TensorSpec
from care_bridge.package.steps import FLOAT32, written
from care_bridge.tiling import AxisLimits, round_up

FORMAT_VERSION = "0.5.4"
"""The newest that old and new consumers read."""

DOCUMENTATION = "README.md"
COVER = "cover.png"

_ROOTS = ("pytorch_state_dict", "onnx", "torchscript")


@dataclass(frozen=True)
class Paper:
    """A publication to cite: its reference and its DOI."""

    text: str
    doi: str


@dataclass(frozen=True)
class Person:
    """An author or a maintainer; "" for what is not told."""

    name: str
    affiliation: str = ""
    orcid: str = ""
    github_user: str = ""


@dataclass(frozen=True)
class MoreWeights:
    """Weights besides the ONNX file: their format, their file, and what else the RDF says of them.
    architecture: the file that defines their network, "" where they hold it themselves."""

    kind: str
    source: str
    entry: Mapping[str, object]
    architecture: str = ""


_CARE_PAPER = Paper(
    "Weigert et al. (2018) Content-aware image restoration: pushing the limits of fluorescence "
    "microscopy. Nature Methods 15, 1090-1097",
    "10.1038/s41592-018-0216-7",
)


@dataclass(frozen=True)
class Card:
    """What an RDF says of a model to people and to other consumers.

    tiled_axes: the axes (letters of ZYX) that other consumers may cut into tiles. Along such an
    axis their images need at least two halos and a step, so for thin stacks Z is better left out.
    papers: to cite besides that of CARE, whose network all models share. covers: picture files.
    dataset: the bioimage.io id of what it was trained on. weights: besides the ONNX file.
    """

    authors: tuple[Person, ...]
    tags: tuple[str, ...]
    timestamp: datetime
    tiled_axes: str
    papers: tuple[Paper, ...] = ()
    maintainers: tuple[Person, ...] = ()
    covers: tuple[str, ...] = (COVER,)
    dataset: str = ""
    weights: tuple[MoreWeights, ...] = ()


def smallest_size(halo: int, step: int, kept: int = 1) -> int:
    """The smallest size, a multiple of the step, with `kept` pixels between two halos: the spec
    asks for one, and JDLL only makes tiles that are multiples of the step."""
    return round_up(2 * halo + kept, step)


def smallest_for_consumers(limits: AxisLimits) -> int:
    """The `smallest_size` of an axis."""
    return smallest_size(limits.aligned_halo, limits.step)


def root_of(kinds: Collection[str]) -> str:
    """The weights of which the others are taken to be made: a network is trained by torch; where
    that is not told, the ONNX file is what there is."""
    return next((kind for kind in _ROOTS if kind in kinds), next(iter(kinds)))


def rdf_content(spec: ModelSpec, card: Card, hashes: Mapping[str, str]) -> dict[str, object]:
    """The RDF of `spec` as plain data, ready for YAML.

    `hashes`: SHA-256 of the package's files by name. `spec.config` holds what config.care_bridge
    keeps besides how to run the network (task, training). Parsed again the RDF gives `spec`, with
    its own hash and the whole config.
    """
    return {
        "format_version": FORMAT_VERSION,
        "type": "model",
        "name": spec.name,
        "description": spec.description,
        "version": spec.version,
        **_unless_empty("authors", [_person(each) for each in card.authors]),
        **_unless_empty("maintainers", [_person(each) for each in card.maintainers]),
        "cite": [asdict(paper) for paper in (*card.papers, _CARE_PAPER)],
        **_unless_empty("license", spec.license),
        "tags": list(card.tags),
        "documentation": DOCUMENTATION,
        "covers": list(card.covers),
        **_unless_empty("training_data", {"id": card.dataset} if card.dataset else {}),
        "timestamp": card.timestamp.isoformat(timespec="seconds"),
        "inputs": [_input(spec, card, hashes)],
        "outputs": _outputs(spec, card, hashes),
        "weights": _weights(spec, card, hashes),
        "config": {
            "bioimageio": {"nickname": spec.nickname},
            "care_bridge": _config(spec),
        },
    }


def _unless_empty(key: str, value: object) -> dict[str, object]:
    return {key: value} if value else {}


def _person(person: Person) -> dict[str, str]:
    return {key: value for key, value in asdict(person).items() if value}


def _weights(spec: ModelSpec, card: Card, hashes: Mapping[str, str]) -> dict[str, object]:
    """All weights; those from which the others are made have no parent."""
    entries: dict[str, dict[str, object]] = {
        "onnx": {
            "source": spec.weights.source,
            "sha256": spec.weights.sha256,
            "opset_version": spec.weights.opset,
        }
    }
    for more in card.weights:
        entry = {**_file(more.source, hashes), **more.entry}
        if more.architecture:
            told = entry["architecture"]
            assert isinstance(told, Mapping)
            entry["architecture"] = {**_file(more.architecture, hashes), **told}
        entries[more.kind] = entry
    root = root_of(entries)
    return {
        kind: entry if kind == root else {**entry, "parent": root}
        for kind, entry in entries.items()
    }


def _config(spec: ModelSpec) -> dict[str, object]:
    percentile = isinstance(spec.normalization, Percentiles)
    config: dict[str, object] = {
        "format": CONFIG_FORMAT,
        **spec.config,
        **procedure_content(spec.procedure),
        "normalization": "percentile" if percentile else "fixed",
        "size_step": {rdf_id(axis): limits.step for axis, limits in spec.tiling.items()},
        "halo": {rdf_id(axis): limits.halo for axis, limits in spec.tiling.items()},
    }
    if spec.memory_per_pixel is not None:
        config["memory_per_pixel"] = spec.memory_per_pixel
    if spec.member_count > 1:
        config["spread"] = spec.spread
    return config


def _input(spec: ModelSpec, card: Card, hashes: Mapping[str, str]) -> dict[str, object]:
    space = [
        {
            "type": "space",
            "id": rdf_id(axis),
            "size": {
                "min": smallest_for_consumers(limits) if axis in card.tiled_axes else limits.min,
                "step": limits.step,
            },
            "concatenable": axis in card.tiled_axes,
        }
        for axis, limits in spec.tiling.items()
    ]
    if spec.projects:
        whole = {"min": 1, "step": 1}
        space.insert(0, {"type": "space", "id": "z", "size": whole, "concatenable": False})
    return {
        **_tensor(spec.input, space, hashes),
        "preprocessing": [
            written(FLOAT32),
            _preprocessing(spec),
        ],
    }


def _outputs(spec: ModelSpec, card: Card, hashes: Mapping[str, str]) -> list[dict[str, object]]:
    outputs = [_tensor(tensor, _output_space(spec, card), hashes) for tensor in spec.tensors[1:]]
    if isinstance(spec.normalization, FixedScale):
        means = [(scale.gain, scale.offset) for scale in spec.normalization.after]
        scales = [(gain, 0.0) for gain, _ in means]
        linear = [means, (means + scales) * spec.member_count]
        for output, gains_offsets in zip(outputs, linear, strict=False):
            output["postprocessing"] = [_scale_linear(gains_offsets)]
    return outputs


def _output_space(spec: ModelSpec, card: Card) -> list[dict[str, object]]:
    return [
        {
            "type": "space",
            "id": rdf_id(axis),
            "size": {"tensor_id": spec.input.id, "axis_id": rdf_id(axis)},
            **({"halo": limits.aligned_halo} if limits.halo and axis in card.tiled_axes else {}),
        }
        for axis, limits in spec.tiling.items()
    ]


def _tensor(
    tensor: TensorSpec, space: list[dict[str, object]], hashes: Mapping[str, str]
) -> dict[str, object]:
    described: dict[str, object] = {
        "id": tensor.id,
        "axes": [
            {"type": "batch"},
            {"type": "channel", "channel_names": list(tensor.channel_names)},
            *space,
        ],
        "data": {"type": "float32"},
        "test_tensor": _file(tensor.test_tensor, hashes),
    }
    if tensor.sample_tensor:
        described["sample_tensor"] = _file(tensor.sample_tensor, hashes)
    return described


def _file(name: str, hashes: Mapping[str, str]) -> dict[str, str]:
    return {"source": name, "sha256": hashes[name]}


def _preprocessing(spec: ModelSpec) -> dict[str, object]:
    if isinstance(spec.normalization, Percentiles):
        return {
            "id": "scale_range",
            "kwargs": {
                "axes": [rdf_id(axis) for axis in spec.input.axes if axis in "ZYX"],
                "min_percentile": spec.normalization.low,
                "max_percentile": spec.normalization.high,
                "eps": spec.normalization.eps,
            },
        }
    assert isinstance(spec.normalization, FixedScale)
    return _scale_linear([_as_linear(scale) for scale in spec.normalization.before])


def _as_linear(scale: Scale) -> tuple[float, float]:
    """(x - offset) / gain as gain and offset of x * gain + offset."""
    return 1 / scale.gain, -scale.offset / scale.gain


def _scale_linear(gains_offsets: list[tuple[float, float]]) -> dict[str, object]:
    gains = [gain for gain, _ in gains_offsets]
    offsets = [offset for _, offset in gains_offsets]
    if len(gains) == 1:
        return {"id": "scale_linear", "kwargs": {"gain": gains[0], "offset": offsets[0]}}
    return {
        "id": "scale_linear",
        "kwargs": {"axis": "channel", "gain": gains, "offset": offsets},
    }
