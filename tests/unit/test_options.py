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
