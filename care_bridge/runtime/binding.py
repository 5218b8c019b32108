"""A tile's tensors kept on the device: nothing is allocated there from one tile to the next."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray


class DeviceTensors:
    """Input and output of a network on a device, for tiles of one shape; another shape makes
    them anew.

    runtime: the module onnxruntime. session: its InferenceSession. names: of the network's input
    and output. place: the device's kind and number, ("cuda", 0) or ("cpu", 0).
    """

    def __init__(
        self,
        runtime: ModuleType,
        session: Any,
        names: tuple[str, str],
        place: tuple[str, int],
    ) -> None:
        self._runtime = runtime
        self._session = session
        self._names = names
        self._place = place
        self._input: Any = None
        self._binding: Any = None

    def run(self, tile: NDArray[np.float32], run_options: Any) -> NDArray[np.float32]:
        """The network's output for `tile`, in main memory."""
        if self._input is None or tuple(self._input.shape()) != tile.shape:
            return self._first_run(tile, run_options)
        self._input.update_inplace(tile)
        self._session.run_with_iobinding(self._binding, run_options)
        return self._fetched()

    def _first_run(self, tile: NDArray[np.float32], run_options: Any) -> NDArray[np.float32]:
        """The engine makes the output, whose shape it knows; later runs write into it."""
        input_name, output_name = self._names
        self._binding = self._input = None  # what they hold goes before the new ones come
        # Not made from the tile: on a CPU that would be the tile's own memory.
        source = self._runtime.OrtValue.ortvalue_from_shape_and_type(
            tile.shape, np.float32, *self._place
        )
        source.update_inplace(tile)
        binding = self._session.io_binding()
        binding.bind_ortvalue_input(input_name, source)
        binding.bind_output(output_name, *self._place)
        self._session.run_with_iobinding(binding, run_options)
        binding.bind_ortvalue_output(output_name, binding.get_outputs()[0])
        self._binding, self._input = binding, source
        return self._fetched()

    def _fetched(self) -> NDArray[np.float32]:
        # On a CPU numpy() is a view of what the next run overwrites.
        values = self._binding.get_outputs()[0].numpy()
        return np.require(values, np.float32, "O")
