"""What breaks the rules of other consumers, of a package that keeps all of them."""

from __future__ import annotations

import hashlib
import pickle
import shutil
from copy import deepcopy

import numpy as np
import onnx

from tests.broken_packages import edit, put, with_model, with_test_input
from tests.packages import npy


def edited(change):
    return lambda folder: edit(folder, change)


def without(key):
    return edited(lambda rdf: rdf.pop(key))


def input_axis(index, **values):
    return edited(lambda rdf: rdf["inputs"][0]["axes"][index].update(values))


def output_axis(index, **values):
    return edited(lambda rdf: rdf["outputs"][0]["axes"][index].update(values))


def preprocessing(change):
    return edited(lambda rdf: change(rdf["inputs"][0]["preprocessing"]))


def scale_range(**values):
    return preprocessing(lambda steps: steps[1]["kwargs"].update(values))


def zoo_file_name(folder):
    (folder / "rdf.yaml").rename(folder / "bioimageio.yaml")


def no_cover(folder):
    edit(folder, lambda rdf: rdf.pop("covers"))
    for name in ("cover.png", "validation.png"):
        (folder / name).unlink()


def no_sample(folder):
    edit(folder, lambda rdf: rdf["inputs"][0].pop("sample_tensor"))
    (folder / "sample_input.tif").unlink()


def no_validation(folder):
    (folder / "README.md").write_text("# A model\n")


def unnamed_space(folder):
    def change(rdf):
        for side in ("inputs", "outputs"):
            del rdf[side][0]["axes"][3]["id"]

    edit(folder, change)


def integers(folder):
    edit(folder, lambda rdf: rdf["inputs"][0]["data"].update(type="uint16"))
    values = np.load(folder / "test_input.npy")
    put(folder, "test_input.npy", npy(values.astype(np.uint16)))


def tested_as(kind):
    def spoil(folder):
        put(folder, "test_input.npy", npy(np.load(folder / "test_input.npy").astype(kind)))

    return spoil


def network_of(kind, told="float32"):
    """A network that takes numbers of another type and converts them itself. told: of its data."""

    def spoil(folder):
        def change(model):
            for node in model.graph.node:
                node.input[:] = ["floats" if name == "input" else name for name in node.input]
            cast = onnx.helper.make_node("Cast", ["input"], ["floats"], to=onnx.TensorProto.FLOAT)
            model.graph.node.insert(0, cast)
            model.graph.input[0].type.tensor_type.elem_type = kind

        with_model(folder, change)
        edit(folder, lambda rdf: rdf["inputs"][0]["data"].update(type=told))
        preprocessing(lambda steps: steps.clear())(folder)

    return spoil


def batch_of_one(folder):
    def change(model):
        for value in (*model.graph.input, *model.graph.output):
            value.type.tensor_type.shape.dim[0].dim_value = 1

    with_model(folder, change)


def newer_opset(folder):
    def change(model):
        model.opset_import[0].version = 19

    with_model(folder, change)
    edit(folder, lambda rdf: rdf["weights"]["onnx"].update(opset_version=19))


def newer_ir(folder):
    with_model(folder, lambda model: setattr(model, "ir_version", 10))


def two_files(folder):
    def change(model):
        tensor = model.graph.initializer[0]
        (folder / "weights.onnx.data").write_bytes(b"before" + tensor.raw_data)
        length = str(len(tensor.raw_data))
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        entries = {"location": "weights.onnx.data", "offset": "6", "length": length}
        for key, value in entries.items():
            tensor.external_data.add(key=key, value=value)

    with_model(folder, change)
    edit(
        folder,
        lambda rdf: rdf["weights"]["onnx"].update(external_data={"source": "weights.onnx.data"}),
    )


def other_sample(folder):
    shutil.copy(folder / "sample_output.tif", folder / "other.tif")
    put(folder, "sample_input.tif", (folder / "other.tif").read_bytes())
    (folder / "other.tif").unlink()


def percentiles_that_disagree(folder):
    noise = np.random.default_rng(0).gamma(1, 100, (1, 1, 52, 52)).astype(np.float32)
    with_test_input(folder, noise)


def second_input(folder):
    edit(folder, lambda rdf: rdf["inputs"].append({**deepcopy(rdf["inputs"][0]), "id": "other"}))


def postprocessing(*steps):
    return edited(lambda rdf: rdf["outputs"][0].update(postprocessing=list(steps)))


def with_weights(kind, entry, data, *, alone=False):
    """Adds weights, or puts them in the place of all others."""

    def spoil(folder):
        (folder / entry["source"]).write_bytes(data)
        edit(folder, lambda rdf: rdf.update(weights=weights(rdf["weights"])))

    def weights(others):
        return {kind: entry} if alone else {**others, kind: {**entry, "parent": "onnx"}}

    return spoil


def with_network(source, **architecture):
    def spoil(folder):
        (folder / "network.py").write_text(source)
        entry = {
            **STATE_DICT,
            "architecture": {"source": "network.py", "callable": "Net", **architecture},
        }
        with_weights("pytorch_state_dict", entry, b"weights")(folder)

    return spoil


TORCHSCRIPT = {"source": "weights_torchscript.pt", "pytorch_version": "2.5"}
STATE_DICT = {"source": "weights.pt", "pytorch_version": "2.5"}
KERAS = {"source": "weights.h5", "tensorflow_version": "2.12"}
BACKEND = ["tensorflow", "2.17"]
# Their names lie where a file that is read by mebibytes is divided.
NETWORK = b"".join(
    text.ljust((1 << 20) - 5 * (text[:1] == b"P"), b".")
    for text in (b"PK\x03\x04", b"net/constants.pkl", b"net/code/__torch__/net.py")
)
OWN_RANGE = {
    "id": "scale_range",
    "kwargs": {"axes": ["y", "x"], "min_percentile": 1.0, "max_percentile": 99.0},
}
OF_THE_INPUT = {"id": "scale_range", "kwargs": {**OWN_RANGE["kwargs"], "reference_tensor": "input"}}
FLOAT64 = {"id": "ensure_dtype", "kwargs": {"dtype": "float64"}}
FLOAT32 = {"id": "ensure_dtype", "kwargs": {"dtype": "float32"}}
BINARIZE = {"id": "binarize", "kwargs": {"threshold": 0.5}}


FAMILY = "\N{MAN}\N{ZERO WIDTH JOINER}\N{WOMAN}\N{ZERO WIDTH JOINER}\N{GIRL}"
FLAG = "\N{REGIONAL INDICATOR SYMBOL LETTER D}\N{REGIONAL INDICATOR SYMBOL LETTER E}"


def linear_0_4(**kwargs):
    """What format 0.4 has of a tensor with this step."""
    steps = [{"name": "scale_linear", "kwargs": kwargs}]
    tensor = {"name": "input", "axes": "bcyx", "preprocessing": steps}
    return {"format_version": "0.4.10", "inputs": [tensor]}


def cover_of(data):
    return lambda folder: (folder / "cover.png").write_bytes(data)


def no_architecture(folder):
    (folder / "weights.pt").write_bytes(b"weights")
    sha256 = hashlib.sha256(b"weights").hexdigest()
    weights = {**STATE_DICT, "sha256": sha256, "parent": "onnx"}
    edit(folder, lambda rdf: rdf["weights"].update(pytorch_state_dict=weights))


MENDABLE = {
    "rdf-name": zoo_file_name,
    "format-version": edited(lambda rdf: rdf.update(format_version="0.5.6")),
    "file-maps": edited(lambda rdf: rdf.update(documentation={"source": "README.md"})),
    "empty-keys": edited(lambda rdf: rdf.update(git_repo=None)),
    "hashes-given": edited(lambda rdf: rdf["weights"]["onnx"].pop("sha256")),
    "name": edited(lambda rdf: rdf.update(name="Denoise: 2D/3D (naïve)")),
    "nickname": edited(lambda rdf: rdf["config"].pop("bioimageio")),
    "deepimagej-tiling": edited(lambda rdf: rdf["config"].update(deepimagej={"pyramid": False})),
    "cover": no_cover,
    "timestamp": without("timestamp"),
    "documentation": no_validation,
    "space-ids": unnamed_space,
    "channel-names": edited(lambda rdf: rdf["inputs"][0]["axes"][1].pop("channel_names")),
    "channel-words": input_axis(1, channel_names=["488 nm (GFP)"]),
    "size-min-step": input_axis(2, size={"min": 54, "step": 4}),
    "size-min-halo": input_axis(2, size={"min": 4, "step": 4}),
    "concatenable": input_axis(2, concatenable=False),
    "batch-size": batch_of_one,
    "output-size": output_axis(2, size=96),
    "float32": integers,
    "test-tensor-type": tested_as(np.float16),
    "sample-tensors": no_sample,
    "same-samples": other_sample,
    "ensure-dtype": preprocessing(lambda steps: steps.pop(0)),
    "network-type": preprocessing(lambda steps: steps.append(FLOAT64)),
    "numbers-as-text": scale_range(eps="1e-06"),
    "percentiles": percentiles_that_disagree,
    "halo": output_axis(2, halo=4),
    "onnx-ir": newer_ir,
    "onnx-one-file": two_files,
    "onnx-opset-told": edited(lambda rdf: rdf["weights"]["onnx"].update(opset_version=16)),
    "weights-parents": edited(lambda rdf: rdf["weights"]["onnx"].update(parent="torchscript")),
}

FOR_PEOPLE = {
    "license-id": edited(lambda rdf: rdf.update(license="my own")),
    "description": without("description"),
    "authors": without("authors"),
    "cite": without("cite"),
    "license": without("license"),
    "tags": without("tags"),
    "github-user": edited(lambda rdf: rdf.update(authors=[{"name": "A", "github_user": "a"}])),
    "batch-and-channel": edited(lambda rdf: rdf["outputs"][0]["axes"].pop(0)),
    "float32-network": network_of(onnx.TensorProto.UINT8, "uint8"),
    "network-type-known": network_of(onnx.TensorProto.FLOAT16),
    "one-input": second_input,
    "test-tensor-size": input_axis(2, size={"min": 1000, "step": 4}),
    "test-tensor": edited(lambda rdf: rdf["inputs"][0].pop("test_tensor")),
    "scale-mean-variance": edited(
        lambda rdf: rdf["outputs"][0].update(
            postprocessing=[{"id": "scale_mean_variance", "kwargs": {"reference_tensor": "input"}}]
        )
    ),
    "statistics-axes": preprocessing(lambda steps: steps[1]["kwargs"].pop("axes")),
    "statistics-batch": scale_range(axes=["batch", "y", "x"]),
    "output-statistics": postprocessing(OWN_RANGE),
    "reference-tensor": postprocessing(OF_THE_INPUT),
    "onnx-opset": newer_opset,
    "architecture": no_architecture,
    "icon": edited(lambda rdf: rdf.update(icon=FAMILY)),
    "linear-axes": edited(lambda rdf: rdf.update(linear_0_4(gain=2.0, offset=0.0, axes="yx"))),
    "engine": with_weights("keras_hdf5", KERAS, b"", alone=True),
    "torchscript-file": with_weights("torchscript", TORCHSCRIPT, pickle.dumps({"weights": 1})),
    "torchscript-not-run": with_weights("torchscript", TORCHSCRIPT, NETWORK),
    "pytorch-state-dict-not-run": with_network("def Net(): ..."),
    "tensorflow-saved-model-bundle-not-run": with_weights(
        "tensorflow_saved_model_bundle", {**KERAS, "source": "weights.zip"}, b""
    ),
    "keras-hdf5-not-run": with_weights("keras_hdf5", KERAS, b""),
    "keras-v3-not-run": with_weights(
        "keras_v3", {"source": "weights.keras", "keras_version": "3.5", "backend": BACKEND}, b""
    ),
}


def of_integers(**data):
    """Without any step, so that nothing makes them float32."""
    return edited(lambda rdf: rdf["inputs"][0].update(data=data, preprocessing=[]))


NEEDS_TWO = """
class Net:
    def __init__(self, first, *, second, third=3): ...
"""
ALONG_Y = {"tensor_id": "input", "axis_id": "y"}
ZERO_MEAN = {"id": "zero_mean_unit_variance", "kwargs": {}}
CLIPPED = {"id": "clip", "kwargs": {"axes": ["y", "x"], "max_percentile": 99.0}}
IN_OTHER_WAYS = {
    "icon: a word": edited(lambda rdf: rdf.update(icon="microscope")),
    "cover: a text": cover_of(b"no image"),
    "cover: empty": cover_of(b""),
    "test-tensor-size: between two steps": input_axis(2, size={"min": 52, "step": 24}),
    "test-tensor-size: fixed": input_axis(2, size=48),
    "test-tensor-size: offset": output_axis(2, size={**ALONG_Y, "offset": 4}),
    "test-tensor-size: scale": output_axis(2, scale=2.0),
    "test-tensor-size: data": output_axis(2, type="index", size={"min": 1, "max": 95}),
    "statistics-axes: zero mean": preprocessing(lambda steps: steps.append(ZERO_MEAN)),
    "statistics-batch: zero mean": preprocessing(
        lambda steps: steps.append({**ZERO_MEAN, "kwargs": {"axes": ["batch", "y", "x"]}})
    ),
    "float32: an output": edited(lambda rdf: rdf["outputs"][0]["data"].update(type="uint8")),
    "test-tensor-type: floats for integers": of_integers(type="uint8"),
    "test-tensor-type: an output": edited(
        lambda rdf: rdf["outputs"][0]["data"].update(type="int32")
    ),
    "network-type: integers": of_integers(type="uint8"),
    "network-type: names of classes": of_integers(values=[0, 1]),
    "network-type: uint8 untold": network_of(onnx.TensorProto.UINT8),
    "network-type: binarize": preprocessing(lambda steps: steps.append(BINARIZE)),
    "output-statistics: zero mean": postprocessing({**ZERO_MEAN, "kwargs": {"axes": ["y", "x"]}}),
    "output-statistics: clip": postprocessing(CLIPPED),
    "architecture: no kwargs": with_network(NEEDS_TWO),
    "architecture: one of two": with_network(NEEDS_TWO, kwargs={"first": 1}),
    "architecture: no Python": with_network("class Net:\n    first second"),
    "architecture: too deep": with_network("x = " + "-" * 100_000 + "1"),
    "torchscript-file: large": with_weights(
        "torchscript", TORCHSCRIPT, b"PK\x03\x04 archive/data.pkl".ljust(257 << 20)
    ),
    "torchscript-file: weights alone": with_weights(
        "torchscript", TORCHSCRIPT, b"PK\x03\x04 archive/constants.pkl archive/data.pkl"
    ),
}
KEPT_IN_OTHER_WAYS = {
    "icon: a flag": edited(lambda rdf: rdf.update(icon=FLAG)),
    "icon: an address": edited(lambda rdf: rdf.update(icon="https://example.org/icon")),
    "icon: a file": edited(lambda rdf: rdf.update(icon="cover.png")),
    "cover: a drawing": cover_of(b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg"/>'),
    "linear-axes: one number": edited(lambda rdf: rdf.update(linear_0_4(gain=2.0, offset=0.0))),
    "icon: a word": edited(lambda rdf: rdf.update(icon="microscope")),
    "cover: a text": cover_of(b"no image"),
    "cover: empty": cover_of(b""),
    "test-tensor-size: fixed as tested": input_axis(2, size=96),
    "test-tensor-size: steps": input_axis(2, size={"min": 72, "step": 24}),
    "test-tensor-size: scale and offset": output_axis(2, scale=2.0, size={**ALONG_Y, "offset": 48}),
    "test-tensor-size: data as tested": output_axis(2, type="index", size={"min": 1, "max": 96}),
    "torchscript-file: a network": with_weights("torchscript", TORCHSCRIPT, NETWORK),
    "pytorch-state-dict-not-run: torchscript": with_weights("torchscript", TORCHSCRIPT, NETWORK),
    "test-tensor-type: integers for floats": tested_as(np.uint16),
    "float32: uint8 for the network": network_of(onnx.TensorProto.UINT8, "uint8"),
    "ensure-dtype: uint8 for the network": network_of(onnx.TensorProto.UINT8, "uint8"),
    "network-type: uint8 for the network": network_of(onnx.TensorProto.UINT8, "uint8"),
    "network-type: double": network_of(onnx.TensorProto.DOUBLE, "float64"),
    "network-type: untold, but float32": preprocessing(lambda steps: steps.clear()),
    "network-type: float64 at first": preprocessing(lambda steps: steps.insert(1, FLOAT64)),
    "network-type: integers made float32": edited(
        lambda rdf: (
            rdf["inputs"][0]["data"].update(type="uint8"),
            rdf["inputs"][0]["preprocessing"].append(FLOAT32),
        )
    ),
    "network-type: mended": preprocessing(lambda steps: steps.extend([BINARIZE, FLOAT32])),
    "output-statistics: a number": postprocessing({"id": "clip", "kwargs": {"min": 0.0}}),
    "empty-keys: given to a network": with_network("def Net(first=1): ...", kwargs={"first": None}),
    "empty-keys: in a list": edited(lambda rdf: rdf["outputs"][0].update(shape={"scale": [None]})),
    "architecture: both": with_network(NEEDS_TWO, kwargs={"first": 1, "second": 2}),
    "architecture: none asked for": with_network("def Net(first=1, *more, **others): ..."),
    "architecture: inherited": with_network("import torch\nclass Net(torch.nn.Module): ..."),
}
