"""Halos that others are told: whether their tiles show seams, and what --fix makes of it."""

import numpy as np
import onnxruntime
import pytest
import yaml
from onnx import helper, numpy_helper

from care_bridge import check_package, restore
from care_bridge.package.archive import open_archive
from care_bridge.package.consumers import Draft
from care_bridge.package.consumers.sizes import declare_halo
from care_bridge.package.rdf import parse_rdf
from care_bridge.runtime.mending import mend_package
from tests.broken_packages import edit, with_model
from tests.foreign_packages import Foreign, by_hand, foreign_package
from tests.packages import HALO, STEP, npy, tiny_network, tiny_package


def in_blocks(run, image, block, halo):
    """The result for an image (Y, X) of blocks of rows as bioimageio.core cuts them: each begins
    `halo` before what is kept of it, whatever the network's step."""
    made = np.empty_like(image)
    kept = block - 2 * halo
    for start in range(0, len(image), kept):
        first = min(max(start - halo, 0), len(image) - block)
        stop = min(start + kept, len(image))
        made[start:stop] = run(image[first : first + block])[start - first : stop - first]
    return made


def told(package, halo):
    """The package with a halo of so many pixels for others."""

    def tell(rdf):
        for axis in rdf["inputs"][0]["axes"][2:]:
            axis["concatenable"] = True
            axis["size"] = {"min": 2 * STEP * (halo // STEP + 1), "step": STEP}
        for axis in rdf["outputs"][0]["axes"][2:]:
            axis["halo"] = halo

    edit(package, tell)
    return package


def halos_and_tiles(package):
    return [each for each in check_package(package).errors if each.rule in ("halo", "tiles")]


def halos(package):
    return [each for each in check_package(package).findings if each.rule == "halo"]


IMAGE = np.random.default_rng(0).random((64, 32), np.float32)


def test_a_convolution_needs_its_reach_alone(tmp_path):
    case = Foreign(channels=(1, 1))

    def run(block):
        return by_hand(case, block[np.newaxis, np.newaxis])[0, 0]

    assert np.abs(in_blocks(run, IMAGE, 16, 1) - run(IMAGE)).max() < 1e-6 * np.ptp(run(IMAGE))
    assert halos(told(foreign_package(tmp_path, case, "0.5"), 1)) == []


@pytest.mark.parametrize(
    ("halo", "enough"), [(HALO - STEP, False), (HALO, True), (HALO + 1, False)]
)
def test_poolings_need_a_halo_of_whole_steps(tmp_path, halo, enough):
    session = onnxruntime.InferenceSession(tiny_network(), providers=["CPUExecutionProvider"])

    def run(block):
        return session.run(None, {"input": block[np.newaxis, np.newaxis]})[0][0, 0]

    wrong = np.abs(in_blocks(run, IMAGE, 40, halo) - run(IMAGE)).max() / np.ptp(run(IMAGE))
    assert (wrong < 1e-5) == enough
    assert (halos(told(tiny_package(tmp_path), halo)) == []) == enough


def test_what_mending_does_not_take_away_is_not_said_to_be_mended(tmp_path):
    package = foreign_package(tmp_path / "fixed", Foreign(sizes="fixed", halo=0), "0.5")
    first = mend_package(package)
    errors = [error for error in first.report.errors if "would show seams" in error.what]
    assert errors
    assert all("restore images of at most" in error.remedy for error in errors)
    assert first.changes
    assert not [change for change in first.changes if "seams" in change]
    files = {path: path.stat().st_mtime_ns for path in package.iterdir()}
    assert mend_package(package).changes == ()
    assert {path: path.stat().st_mtime_ns for path in package.iterdir()} == files


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_a_fixed_axis_may_be_short(tmp_path, version):
    """The network is looked at in sizes that it takes."""
    case = Foreign(axes="bczyx", channels=(1, 1), sizes="fixed")
    package = foreign_package(tmp_path, case, version)
    assert [each for each in check_package(package).errors if each.rule == "opens"] == []


def in_steps_of_one(rdf):
    """Tiles of any size, and nothing that others are told to overlap them by."""
    for axis in rdf["inputs"][0]["axes"][2:]:
        axis.update(size={"min": 8, "step": 1}, concatenable=True)


def halos_of_outputs(rdf):
    return [[axis["halo"] for axis in output["axes"][2:]] for output in rdf["outputs"]]


# By pixels of the output to one of the input: an image overlaps by whole pixels of both.
@pytest.mark.parametrize(("zoom", "halo"), [(0.5, 1), (1, 1), (1.5, 3), (2, 2)])
def test_a_halo_is_told_in_whole_pixels_of_the_output(tmp_path, zoom, halo):
    package = foreign_package(tmp_path, Foreign(zoom=zoom, halo=0), "0.5")
    edit(package, in_steps_of_one)
    draft = Draft.of(open_archive(package))
    declare_halo(draft, {"y": 1, "x": 1})
    assert halos_of_outputs(draft.content) == [[halo, halo]]
    parse_rdf(draft.text(), "package")


def test_the_fewest_pixels_leave_one_of_a_smaller_output(tmp_path):
    package = foreign_package(tmp_path, Foreign(zoom=0.5, halo=0), "0.5")
    edit(package, in_steps_of_one)
    draft = Draft.of(open_archive(package))
    declare_halo(draft, {"y": 5, "x": 5})
    # 6 pixels at each edge, the 3 of a halo, and 2 that make one.
    assert [axis["size"]["min"] for axis in draft.content["inputs"][0]["axes"][2:]] == [14, 14]
    parse_rdf(draft.text(), "package")


def test_outputs_of_other_sizes_are_told_one_halo(tmp_path):
    """The network reaches a pixel: 2 of the output that has twice as many, 1 of the other."""
    package = foreign_package(tmp_path, Foreign(zoom=2, more=True, halo=0), "0.5")

    def with_edges_as_the_input(rdf):
        in_steps_of_one(rdf)
        for axis in rdf["outputs"][1]["axes"][2:]:
            axis["scale"] = 1.0

    edit(package, with_edges_as_the_input)
    assert halos(package)
    mended = mend_package(package)
    assert [each.rule for each in mended.report.errors] == []
    assert halos_of_outputs(yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))) == [
        [2, 2],
        [1, 1],
    ]


def with_other_edges(folder, change, halo):
    """A package whose second output is another one's than a convolution's of width 3; both are
    told the halo."""
    case = Foreign(channels=(1, 1), more=True, halo=halo)
    package = foreign_package(folder, case, "0.5")
    with_model(package, lambda model: change(model, model.graph.node))
    session = onnxruntime.InferenceSession(package / "weights.onnx")
    given = np.load(package / "test_input.npy")
    (package / "test_edges.npy").write_bytes(npy(session.run(None, {"input.1": given})[1]))
    return package


def let_others_tile(rdf):
    for axis in rdf["inputs"][0]["axes"][2:]:
        axis["concatenable"] = True


def reaching_8_pixels(model, nodes):
    _, edges = (node for node in nodes if node.op_type == "Conv")
    (kernel,) = (each for each in model.graph.initializer if each.name == edges.input[1])
    wide = np.random.default_rng(0).normal(size=(1, 1, 17, 17)).astype(np.float32)
    kernel.CopyFrom(numpy_helper.from_array(wide, kernel.name))
    del edges.attribute[:]
    edges.attribute.append(helper.make_attribute("kernel_shape", [17, 17]))
    edges.attribute.append(helper.make_attribute("pads", [8] * 4))


def taking_the_mean(model, nodes):
    (edges,) = (node for node in nodes if node.op_type == "Abs")
    nodes.insert(
        list(nodes).index(edges),
        helper.make_node("ReduceMean", [edges.input[0]], ["mean"], axes=[2, 3]),
    )
    edges_less = helper.make_node("Sub", [edges.input[0], "mean"], ["less"])
    nodes.insert(list(nodes).index(edges), edges_less)
    edges.input[0] = "less"


def seams(package, output):
    """By how much tiles differ from the whole, in parts of its range."""
    whole, tiled = (
        restore(
            np.random.default_rng(0).random((64, 64), np.float32),
            axes="YX",
            package=package,
            output_tensor=output,
            device="cpu",
            tile={"Y": size, "X": size},
        )
        for size in (64, 32)
    )
    return np.abs(tiled - whole).max() / np.ptp(whole)


def test_each_output_is_checked_and_mended(tmp_path):
    package = with_other_edges(tmp_path / "package", reaching_8_pixels, halo=1)
    assert seams(package, "output") < 1e-6
    assert seams(package, "edges") > 0.1
    wrong = halos_and_tiles(package)
    assert [each.what for each in wrong[:2]] == [
        f'output "edges": along {axis} the network reaches 8 pixels, the package says 1: tiles '
        "would show seams"
        for axis in "YX"
    ]
    assert all(each.what.startswith('output "edges": ') for each in wrong)
    assert {each.rule for each in wrong} == {"halo", "tiles"}
    mended = mend_package(package)
    assert [each.rule for each in mended.report.errors] == []
    assert halos_of_outputs(yaml.safe_load((package / "rdf.yaml").read_text("utf-8"))) == [
        [8, 8],
        [8, 8],
    ]
    assert seams(package, "output") < 1e-6
    assert seams(package, "edges") < 1e-6


def test_the_halo_of_one_output_is_mended_where_another_has_no_end(tmp_path):
    package = with_other_edges(tmp_path / "package", taking_the_mean, halo=0)
    edit(package, let_others_tile)
    assert {each.rule for each in halos_and_tiles(package)} == {"halo", "tiles"}
    mend_package(package)
    left = halos_and_tiles(package)
    assert left[0].what.startswith('output "edges": the network\'s output depends on pixels more')
    assert all((each.rule, each.what[:15]) == ("tiles", 'output "edges":') for each in left)
    assert seams(package, "output") < 1e-6
