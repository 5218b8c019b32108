"""A tile's tensors kept on the device: nothing is allocated there from one tile to the next."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class DeviceTensors:
    """Input and outputs of a network on a device, for tiles of one shape; another shape makes
    them anew.

    runtime: the module onnxruntime. session: its InferenceSession. input_name, output_names: of
    the network. place: the device's kind and number, ("cuda", 0) or ("cpu", 0).
    """

    def __init__(
        self,
        runtime: ModuleType,
        session: Any,
        input_name: str,
        output_names: list[str],
        place: tuple[str, int],
    ) -> None:
        self._runtime = runtime
        self._session = session
        self._input_name = input_name
        self._output_names = output_names
        self._place = place
        self._input: Any = None
        self._binding: Any = None

    def run(
        self, tile: NDArray[np.float32], wanted: slice, run_options: Any
    ) -> list[NDArray[np.float32]]:
        """The network's wanted outputs for `tile`, in main memory."""
        if self._input is None or tuple(self._input.shape()) != tile.shape:
            self._first_run(tile, run_options)
        else:
            self._input.update_inplace(tile)
            self._session.run_with_iobinding(self._binding, run_options)
        return self._fetched(wanted)

    def _first_run(self, tile: NDArray[np.float32], run_options: Any) -> None:
        """The engine makes the outputs, whose shapes it knows; later runs write into them."""
        self._binding = self._input = None  # what they hold goes before the new ones come
        # Not made from the tile: on a CPU that would be the tile's own memory.
        source = self._runtime.OrtValue.ortvalue_from_shape_and_type(
            tile.shape, np.float32, *self._place
        )
        source.update_inplace(tile)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(self._input_name, source)
        for name in self._output_names:
            binding.bind_output(name, *self._place)
        self._session.run_with_iobinding(binding, run_options)
        for name, made in zip(self._output_names, binding.get_outputs(), strict=True):
            binding.bind_ortvalue_output(name, made)
        self._binding, self._input = binding, source

    def _fetched(self, wanted: slice) -> list[NDArray[np.float32]]:
        # On a CPU numpy() is a view of what the next run overwrites.
        outputs = self._binding.get_outputs()[wanted]
        return [np.require(made.numpy(), np.float32, "O") for made in outputs]
