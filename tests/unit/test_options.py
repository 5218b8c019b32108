import math
from pathlib import Path

import numpy as np
import pytest

from care_bridge.errors import ConfigError
from care_bridge.runtime.options import RestoreOptions


def test_texts_are_read():
    options = RestoreOptions.parse(
        {"tile": "32,128,256", "device": "cuda:1", "overwrite": "", "axes": "TYX"}
    )
    assert options.tile == {"Z": 32, "Y": 128, "X": 256}
    assert options.device == "cuda:1"
    assert options.overwrite is True
    assert options.axes == "TYX"


@pytest.mark.parametrize("tile", [256, (256, 256), {"Y": 0}, {"Q": 256}, {"Y": "256"}])
def test_what_is_no_tile_is_refused(tile):
    with pytest.raises(ConfigError, match="is no tile"):
        RestoreOptions(tile=tile)


def test_nothing_given_and_auto_are_the_defaults():
    assert RestoreOptions.parse({"tile": "auto", "device": "auto"}) == RestoreOptions()


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        pytest.param({"tiel": "auto"}, 'no option "tiel": did you mean "tile"', id="misspelt"),
        pytest.param({"tile": "big"}, 'tile "big" cannot be read', id="tile"),
        pytest.param({"tile": "256"}, 'tile "256" cannot be read', id="one-number"),
        pytest.param({"device": "gpu"}, 'device "gpu" is unknown', id="device"),
        pytest.param({"device": "cpu:1"}, 'device "cpu:1" is unknown', id="numbered-cpu"),
        pytest.param({"dtype": "int16"}, 'dtype "int16" is unknown', id="dtype"),
        pytest.param({"overwrite": "maybe"}, 'overwrite="maybe"', id="flag"),
    ],
)
def test_unusable_options_are_one_clear_line(texts, says):
    with pytest.raises(ConfigError) as caught:
        RestoreOptions.parse(texts)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)


TAKEN = [
    ("tile", "32,64,64", {"Z": 32, "Y": 64, "X": 64}),
    ("memory", "1GiB", 1 << 30),
    ("memory", 1 << 30, 1 << 30),
    ("normalize", "per-frame", "per-frame"),
    ("normalize", (100, 2500), (100.0, 2500.0)),
    ("normalize", "100,2500", (100.0, 2500.0)),
    ("percentile_low", "2", 2.0),
    ("percentile_high", 99, 99.0),
    ("channels", "DAPI", ("DAPI",)),
    ("channels", "DAPI, 2", ("DAPI", "2")),
    ("channels", (1, "GFP"), ("1", "GFP")),
    ("channels", ["a, b", " c"], ("a, b", " c")),
    ("confidence", "0.5", 0.5),
    ("samples", "4", 4),
    ("rescale_to", "x.tif", Path("x.tif")),
    ("axes", "zyx", "ZYX"),
    ("overwrite", "no", False),
]


@pytest.mark.parametrize(
    ("name", "value", "kept"), TAKEN, ids=[f"{name}={value}" for name, value, _ in TAKEN]
)
def test_values_and_texts_are_taken_alike(name, value, kept):
    options = RestoreOptions(**{name: value})
    assert getattr(options, name) == kept
    assert type(getattr(options, name)) is type(kept)


NONE_OF_ITS_KIND = [
    ("tile", {"Y": True}),
    ("memory", math.inf),
    ("memory", True),
    ("memory", 0),
    ("memory", "0MiB"),
    ("memory", "much"),
    ("device", None),
    ("precision", None),
    ("dtype", 16),
    ("range", (0, 1)),
    ("normalize", 100),
    ("normalize", (1, 2, 3)),
    ("normalize", ("low", "high")),
    ("normalize", (2500, 100)),
    ("normalize", (0, math.nan)),
    ("percentile_low", "two"),
    ("percentile_high", math.nan),
    ("ignore_zeros", 1),
    ("channels", 1),
    ("channels", (1.5,)),
    ("channels", (0,)),
    ("channels", "1,,2"),
    ("confidence", 1),
    ("samples", 2.5),
    ("rescale_to", 5),
    ("format", None),
    ("compression", "lzw"),
    ("axes", "QQ"),
    ("axes", ("Y", "X")),
    ("overwrite", None),
]


@pytest.mark.parametrize(
    ("name", "value"), NONE_OF_ITS_KIND, ids=[f"{name}={value}" for name, value in NONE_OF_ITS_KIND]
)
def test_any_other_value_is_one_clear_line(name, value):
    with pytest.raises(ConfigError) as caught:
        RestoreOptions(**{name: value})
    assert name.split("_")[0] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "value"),
    {
        "an image's pixels": ("inputs", {"mask": np.zeros((9, 9))}),
        "pixels alone": ("inputs", np.zeros((9, 9))),
        "a file without a name": ("inputs", {"": "mask.tif"}),
        "a name without a file": ("inputs", "mask="),
        "pixels of the scene": ("rescale_to", np.zeros((9, 9))),
    }.values(),
    ids=str,
)
def test_files_are_named_not_given_as_pixels(name, value):
    with pytest.raises(ConfigError, match="file") as caught:
        RestoreOptions(**{name: value})
    assert "\n" not in str(caught.value)
