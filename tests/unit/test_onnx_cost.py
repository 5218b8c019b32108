"""What a network takes is told before it is run: compared with networks whose cost is known by
hand, and with what ONNX Runtime makes of those whose sizes are computed."""

import io

import numpy as np
import onnx
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper
from torch import nn
from torch.nn import functional

from care_bridge.errors import PackageFormatError, PackageNotRunError
from care_bridge.package.onnx_cost import cost_of
from care_bridge.package.onnx_values import settle
from tests.hostile.networks import added, calling, function, network

node = helper.make_node
SHAPE = (1, 1, 10, 20)
PIXELS = 200


def cost(data, shape=SHAPE):
    return cost_of(data, "weights.onnx", [shape])


def weights(*shape):
    return numpy_helper.from_array(np.zeros(shape, np.float32), "w")


def numbers(name, *values, kind=np.int64):
    return numpy_helper.from_array(np.array(values, kind), name)


def test_memory_is_of_the_tensors_that_are_needed_together():
    """Of four tensors as large as the input the first is not needed beside the last."""
    nodes = [
        node("Relu", ["input"], ["a"]),
        node("Sin", ["a"], ["b"]),
        node("Cos", ["b"], ["c"]),
        node("Add", ["b", "c"], ["output"]),
    ]
    assert cost(network(nodes)).memory == 3 * 4 * PIXELS
    assert cost(network(nodes[::-1])).memory == 3 * 4 * PIXELS


def test_memory_is_of_what_a_network_makes_of_nothing():
    nodes = [
        node("ConstantOfShape", ["size"], ["zeros"]),
        node("RandomUniformLike", ["zeros"], ["much"]),
    ]
    assert cost(added(nodes, size=np.array([1 << 30]))).memory == 2 << 32


def test_memory_is_also_of_what_functions_make():
    """Each of three operators makes as much as the input; two results are needed together."""
    calls = calling("g", function("f"), function("g", "f", "f", "f"))
    assert cost(calls).memory == 2 * 4 * PIXELS


BY_HAND = {
    "conv": (
        [node("Conv", ["input", "w"], ["output"], pads=[1, 1, 1, 1])],
        weights(7, 1, 3, 3),
        PIXELS * 7 * 9,
    ),
    "conv-strided": (
        [node("Conv", ["input", "w"], ["output"], pads=[1] * 4, strides=[2, 2])],
        weights(7, 1, 3, 3),
        PIXELS // 4 * 7 * 9,
    ),
    "conv-transposed": (
        [node("ConvTranspose", ["input", "w"], ["output"], strides=[2, 2])],
        weights(1, 7, 2, 2),
        PIXELS * 7 * 4,
    ),
    "matmul": ([node("MatMul", ["input", "w"], ["output"])], weights(20, 30), 10 * 20 * 30),
    "gemm": (
        [node("Flatten", ["input"], ["a"]), node("Gemm", ["a", "w"], ["output"])],
        weights(PIXELS, 30),
        PIXELS * 30,
    ),
    "einsum": (
        [node("Einsum", ["input", "w"], ["output"], equation="bcyx, xz -> bcyz")],
        weights(20, 30),
        10 * 20 * 30,
    ),
    "pool": (
        [node("MaxPool", ["input"], ["output"], kernel_shape=[5, 5], pads=[2] * 4)],
        weights(1),
        PIXELS * 25,
    ),
    "sum": ([node("ReduceSum", ["input"], ["output"])], weights(1), PIXELS),
}


@pytest.mark.parametrize("name", BY_HAND)
def test_operations_are_those_counted_by_hand(name):
    nodes, kernel, counted = BY_HAND[name]
    # What is added to the kernel's products are the numbers of a Flatten, or of rounding up.
    assert counted <= cost(network(nodes, [kernel], rank=0)).operations <= 1.3 * counted


def test_a_recurrence_multiplies_its_state_at_each_step():
    nodes = [
        node("Squeeze", ["input", "axis"], ["steps"]),
        node("LSTM", ["steps", "w", "r"], ["", "output"], hidden_size=5),
    ]
    more = [weights(1, 20, 20), numpy_helper.from_array(np.zeros((1, 20, 5), np.float32), "r")]
    data = network(nodes, [*more, numbers("axis", 0)], rank=3)
    # 1 x 10 steps of 20 numbers each; the last state alone is an output: 10 x 5 numbers.
    assert cost(data).operations >= 10 * (20 * 20 + 20 * 5)


def halved(*steps):
    """The size along Y of the input divided by two through `steps`, and an image of that size."""
    return [
        node("Shape", ["input"], ["shape"]),
        node("Gather", ["shape", "two"], ["height"]),
        *steps,
        node("Concat", ["one", "one", "half", "half"], ["sizes"], axis=0),
        node("Expand", ["zero", "sizes"], ["much"]),
    ]


COMPUTED = {
    "divided": halved(node("Div", ["height", "two"], ["half"])),
    "in-floating-point": halved(
        node("Cast", ["height"], ["real"], to=TensorProto.FLOAT),
        node("Mul", ["real", "part"], ["product"]),
        node("Floor", ["product"], ["floor"]),
        node("Cast", ["floor"], ["half"], to=TensorProto.INT64),
    ),
    "of-a-power": [
        node("Pow", ["two", "sixteen"], ["many"]),
        node("ConstantOfShape", ["many"], ["much"]),
    ],
    "of-a-range": [
        node("Shape", ["input"], ["shape"]),
        node("ReduceProd", ["shape"], ["all"], keepdims=0),
        node("Sqrt", ["real_all"], ["root"]),
        node("Range", ["start", "root", "step"], ["much"]),
    ],
    "of-sizes-of-sizes": [
        node("Pow", ["two", "one"], ["same"]),
        node("ConstantOfShape", ["same"], ["zeros"]),
        node("Shape", ["zeros"], ["shape"]),
        node("Pow", ["shape", "sixteen"], ["many"]),
        node("Tile", ["input", "tiles"], ["unused"]),
        node("ConstantOfShape", ["many"], ["much"]),
    ],
}
COMPUTED["of-a-range"].insert(2, node("Cast", ["all"], ["real_all"], to=TensorProto.FLOAT))
CONSTANTS = {
    "one": np.array([1]),
    "two": np.array([2]),
    "sixteen": np.array([16]),
    "tiles": np.array([1, 1, 2, 2]),
    "zero": np.zeros(1, np.float32),
    "part": np.array([0.5], np.float32),
    "start": np.float32(0),
    "step": np.float32(1),
}


def made(nodes, shape):
    """The bytes of all that ONNX Runtime makes of these operators."""
    import onnxruntime

    model = onnx.load_model_from_string(added(nodes, **CONSTANTS))
    names = [name for each in model.graph.node for name in each.output]
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    session = onnxruntime.InferenceSession(model.SerializeToString())
    values = session.run(names, {"input": np.ones(shape, np.float32)})
    return dict(zip(names, values, strict=True))


@pytest.mark.parametrize("shape", [SHAPE, (1, 1, 34, 34)], ids=str)
@pytest.mark.parametrize("name", COMPUTED)
def test_sizes_that_are_computed_are_those_that_are_made(name, shape):
    values = made(COMPUTED[name], shape)
    told = cost(added(COMPUTED[name], **CONSTANTS), shape)
    largest = max(each.nbytes for each in values.values())
    assert largest <= told.memory <= sum(each.nbytes for each in values.values())


def branches(*, then, other, condition):
    def branch(repeats):
        return helper.make_graph(
            [node("Tile", ["input", "by"], ["o"])],
            "branch",
            [],
            [helper.make_tensor_value_info("o", TensorProto.FLOAT, None)],
            [numbers("by", 1, 1, repeats, repeats)],
        )

    choice = node("If", ["yes"], ["a"], then_branch=branch(then), else_branch=branch(other))
    return [*condition, choice, node("ReduceMax", ["a"], ["output"])]


def test_of_branches_the_one_that_is_taken_counts():
    condition = [
        node("Shape", ["input"], ["shape"]),
        node("Gather", ["shape", "last"], ["width"]),
        node("Equal", ["width", "twenty"], ["yes"]),
    ]
    nodes = branches(then=2, other=10, condition=condition)
    constants = [numbers("last", 3), numbers("twenty", 20)]
    data = network(nodes, constants, rank=0)
    assert cost(data).memory == pytest.approx(4 * PIXELS * 4, rel=0.01)
    assert cost(data, (1, 1, 10, 21)).memory == pytest.approx(100 * 210 * 4, rel=0.01)


OF_PIXELS = {
    "ConstantOfShape": [
        node("Cast", ["most"], ["number"], to=TensorProto.INT64),
        node("Reshape", ["number", "one"], ["size"]),
        node("ConstantOfShape", ["size"], ["output"]),
    ],
    "NonZero": [node("NonZero", ["input"], ["output"])],
}


@pytest.mark.parametrize("name", OF_PIXELS)
def test_what_depends_on_pixels_is_not_known(name):
    nodes = [node("ReduceMax", ["input"], ["most"], keepdims=0), *OF_PIXELS[name]]
    with pytest.raises(PackageNotRunError, match=f"how much the operator {name} "):
        cost(network(nodes, [numbers("one", 1)], rank=0))


UNTOLD = {
    "branches": [
        node("ReduceMax", ["input"], ["most"], keepdims=0),
        *branches(
            then=1,
            other=1,
            condition=[node("Cast", ["most"], ["yes"], to=TensorProto.BOOL)],
        ),
    ],
    "lists": [
        node("SplitToSequence", ["input", "one"], ["parts"], axis=2),
        node("SequenceAt", ["parts", "one"], ["output"]),
    ],
    "the engine's": [node("FusedConv", ["input", "w"], ["output"], domain="com.microsoft")],
}


@pytest.mark.parametrize("name", UNTOLD)
def test_of_honest_operators_that_tell_no_sizes_the_others_count(name):
    """Before them a network makes ten times its input."""
    ten = node("Concat", ["input"] * 10, ["ten"], axis=1)
    nodes = [ten, *UNTOLD[name], node("Conv", ["output", "w"], ["more"])]
    given = [numbers("one", 1), weights(1, 1, 3, 3)]
    assert cost(network(nodes, given, domain="com.microsoft")).memory >= 10 * 4 * PIXELS


def test_what_an_operator_holds_for_itself_counts():
    """A kernel of 2 x 2 at every second pixel makes four numbers of one, and holds four before."""
    data = network(
        [node("ConvTranspose", ["input", "w"], ["output"], strides=[2, 2])], [weights(1, 1, 2, 2)]
    )
    assert cost(data).memory == 2 * 4 * 4 * PIXELS


@pytest.mark.parametrize("results", [["output"], ["", "output"]], ids=["all", "last"])
def test_all_states_are_computed_though_the_last_is_asked_for(results):
    """50 steps of 4 states, each of 4 gates by 3 numbers and 4 states."""
    given = [
        numpy_helper.from_array(np.zeros(shape, np.float32), name)
        for name, shape in {"x": (50, 1, 3), "W": (1, 16, 3), "R": (1, 16, 4)}.items()
    ]
    data = network([node("LSTM", ["x", "W", "R"], results, hidden_size=4)], given, rank=4)
    assert cost(data).operations == pytest.approx(50 * 4 * 4 * (3 + 4), rel=0.1)


TEXTS = [
    helper.make_tensor("text", TensorProto.STRING, [1], [b"much"]),
]


def test_texts_are_refused():
    nodes = [
        node("StringConcat", ["text", "text"], ["more"]),
        node("Identity", ["input"], ["output"]),
    ]
    with pytest.raises(PackageNotRunError, match="computes texts"):
        cost(network(nodes, TEXTS))


NONSENSE = {
    "range-of-lists": [node("Range", ["list", "list", "list"], ["a"])],
    "expand-to-nothing": [node("Expand", ["list"], ["a"])],
    "if-without-condition": [node("If", [], ["a"])],
    "if-without-results": [node("If", ["yes"], [])],
    "tile-by-words": [node("Tile", ["list", "text"], ["a"])],
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_one_line(name):
    """NonZero has the sizes looked for that other operators compute."""
    nodes = [*NONSENSE[name], node("NonZero", ["input"], ["output"])]
    lists = [numbers("list", 3, 4), numbers("yes", 1, kind=np.bool_)]
    given = [*lists, *(TEXTS if name == "tile-by-words" else [])]
    with pytest.raises(PackageFormatError) as told:  # PackageNotRunError is one
        cost(network(nodes, given))
    assert "\n" not in str(told.value)


def test_what_nothing_uses_is_not_held():
    nodes = [node("Sin", ["input"], [f"unused{number}"]) for number in range(50)]
    nodes.append(node("Relu", ["input"], ["output"]))
    assert cost(network(nodes)).memory == 4 * PIXELS


def test_what_is_computed_in_vain_is_paid_for():
    """Of results that are too long to be sizes none is kept, and no more than `most` are tried."""
    nodes = [node("Add", ["row", "column"], [f"table{number}"]) for number in range(30)]
    row = numbers("row", *range(1000))
    column = numpy_helper.from_array(np.arange(1000).reshape(1000, 1), "column")
    data = network([*nodes, node("Relu", ["input"], ["output"])], [row, column])
    assert settle(onnx.load_from_string(data), {}, 20) == (0, 20)


def test_operators_of_the_engine_alone_that_keep_sizes_are_known():
    nodes = [
        node("Gelu", ["input"], ["a"], domain="com.microsoft"),
        node("Relu", ["a"], ["output"]),
    ]
    assert cost(network(nodes, domain="com.microsoft")).memory == 2 * 4 * PIXELS


def test_inputs_that_do_not_fit_are_named():
    data = network([node("Add", ["input", "w"], ["output"])], [weights(3, 7)])
    with pytest.raises(PackageFormatError, match=r"of the shape \(1, 1, 10, 20\)"):
        cost(data)


def test_a_circle_is_no_network():
    nodes = [node("Add", ["input", "b"], ["a"]), node("Relu", ["a"], ["b"])]
    with pytest.raises(PackageFormatError, match="each other"):
        cost(network([*nodes, node("Relu", ["b"], ["output"])]))


class Windows(nn.Module):
    """Pads an image to whole windows, looks at each by itself, and enlarges what it had halved: the
    sizes of all that are computed from the image's, as attention and U-Nets of others do."""

    def __init__(self):
        super().__init__()
        self.first, self.last = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 1, 3, padding=1)
        self.mix = nn.Linear(6, 6)

    def forward(self, image):
        height, width = image.shape[-2:]
        below, beside = (8 - height % 8) % 8, (8 - width % 8) % 8
        tokens = self.first(functional.pad(image, (0, beside, 0, below), mode="reflect"))
        batch, channels, rows, columns = tokens.shape
        parts = tokens.view(batch, channels, rows // 8, 8, columns // 8, 8)
        parts = self.mix(parts.permute(0, 2, 4, 3, 5, 1).reshape(-1, 64, channels))
        parts = parts.view(batch, rows // 8, columns // 8, 8, 8, channels)
        tokens = parts.permute(0, 5, 1, 3, 2, 4).reshape(batch, channels, rows, columns)
        half = functional.max_pool2d(tokens, 2)
        whole = functional.interpolate(half, size=(rows, columns), mode="bilinear")
        return self.last(tokens + whole)[..., :height, :width] + image


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("shape", [(1, 1, 16, 24), (1, 1, 20, 50)], ids=str)
def test_sizes_that_other_networks_compute_are_followed(shape):
    """Exported for any size and for this one alone, a network has as many products; the first makes
    some short lists besides, and torch leaves a copy or two out of the second."""
    free, fixed = (io.BytesIO(), io.BytesIO())
    names = {"input_names": ["x"], "output_names": ["y"], "opset_version": 17, "dynamo": False}
    axes = {0: "b", 2: "h", 3: "w"}
    sample = (torch.zeros(1, 1, 30, 40),)
    torch.onnx.export(Windows(), sample, free, dynamic_axes={"x": axes, "y": axes}, **names)
    torch.onnx.export(Windows(), (torch.zeros(shape),), fixed, **names)
    of_any, of_one = (cost(each.getvalue(), shape) for each in (free, fixed))
    assert of_any.operations == pytest.approx(of_one.operations, rel=0.02)
    assert of_any.memory == pytest.approx(of_one.memory, rel=0.02)
