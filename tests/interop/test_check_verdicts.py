"""What the check says of packages for bioimageio.core is what its versions make of them."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from care_bridge import check_package
from care_bridge.export.about import About
from care_bridge.export.builder import WEIGHTS, export_checkpoint
from care_bridge.package.consumers.rule import CORE, OLD_CORE
from tests.broken_packages import edit, with_test_input
from tests.checkpoints import untrained
from tests.interop_environment import OFFLINE, interop_environment
from tests.rule_breaches import FAMILY, FLAG, network_of

pytestmark = [pytest.mark.interop, pytest.mark.slow, pytest.mark.timeout(3600)]

VERSIONS = {OLD_CORE: ("0.9.6", "0.10.2"), CORE: ("0.11.0",)}


def before(*steps):
    return lambda rdf: rdf["inputs"][0]["preprocessing"].extend(steps)


def after(*steps):
    return lambda rdf: rdf["outputs"][0].update(postprocessing=list(steps))


def without_kwargs(rdf):
    rdf["weights"]["pytorch_state_dict"]["architecture"].pop("kwargs")


def of_two_units(rdf):
    rdf["inputs"][0]["axes"][2].update(scale=0.1, unit="micrometer")


def of_integers(*steps):
    def change(rdf):
        rdf["inputs"][0].update(data={"type": "uint8"}, preprocessing=list(steps))

    return change


def step(name, **kwargs):
    return {"id": name, "kwargs": kwargs}


ZERO_MEAN = step("zero_mean_unit_variance", axes=["y", "x"])
RANGE = {"axes": ["y", "x"], "min_percentile": 1.0, "max_percentile": 99.0}
FLOAT32, FLOAT64 = (step("ensure_dtype", dtype=name) for name in ("float32", "float64"))
VARIANTS = {
    "as-exported": lambda rdf: None,
    "icon-of-two-characters": lambda rdf: rdf.update(icon=FLAG),
    "icon-of-five-characters": lambda rdf: rdf.update(icon=FAMILY),
    "zero-mean-after": after(ZERO_MEAN),
    "range-after": after(step("scale_range", **RANGE)),
    "range-of-the-input-after": after(step("scale_range", **RANGE, reference_tensor="input")),
    "percentile-clip-after": after(step("clip", **RANGE)),
    "numbers-after": after(step("clip", min=0.0), step("ensure_dtype", dtype="uint16")),
    "zero-mean-before": before(ZERO_MEAN),
    "binarize-before": before(step("binarize", threshold=0.5)),
    "binarize-before-then-float32": before(step("binarize", threshold=0.5), FLOAT32),
    "float64-before": before(FLOAT64),
    "float64-before-then-float32": before(FLOAT64, FLOAT32),
    "linear-before": before(step("scale_linear", gain=2.0, offset=0.5)),
    "state-dict-without-kwargs": without_kwargs,
    "state-dict": lambda rdf: None,
    "torchscript": lambda rdf: None,
    "two-units": of_two_units,
    "no-steps": lambda rdf: rdf["inputs"][0]["preprocessing"].clear(),
    "float64-before-others": before(FLOAT64, step("scale_linear", gain=2.0, offset=0.5)),
    "integers-made-float32": of_integers(FLOAT32),
    "integers": of_integers(),
    "integers-tested-by-floats": of_integers(FLOAT32),
    "tested-by-half": lambda rdf: None,
    "tested-by-integers": lambda rdf: None,
    "network-of-uint8": lambda rdf: None,
    "network-of-uint8-untold": lambda rdf: None,
    "network-of-float64": lambda rdf: None,
    "network-of-float16": lambda rdf: None,
}
NETWORK_OF = {
    "network-of-uint8": (TensorProto.UINT8, "uint8"),
    "network-of-uint8-untold": (TensorProto.UINT8, "float32"),
    "network-of-float64": (TensorProto.DOUBLE, "float64"),
    "network-of-float16": (TensorProto.FLOAT16, "float32"),
}
"""What the network takes where that is not float32, and what the description says of it."""
WEIGHTS_OF = {
    "state-dict-without-kwargs": "pytorch_state_dict",
    "state-dict": "pytorch_state_dict",
    "torchscript": "torchscript",
}
"""Where not ONNX. Each variant has weights of one kind, which takes less time."""


TESTED_AS = {
    "integers-made-float32": np.uint8,
    "integers": np.uint8,
    "network-of-uint8": np.uint8,
    "tested-by-half": np.float16,
    "tested-by-integers": np.uint16,
}
"""The test tensor's type where it is not float32."""


def input_to_test(folder, kind):
    return np.load(folder / "test_input.npy").clip(0, 255).round().astype(kind)


def with_one_kind(rdf, kind):
    rdf["weights"] = {kind: rdf["weights"][kind]}
    rdf["weights"][kind].pop("parent", None)


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    """All variants by name, with the test output that care_bridge makes."""
    folder = tmp_path_factory.mktemp("variants")
    about = About("A model of variants", "For a test")
    export_checkpoint(untrained(), folder / "exported", about, weights=WEIGHTS)
    made = {}
    for name, change in VARIANTS.items():
        made[name] = shutil.copytree(folder / "exported", folder / name)
        kind = WEIGHTS_OF.get(name, "onnx")
        edit(made[name], lambda rdf, kind=kind: with_one_kind(rdf, kind))
        edit(made[name], change)
        if name in NETWORK_OF:
            network_of(*NETWORK_OF[name])(made[name])
        if kind == "onnx" and name != "two-units":  # which no version can open
            with_test_input(made[name], input_to_test(made[name], TESTED_AS.get(name, np.float32)))
    return made


@pytest.fixture(scope="module")
def statuses(packages, tmp_path_factory):
    """The status that each version gives each variant."""
    found = {}
    for version in (version for versions in VERSIONS.values() for version in versions):
        folder = tmp_path_factory.mktemp(version)
        ran = subprocess.run(
            [
                interop_environment(version) / "bin" / "python",
                Path(__file__).with_name("core_statuses.py"),
                folder / "said.json",
                *packages.values(),
            ],
            env=os.environ | OFFLINE | {"BIOIMAGEIO_CACHE_PATH": str(folder / "downloads")},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr[-2000:]
        said = json.loads((folder / "said.json").read_text())
        found[version] = {name: said[str(package)][0] for name, package in packages.items()}
    return found


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize("judge", VERSIONS)
def test_it_is_fine_where_core_passes_it(packages, statuses, judge, name):
    report = check_package(packages[name]).limited([judge])
    all_pass = all(statuses[version][name] == "passed" for version in VERSIONS[judge])
    assert (not report.errors) == all_pass, report.text()
