"""Rules on the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from pathlib import PurePosixPath

from care_bridge.errors import PackageError
from care_bridge.package.consumers.architecture import missing_arguments
from care_bridge.package.consumers.draft import Described, Draft
from care_bridge.package.consumers.rule import CORE, DEEPIMAGEJ, ILASTIK, ZOO, Rule
from care_bridge.package.onnx_file import as_one_file, with_ir_version
from care_bridge.package.rdf_content import root_of

JDLL_OPSET = 18
JDLL_IR_VERSION = 8
"""The newest that ONNX Runtime 1.13.1 reads, JDLL's newest engine."""

_RUN_BY = {
    "onnx": (CORE, DEEPIMAGEJ),
    "torchscript": (CORE, DEEPIMAGEJ, ILASTIK),
    "pytorch_state_dict": (CORE, ILASTIK),
    "tensorflow_saved_model_bundle": (CORE, DEEPIMAGEJ),
    "keras_hdf5": (CORE,),
    "keras_v3": (CORE,),
}
"""Whose engines run which weights."""

_ZIP, _OF_TORCHSCRIPT = b"PK\x03\x04", (b"/constants.pkl", b"/code/__torch__")


def _newer_opset(draft: Draft) -> Iterator[str]:
    facts = draft.onnx()
    if facts and facts.opset > JDLL_OPSET:
        yield f"the ONNX file has opset {facts.opset}, its engine reads up to {JDLL_OPSET}"


def _newer_ir(draft: Draft) -> Iterator[str]:
    facts = draft.onnx()
    if facts and facts.ir_version > JDLL_IR_VERSION:
        yield (
            f"the ONNX file has IR version {facts.ir_version}, its engine reads up to "
            f"{JDLL_IR_VERSION}"
        )


def _stamp(draft: Draft) -> None:
    data, facts = draft.onnx_bytes(), draft.onnx()
    if data and facts and facts.opset <= JDLL_OPSET:
        draft.write(draft.weights("onnx")["source"], with_ir_version(data, JDLL_IR_VERSION))


def _other_opset(draft: Draft) -> Iterator[str]:
    facts, told = draft.onnx(), draft.weights("onnx").get("opset_version")
    if facts and facts.opset != told:
        yield f"the ONNX file has opset {facts.opset}, the description says {told}"


def _write_opset(draft: Draft) -> None:
    facts = draft.onnx()
    if facts:
        draft.weights("onnx")["opset_version"] = facts.opset


def _several_files(draft: Draft) -> Iterator[str]:
    for name in draft.onnx_beside():
        yield f'the ONNX file keeps weights in "{name}", which is not read'


def _take_in(draft: Draft) -> None:
    data, entry = draft.onnx_bytes(), draft.weights("onnx")
    if data:
        folder = PurePosixPath(entry["source"]).parent
        whole = as_one_file(data, lambda name: draft.read(str(folder / name)))
        draft.write(entry["source"], whole)
        entry.pop("external_data", None)


def _entries(draft: Draft) -> dict[str, Described]:
    given = draft.content.get("weights")
    entries = given if isinstance(given, dict) else {}
    return {kind: entry for kind, entry in entries.items() if isinstance(entry, dict)}


def _wrong_parents(draft: Draft) -> Iterator[str]:
    entries = _entries(draft)
    roots = [kind for kind, entry in entries.items() if not entry.get("parent")]
    if entries and len(roots) != 1:
        told = " and ".join(roots) or "none"
        yield f"of the weights {', '.join(entries)}, {told} have no parent, expected one"
    for kind, entry in entries.items():
        parent = entry.get("parent")
        if parent and (parent not in entries or parent == kind):
            yield f"the parent of the weights {kind} is {parent}, which is none of the others"


def _set_parents(draft: Draft) -> None:
    entries = _entries(draft)
    root = root_of(entries)
    for kind, entry in entries.items():
        if kind == root:
            entry.pop("parent", None)
        else:
            entry["parent"] = root


def _without_architecture(draft: Draft) -> Iterator[str]:
    entry = draft.weights("pytorch_state_dict")
    if not entry:
        return
    told = _architecture(entry)
    called, source = told.get("callable"), told.get("source")
    if not called:
        yield "the weights pytorch_state_dict have no architecture with a callable"
    elif not isinstance(source, str):
        yield (
            "the architecture of pytorch_state_dict is no file of the package, so it works only "
            "where its library is installed"
        )
    else:
        yield from _not_callable(draft, source, str(called), told.get("kwargs"))


def _architecture(entry: Described) -> Described:
    """source, callable and kwargs, as format 0.5 has them; 0.4 writes them as "FILE:CALLABLE"."""
    told = entry.get("architecture")
    if isinstance(told, str):
        source, _, called = told.rpartition(":")
        return {"source": source, "callable": called, "kwargs": entry.get("kwargs")}
    return told if isinstance(told, dict) else {}


def _not_callable(draft: Draft, source: str, called: str, kwargs: object) -> Iterator[str]:
    try:
        missing = missing_arguments(
            draft.read(source), called, kwargs if isinstance(kwargs, dict) else ()
        )
    except PackageError:  # a file that is missing is told by the check of the files
        return
    except SyntaxError:
        yield f'the architecture of pytorch_state_dict, "{source}", is no Python source'
        return
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        yield (
            f"the architecture of pytorch_state_dict has no kwargs for {missing[0]}{more}, for "
            f'which {called} in "{source}" asks'
        )


def _no_engine(draft: Draft) -> Iterator[str]:
    entries = _entries(draft)
    if entries and not any(DEEPIMAGEJ in _RUN_BY.get(kind, ()) for kind in entries):
        yield f"it runs TensorFlow, TorchScript and ONNX, the package has {', '.join(entries)}"


def _no_torchscript_file(draft: Draft) -> Iterator[str]:
    source = draft.weights("torchscript").get("source")
    if not isinstance(source, str):
        return
    try:
        is_one = _is_torchscript(draft.chunks(source))
    except PackageError:  # one that is missing or too large is told by the check of the files
        return
    if not is_one:
        yield f'the weights torchscript, "{source}", are no TorchScript file: it holds no network'


def _is_torchscript(parts: Iterable[bytes]) -> bool:
    """Told by the names in it, a zip of any size; nothing of it is loaded."""
    missing, seen = set(_OF_TORCHSCRIPT), b""
    for number, part in enumerate(parts):
        if number == 0 and not part.startswith(_ZIP):
            return False
        seen = seen[-max(map(len, _OF_TORCHSCRIPT)) :] + part  # a name may lie in two parts
        missing = {name for name in missing if name not in seen}
    return not missing


def _not_run(kind: str) -> Callable[[Draft], Iterator[str]]:
    def breaches(draft: Draft) -> Iterator[str]:
        if kind in _entries(draft):
            yield f"this check runs onnx, not the weights {kind}"

    return breaches


def _no_torchscript(draft: Draft) -> Iterator[str]:
    entries = _entries(draft)
    if entries and not any(ILASTIK in _RUN_BY.get(kind, ()) for kind in entries):
        yield f"it runs torchscript weights, the package has {', '.join(entries)}"


WEIGHTS_RULES = (
    Rule(
        "onnx-one-file",
        (DEEPIMAGEJ,),
        "error",
        _several_files,
        "save the ONNX model as one file",
        _take_in,
    ),
    Rule(
        "onnx-opset",
        (DEEPIMAGEJ,),
        "error",
        _newer_opset,
        f"have the ONNX file exported with opset {JDLL_OPSET} or less",
    ),
    Rule(
        "onnx-ir",
        (DEEPIMAGEJ,),
        "error",
        _newer_ir,
        f"stamp the ONNX file with IR version {JDLL_IR_VERSION}",
        _stamp,
    ),
    Rule(
        "onnx-opset-told",
        (ZOO,),  # the engines read the file's own
        "warning",
        _other_opset,
        "write the file's opset into the description",
        _write_opset,
    ),
    Rule(
        "weights-parents",
        (CORE, ZOO),
        "error",
        _wrong_parents,
        "give all but the first weights a parent",
        _set_parents,
    ),
    Rule(
        "architecture",
        (CORE, ILASTIK),
        "error",
        _without_architecture,
        "add a source file, the callable's name and its kwargs",
    ),
    Rule(
        "engine",
        (DEEPIMAGEJ,),
        "cannot",
        _no_engine,
        "have it exported with ONNX weights (ours: --weights onnx)",
    ),
    Rule(
        "torchscript-file",
        (CORE, DEEPIMAGEJ, ILASTIK),
        "error",
        _no_torchscript_file,
        "save the network with torch.jit.save",
    ),
    *(
        Rule(
            f"{kind.replace('_', '-')}-not-run",
            consumers,
            "note",
            _not_run(kind),
            "run them in that software before trusting them",
        )
        for kind, consumers in _RUN_BY.items()
        if kind != "onnx"
    ),
    Rule(
        "torchscript",
        (ILASTIK,),
        "cannot",
        _no_torchscript,
        "have it exported with TorchScript weights, too (ours: --weights onnx,torchscript)",
    ),
)
