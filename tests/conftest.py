"""What all tests share."""

import signal

import pytest

# A shell ignores it for what it starts in the background, and children would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)


@pytest.fixture(autouse=True, scope="session")
def own_folders(tmp_path_factory):
    """A cache of package descriptions and models of this run's own, for child processes too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("XDG_DATA_HOME", str(tmp_path_factory.mktemp("data")))
        patch.setenv("CARE_BRIDGE_MODELS", str(tmp_path_factory.mktemp("shared")))
        yield


@pytest.fixture(autouse=True, scope="session")
def own_memory():
    """Plans of tiles that do not depend on what earlier tests left in this process, torch among
    it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("care_bridge.runtime.planner.program_memory", lambda: 128 << 20)
        yield
