"""A network's outputs for its test tensors, computed as the RDF says, before any inverse scaling.

This is what another consumer computes, so it is what the package's test output is compared with.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from care_bridge.axes import Axes
from care_bridge.normalization import FixedScale, Percentiles, Scale
from care_bridge.package.spec import ModelSpec, TensorSpec
from care_bridge.package.steps import Operations
from care_bridge.runtime.formulas import Numbers, Values, apply_all, formulas_of
from care_bridge.runtime.output_shape import check_output
from care_bridge.runtime.session import Session
from care_bridge.runtime.statistics import Part, Wanted, measured

_BLOCK = Axes("CZYX")

Pixels = NDArray[np.generic]


def predict(
    spec: ModelSpec, session: Session, *tensors: NDArray[np.generic]
) -> list[NDArray[np.float32]]:
    """The outputs that are images (spec.output_tensors), for the tensors (grey levels) of all
    inputs of the network, with the axes that the description gives them.

    In percentile mode they are in the normalised range, in fixed mode in grey levels.
    """
    by_tensor = [
        _samples(tensor, described.axes)
        for tensor, described in zip(tensors, spec.input_tensors, strict=True)
    ]
    samples = [_predicted(spec, session, blocks) for blocks in zip(*by_tensor, strict=True)]
    return [
        np.concatenate(parts, axis=max(described.axes.find("B"), 0))
        for parts, described in zip(zip(*samples, strict=True), spec.output_tensors, strict=True)
    ]


def input_scales(spec: ModelSpec, sample: NDArray[np.generic]) -> tuple[Scale, ...]:
    """The scale of each channel of `sample` (C, …)."""
    assert not isinstance(spec.normalization, Operations)
    if isinstance(spec.normalization, FixedScale):
        return spec.normalization.before
    return tuple(spec.normalization.fit(channel) for channel in sample)


def _samples(tensor: Pixels, axes: str) -> list[Pixels]:
    """The samples of a tensor, each CZYX."""
    batch = axes.find("B")
    parts = [tensor] if batch < 0 else list(np.moveaxis(tensor, batch, 0))
    return [Axes(axes.replace("B", "")).to(part, _BLOCK) for part in parts]


def _predicted(spec: ModelSpec, session: Session, blocks: tuple[Pixels, ...]) -> list[Pixels]:
    """The outputs for one sample (CZYX), with the axes that the description gives them."""
    known = {each.id: block for each, block in zip(spec.input_tensors, blocks, strict=True)}
    normalized = _normalized(spec, blocks, _statistics(known))
    outputs = session.run_all(
        *(
            np.ascontiguousarray(_BLOCK.to(block, described.image_axes), np.float32)
            for block, described in zip(normalized, spec.input_tensors, strict=True)
        )
    )
    if spec.outputs:
        made = [(each.tensor, outputs[each.position], each.normalization) for each in spec.outputs]
    else:
        described = zip(spec.output_tensors, outputs[spec.position :], strict=False)
        made = [(tensor, output, spec.normalization) for tensor, output in described]
    for tensor, output, _ in made:
        check_output(output, tensor)
    return [_after(spec, *each, known) for each in made]


def _normalized(spec: ModelSpec, blocks: tuple[Pixels, ...], values: Values) -> list[Pixels]:
    if isinstance(spec.normalization, Operations):
        inputs = zip(spec.normalization.inputs, spec.input_tensors, blocks, strict=True)
        return [
            apply_all(formulas_of(steps, described.id, values), block, slice(None))
            for steps, described, block in inputs
        ]
    (block,) = blocks
    scales = zip(input_scales(spec, block), block, strict=True)
    return [np.stack([scale.apply(channel) for scale, channel in scales])]


def _after(
    spec: ModelSpec,
    described: TensorSpec,
    output: NDArray[np.float32],
    normalization: Percentiles | FixedScale | Operations,
    known: dict[str, Pixels],
) -> Pixels:
    if isinstance(normalization, Operations):
        axes = described.image_axes
        block = axes.to(output, _BLOCK)
        formulas = formulas_of(
            normalization.output, described.id, _statistics({**known, described.id: block})
        )
        done = apply_all(formulas, block, slice(None)).astype(np.float32)
        return _BLOCK.to(done, axes).reshape(output.shape)
    if isinstance(normalization, FixedScale):
        means = normalization.after
        widths = tuple(Scale(gain=scale.gain, offset=0.0) for scale in means)
        scales = means if described is not spec.members else (means + widths) * spec.member_count
        return _inverted(output, described.axes.find("C"), scales)
    return output


def _statistics(tensors: dict[str, Pixels]) -> Values:
    def values(wanted: Wanted) -> tuple[Numbers, Numbers]:
        block = tensors[wanted.tensor]
        single = block if block.dtype in (np.uint8, np.uint16) else block.astype(np.float32)
        return measured(
            lambda: [Part(0, 0, single)], wanted, len(block), block.shape[1], single.dtype
        )

    return values


def _inverted(
    output: NDArray[np.float32], channel: int, scales: Sequence[Scale]
) -> NDArray[np.float32]:
    planes = np.moveaxis(output, channel, 0) if channel >= 0 else output[np.newaxis]
    scaled = [scale.invert(plane) for scale, plane in zip(scales, planes, strict=True)]
    return (np.stack(scaled, channel) if channel >= 0 else scaled[0]).astype(np.float32)
