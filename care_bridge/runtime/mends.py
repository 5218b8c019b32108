"""Mends of packages that need the network."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from care_bridge.axes import Axes, rdf_id
from care_bridge.errors import TilingError
from care_bridge.images import Image, write_image
from care_bridge.images.picture import enlarged, write_panels
from care_bridge.normalization import Percentiles
from care_bridge.package.archive import is_address
from care_bridge.package.consumers import Draft
from care_bridge.package.consumers.draft import source_of
from care_bridge.package.consumers.metadata import no_pictures
from care_bridge.package.consumers.sizes import declare_halo, declared_halo, make_concatenable
from care_bridge.package.npy import npy_bytes
from care_bridge.package.rdf_content import COVER
from care_bridge.package.spec import TensorSpec
from care_bridge.runtime.check_tiles import measured_halo
from care_bridge.runtime.checked import Checked, channels_of
from care_bridge.runtime.conventions import with_agreeing_percentiles
from care_bridge.runtime.prediction import predict
from care_bridge.tiling import round_up


def _let_tile(draft: Draft, checked: Checked) -> None:
    """With the halo that tiles need, where they give what the whole image gives."""
    if not _tiles_are_as_the_whole(checked):
        return
    make_concatenable(draft)
    declared, tiling = declared_halo(draft), checked.package.spec.tiling
    for restoring in checked.by_output().values():
        for axis, reach in measured_halo(restoring).items():
            told = declared.get(rdf_id(axis), reach)
            if told < reach or told % tiling[axis].step:
                _widen_halo(draft, checked)
                return


def _let_deepimagej_tile(draft: Draft, checked: Checked) -> None:
    if _tiles_are_as_the_whole(checked):
        draft.set_config("deepimagej", "allow_tiling", True)


def _tiles_are_as_the_whole(checked: Checked) -> bool:
    """Does every output depend on pixels nearby alone? Where that is not measured, nobody knows."""
    if checked.package.spec.procedure.tile:
        return False
    try:
        for restoring in checked.by_output().values():
            measured_halo(restoring)
    except TilingError:
        return False
    return True


def _widen_halo(draft: Draft, checked: Checked) -> None:
    """To the largest that one of the outputs needs."""
    needed: dict[str, int] = {}
    reach: dict[str, int] = {}
    for restoring in checked.by_output().values():
        try:
            measured = measured_halo(restoring)
        except TilingError:  # no halo is enough for this one, which the check tells
            continue
        for axis, pixels in measured.items():
            name, step = rdf_id(axis), restoring.package.spec.tiling[axis].step
            needed[name] = max(needed.get(name, 0), round_up(pixels, step))
            reach[name] = max(reach.get(name, 0), pixels)
    declare_halo(draft, needed)
    if draft.config("care_bridge"):
        draft.set_config("care_bridge", "halo", reach)


def _make_percentiles_agree(draft: Draft, checked: Checked) -> None:
    spec = checked.package.spec
    normalization = spec.normalization
    assert isinstance(normalization, Percentiles)
    agreeing = checked.test_tensor(spec.input).astype(np.float32)
    for channel in channels_of(agreeing, spec.input.axes):
        channel[...] = with_agreeing_percentiles(channel, normalization)
    outputs = predict(spec, checked.session, agreeing)
    for tensor, values in zip(spec.tensors, (agreeing, *outputs), strict=True):
        draft.write(tensor.test_tensor, npy_bytes(values))


def _save_samples(draft: Draft, checked: Checked) -> None:
    specs = {spec.id: spec for spec in checked.package.spec.tensors}
    for tensor in (*draft.tensors("inputs"), *draft.tensors("outputs")):
        spec = specs.get(str(tensor.get("id")))
        # Not one that is run here, or whose sample lies elsewhere.
        if spec is None or is_address(spec.sample_tensor or ""):
            continue
        suffixed = Path(spec.sample_tensor or f"sample_{spec.id}").with_suffix(".tif")
        name = draft.own_name(suffixed.as_posix())
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder) / "sample.tif"
            write_image(_test_image(checked, spec), file)
            data = file.read_bytes()
        tensor["sample_tensor"] = {"source": name, "sha256": hashlib.sha256(data).hexdigest()}
        draft.write(name, data)


def _test_image(checked: Checked, tensor: TensorSpec) -> Image:
    """The first image of a test tensor, in float32."""
    first = tuple(0 if axis == "B" else slice(None) for axis in tensor.axes)
    pixels = checked.test_tensor(tensor)[first].astype(np.float32)
    return Image(pixels, Axes(tensor.axes.replace("B", "")))


def _make_cover(draft: Draft, checked: Checked) -> None:
    """One of the test tensors, where none of those that are there is a picture."""
    covers = [source_of(each) for each in draft.content.get("covers") or ()]
    spoilt = no_pictures(draft)
    draft.content["covers"] = [each for each in covers if each not in spoilt]
    if draft.content["covers"]:
        return
    spec = checked.package.spec
    panels = []
    for label, tensor in (("input", spec.input), ("output", spec.output)):
        image = _test_image(checked, tensor)
        volume = image.axes.to(image.pixels, "CZYX")[0]
        panels.append((label, enlarged(volume[len(volume) // 2])))
    with tempfile.TemporaryDirectory() as folder:
        write_panels(Path(folder) / COVER, panels)
        name = draft.own_name(COVER)
        draft.content["covers"] = [name]
        draft.write(name, (Path(folder) / COVER).read_bytes())


MENDS: dict[str, Callable[[Draft, Checked], None]] = {
    "concatenable": _let_tile,
    "deepimagej-tiling": _let_deepimagej_tile,
    "halo": _widen_halo,
    "percentiles": _make_percentiles_agree,
    "sample-tensors": _save_samples,
    "same-samples": _save_samples,
    "cover": _make_cover,
}
"""By rule what changes the draft of a loaded package so that it may hold, in the order in which
they are to be tried."""
