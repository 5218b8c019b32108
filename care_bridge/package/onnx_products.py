"""What operators compute and hold for themselves, by the shapes of their inputs."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

import onnx

from care_bridge.package.onnx_values import Shape

Attributes = Mapping[str, onnx.AttributeProto]
"""Those that are left out are empty."""

Products = Callable[[Sequence[Shape], Attributes], int]
"""The shapes of the inputs, of which those that are left out are empty, and the attributes."""


def _of_kernel(place: int) -> Products:
    return lambda given, _: math.prod(given[place][1:])


def _of_transposed(given: Sequence[Shape], attributes: Attributes) -> int:
    """Each number of the input is multiplied with the kernel for its channel; of the output there
    are more by the strides."""
    group, strides = max(attributes["group"].i, 1), math.prod(attributes["strides"].ints)
    products = math.prod((*given[1][:1], *given[1][2:]))
    return -(-products // (group * max(int(strides), 1)))


def _of_pool(_: Sequence[Shape], attributes: Attributes) -> int:
    return int(math.prod(attributes["kernel_shape"].ints))


def _of_rows(given: Sequence[Shape], attributes: Attributes) -> int:
    return math.prod(given[0][:1] if attributes["transA"].i else given[0][-1:])


def _of_recurrence(given: Sequence[Shape], _: Attributes) -> int:
    """W (directions, gates * hidden size, input size), R (directions, gates * hidden, hidden)."""
    gates, size, hidden = (math.prod(each) for each in (given[2][1:2], given[1][2:], given[2][2:]))
    return gates // max(hidden, 1) * (size + hidden)


def of_states(given: Sequence[Shape], _: Attributes) -> int:
    """X (steps, batch, input size), R (directions, gates * hidden size, hidden size)."""
    return math.prod(given[0][:2]) * math.prod(given[2][::2])


def _of_gates(given: Sequence[Shape], _: Attributes) -> int:
    return math.prod(given[0][:2]) * math.prod(given[2][:2])


def _of_samples(_: Sequence[Shape], attributes: Attributes) -> int:
    return max(int(attributes["sampling_ratio"].i), 1) ** 2


def _of_sampled_places(given: Sequence[Shape], attributes: Attributes) -> int:
    """Four places and four weights for each sample of a region."""
    places = math.prod(max(int(attributes[key].i), 1) for key in ("output_height", "output_width"))
    return 8 * places * _of_samples(given, attributes)


def _of_columns(given: Sequence[Shape], _: Attributes) -> int:
    """The kernel's products with each pixel, before they are added up."""
    return math.prod(given[1][1:]) * math.prod(given[0][2:])


def _of_square(given: Sequence[Shape], _: Attributes) -> int:
    return math.prod(given[0][-1:]) ** 3


def _of_many(given: Sequence[Shape], attributes: Attributes) -> int:
    """More than two inputs are multiplied one after the other."""
    return math.prod(_sizes(given, attributes).values()) if given[2] else 0


def _of_keys(given: Sequence[Shape], _: Attributes) -> int:
    """Each query is compared with each key, and weighs its value."""
    return 2 * math.prod(given[1][-2:-1])


def _of_letters(given: Sequence[Shape], attributes: Attributes) -> int:
    """The sizes over which is summed. Without "->" letters that are there once are kept."""
    inputs, told, output = _equation(attributes)
    if not told:
        output = "".join(letter for letter, count in Counter(inputs).items() if count == 1)
    sizes = _sizes(given, attributes)
    return math.prod(size for letter, size in sizes.items() if letter not in output)


def _equation(attributes: Attributes) -> tuple[str, str, str]:
    """The letters of the inputs, "->" where it is there, and those of the output."""
    equation = attributes["equation"].s.decode("ascii", "replace")
    return equation.replace(" ", "").replace("...", "").partition("->")


def _sizes(given: Sequence[Shape], attributes: Attributes) -> dict[str, int]:
    """The sizes that the letters of an equation stand for."""
    return {
        letter: size
        for letters, shape in zip(_equation(attributes)[0].split(","), given, strict=False)
        for letter, size in zip(reversed(letters), reversed(shape), strict=False)
    }


PRODUCTS: dict[str, Products] = {
    "Attention": _of_keys,
    "AveragePool": _of_pool,
    "Conv": _of_kernel(1),
    "ConvInteger": _of_kernel(1),
    "ConvTranspose": _of_transposed,
    "DeformConv": _of_kernel(1),
    "Det": _of_square,
    "Einsum": _of_letters,
    "GRU": _of_recurrence,
    "Gemm": _of_rows,
    "LSTM": _of_recurrence,
    "LpPool": _of_pool,
    "MatMul": _of_rows,
    "MatMulInteger": _of_rows,
    "MaxPool": _of_pool,
    "QLinearConv": _of_kernel(3),
    "QLinearMatMul": _of_rows,
    "RNN": _of_recurrence,
    "RoiAlign": _of_samples,
}
"""How many products there are for each number that an operator makes."""

RECURRENT = frozenset(("GRU", "LSTM", "RNN"))

OWN_NUMBERS: dict[str, Products] = {
    "ConvTranspose": _of_columns,
    "Einsum": _of_many,
    "GRU": _of_gates,
    "LSTM": _of_gates,
    "RNN": _of_gates,
    "RoiAlign": _of_sampled_places,
}
"""How many numbers an operator of ONNX Runtime holds besides what it makes."""
