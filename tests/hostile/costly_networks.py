"""Packages whose network would compute for minutes or take gigabytes; their hashes are right."""

from __future__ import annotations

import hashlib
import io
from itertools import pairwise
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

from tests.hostile.case import Case, good, in_folder
from tests.hostile.networks import NO_MEMORY, added, network, node, of


def of_pixels(*nodes: onnx.NodeProto, **values: np.ndarray) -> bytes:
    """As `added`, of nodes that take as "size" a number of the image, and much more."""
    size = [
        node("ReduceMax", ["input"], ["brightest"], keepdims=0),
        node("Mul", ["brightest", "gigabytes"], ["real"]),
        node("Cast", ["real"], ["whole"], to=TensorProto.INT64),
        node("Reshape", ["whole", "one"], ["size"]),
    ]
    numbers = {"gigabytes": np.float32(5e8), "one": np.array([1])}
    return added([*size, *nodes], **numbers, **values)


def multiplying_matrices() -> bytes:
    """Matrices of 4096 x 4096, six times multiplied, of one of 512 x 512."""
    names = ["matrix", *(f"m{number}" for number in range(5)), "much"]
    nodes = [node("MatMul", [one, "matrix"], [other]) for one, other in pairwise(names)]
    small = np.random.default_rng(0).random((512, 512), np.float32)
    return added(
        [node("Tile", ["small", "times"], ["matrix"]), *nodes], small=small, times=np.array([8, 8])
    )


def of_a_large_image(folder: Path) -> Path:
    """A package whose test image is multiplied by itself 2000 times: for hours, though
    there are no more products for a pixel than other networks have."""
    stream = io.BytesIO()
    np.save(stream, np.zeros((1, 1, 3072, 3072), np.float32))
    names = ["input", *(f"x{number}" for number in range(1999)), "output"]
    weights = network([node("MatMul", [one, "input"], [other]) for one, other in pairwise(names)])
    files = dict(good())
    for name, data in (
        ("weights.onnx", weights),
        ("test_input.npy", stream.getvalue()),
        ("test_output.npy", stream.getvalue()),
    ):
        old, new = (hashlib.sha256(each).hexdigest().encode() for each in (files[name], data))
        files |= {name: data, "rdf.yaml": files["rdf.yaml"].replace(old, new)}
    return in_folder(folder, files)


def filled(name: str, *sizes: int) -> tuple[list[onnx.NodeProto], dict[str, np.ndarray]]:
    """Ones of these sizes under `name`, made of a list of the sizes."""
    nodes = [node("Expand", [f"{name}.one", f"{name}.sizes"], [name])]
    return nodes, {f"{name}.one": np.ones(1, np.float32), f"{name}.sizes": np.array(sizes)}


def working(operator: onnx.NodeProto, **inputs: tuple[int, ...]) -> bytes:
    """A network of one operator that makes "much" of ones of the sizes of its `inputs`."""
    nodes, values = [], {}
    for name, sizes in inputs.items():
        made, numbers = filled(name, *sizes)
        nodes += made
        values |= numbers
    return added([*nodes, operator], **values)


HOLDING = {
    "recurs": lambda: working(
        node("LSTM", ["x", "w", "r"], ["", "much"], hidden_size=512),
        x=(1_000_000, 1, 1),
        w=(1, 2048, 1),
        r=(1, 2048, 512),
    ),
    "samples-a-region": lambda: added(
        [
            node("RoiAlign", ["input", "regions", "batch"], ["much"], sampling_ratio=14000),
        ],
        regions=np.array([[0, 0, 40, 40]], np.float32),
        batch=np.array([0]),
    ),
    "sums-over-three-letters": lambda: working(
        node("Einsum", ["v", "v", "v", "m", "m", "m"], ["much"], equation="a,b,c,ab,bc,ac->"),
        v=(1400,),
        m=(1400, 1400),
    ),
    "spreads-a-kernel": lambda: working(
        node("ConvTranspose", ["x", "w"], ["much"]),
        x=(1, 1, 50, 50, 50),
        w=(1, 1, 31, 31, 31),
    ),
}
"""Networks whose tensors are small, but whose operator holds gigabytes while it computes."""

COSTLY_NETWORKS = {
    **{
        f"network-{name}": Case(of(make), "MB of memory", ("check",))
        for name, make in HOLDING.items()
    },
    "network-joins-texts": Case(
        of(
            lambda: added(
                [
                    node("StringConcat", ["text", "text"], ["texts"]),
                    node("Equal", ["texts", "texts"], ["same"]),
                    node("Cast", ["same"], ["much"], to=TensorProto.FLOAT),
                ],
                text=np.array(["much"]),
            )
        ),
        "computes texts",
        ("check",),
    ),
    "network-multiplies-matrices": Case(of(multiplying_matrices), "products", ("check",)),
    "network-of-a-large-image": Case(of_a_large_image, "products", ("check",)),
    "network-makes-as-much-as-pixels-say": Case(
        of(lambda: of_pixels(node("ConstantOfShape", ["size"], ["much"]))),
        "ConstantOfShape",
        ("check",),
    ),
    "network-repeats-as-often-as-pixels-say": Case(
        of(
            lambda: of_pixels(
                node("Expand", ["first", "size"], ["much"]), first=np.ones(1, np.float32)
            )
        ),
        "Expand",
        ("check",),
    ),
    "network-tiles-as-often-as-pixels-say": Case(
        of(
            lambda: of_pixels(
                node("Tile", ["first", "size"], ["much"]), first=np.ones(1, np.float32)
            )
        ),
        "Tile",
        ("check",),
    ),
    "network-enlarges-as-much-as-pixels-say": Case(
        of(
            lambda: of_pixels(
                node("Resize", ["first", "", "", "size"], ["much"]), first=np.ones(1, np.float32)
            )
        ),
        "Resize",
        ("check",),
    ),
    "network-makes-a-power-of-gigabytes": Case(
        of(
            lambda: added(
                [
                    node("Pow", ["two", "power"], ["size"]),
                    node("ConstantOfShape", ["size"], ["zeros"]),
                    node("RandomUniformLike", ["zeros"], ["much"]),
                ],
                two=np.array([2]),
                power=np.array([29]),
            )
        ),
        NO_MEMORY,
        ("check",),
    ),
}
