"""Adding models: several processes at a time, and files that weights come with."""

import errno
import hashlib
import os
import subprocess
import sys
from subprocess import PIPE

import pytest
from bioimageio.spec import load_description
from bioimageio.spec.model.v0_4 import ModelDescr

from care_bridge import check_package
from care_bridge.errors import ConfigError, PackageFormatError, PackageIntegrityError
from care_bridge.lock import open_locked
from care_bridge.package.collecting import add_model
from care_bridge.package.package import Package
from care_bridge.package.packing import pack
from care_bridge.package.store import find_model, place_folder
from tests.broken_packages import edit
from tests.foreign_packages import Foreign, foreign_package
from tests.packages import tiny_package

ADD_AT_A_TIME = """
import sys
from care_bridge.errors import ConfigError
from care_bridge.package import collecting

pack = collecting.pack
def wait_and_pack(*given, **more):
    print("ready", flush=True)
    sys.stdin.readline()
    pack(*given, **more)
collecting.pack = wait_and_pack
try:
    collecting.add_model(sys.argv[2], sys.argv[1])
    print("kept")
except ConfigError:
    print("refused")
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with an empty place for the user's models."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    return tmp_path


def test_of_two_that_add_one_name_at_a_time_one_is_refused(place):
    """Processes of their own, that look whether the name is free before either writes."""
    sources = [
        tiny_package(place / "downloads" / name, name=f"Model {name}") for name in ("one", "other")
    ]
    for round_ in range(3):
        command = [sys.executable, "-c", ADD_AT_A_TIME, f"name{round_}"]
        adding = [
            subprocess.Popen([*command, str(source)], stdin=PIPE, stdout=PIPE, text=True)
            for source in sources
        ]
        for process in adding:
            assert process.stdout.readline() == "ready\n"
        for process in adding:
            process.stdin.write("go\n")
            process.stdin.flush()
        said = [process.communicate(timeout=60)[0].strip() for process in adding]
        assert sorted(said) == ["kept", "refused"]
        winner = sources[said.index("kept")]
        assert (
            find_model(f"name{round_}").sha256()
            == hashlib.sha256((winner / "rdf.yaml").read_bytes()).hexdigest()
        )
    assert not [path for path in place_folder("user").iterdir() if path.suffix != ".zip"]


def test_what_came_meanwhile_is_not_replaced_where_files_cannot_be_linked(place, monkeypatch):
    def no_links(source, target):
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    assert add_model(tiny_package(place / "downloads" / "nuclei")).is_new
    kept_file = find_model("nuclei").path
    before = kept_file.read_bytes()
    with pytest.raises(FileExistsError):
        pack(kept_file, [("rdf.yaml", [b"other"])], only_new=True)
    assert kept_file.read_bytes() == before
    assert [path.name for path in kept_file.parent.iterdir()] == ["nuclei.zip"]


def adding_meanwhile(monkeypatch, place, source):
    """Lets `source` be added as nuclei when the weights of the next package are read: after the
    look whether its name is free, before anything is written."""
    weights = Package.weights

    def add_and_read(package):
        monkeypatch.undo()
        monkeypatch.setenv("XDG_DATA_HOME", str(place / "home"))
        assert add_model(source, "nuclei").is_new
        return weights(package)

    monkeypatch.setattr(Package, "weights", add_and_read)


def assert_the_first_of_two_is_kept(place, monkeypatch):
    first, second = (tiny_package(place / name, name=f"Model {name}") for name in ("one", "other"))
    adding_meanwhile(monkeypatch, place, first)
    with pytest.raises(ConfigError, match='another model is called "nuclei"'):
        add_model(second, "nuclei")
    kept = hashlib.sha256((first / "rdf.yaml").read_bytes()).hexdigest()
    assert find_model("nuclei").sha256() == kept


def test_another_model_that_comes_meanwhile_is_not_replaced(place, monkeypatch):
    assert_the_first_of_two_is_kept(place, monkeypatch)


def test_the_same_model_that_comes_meanwhile_is_kept_once(place, monkeypatch):
    source = tiny_package(place / "one")
    adding_meanwhile(monkeypatch, place, source)
    assert not add_model(source, "nuclei").is_new
    assert [path.name for path in place_folder("user").iterdir()] == ["nuclei.zip"]


@pytest.fixture
def damaged(place):
    """A zip in the place of "nuclei" that cannot be opened."""
    path = place_folder("user") / "nuclei.zip"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"cut short")
    return path


def test_of_two_that_replace_a_damaged_zip_the_second_does_not_replace_the_first(
    place, damaged, monkeypatch
):
    assert_the_first_of_two_is_kept(place, monkeypatch)
    assert list(damaged.parent.iterdir()) == [damaged]


def test_a_damaged_zip_that_somebody_else_replaces_is_left_to_them(place, damaged):
    source = tiny_package(place / "one")
    lock = open_locked(damaged.with_name(".nuclei.zip.lock"))
    with pytest.raises(ConfigError, match="being added by somebody else"):
        add_model(source, "nuclei")
    assert damaged.read_bytes() == b"cut short"
    lock.close()  # as at the end of a process that was killed
    assert add_model(source, "nuclei").is_new
    assert list(damaged.parent.iterdir()) == [damaged]


@pytest.fixture
def with_files_of_weights(place):
    """A package of format 0.4 whose weights come with an environment and a file of settings."""
    package = foreign_package(place / "downloads" / "old", Foreign(), "0.4")

    def name_them(rdf):
        rdf["weights"]["onnx"] |= {
            "dependencies": "conda:./envs/environment.yaml",
            "attachments": {"files": ["./config.xml"]},
        }

    edit(package, name_them)
    (package / "envs").mkdir()
    for name in OF_WEIGHTS:
        (package / name).write_text("name: it", "utf-8")
    return package


OF_WEIGHTS = ("envs/environment.yaml", "config.xml")


def test_what_is_kept_is_whole_for_the_specs_library(with_files_of_weights):
    """It asks for the files that are given with weights."""
    kept_zip = add_model(with_files_of_weights).model.path
    assert isinstance(load_description(kept_zip), ModelDescr)
    for name in OF_WEIGHTS:
        (with_files_of_weights / name).unlink()
        with pytest.raises(PackageFormatError, match="has no file"):
            add_model(with_files_of_weights, "again")
        told = check_package(with_files_of_weights).limited(["bioimageio.core"]).errors
        assert [error.what.partition(": ")[0] for error in told] == [
            f'the package {with_files_of_weights} has no file "./{name}"'
        ]
        assert not isinstance(load_description(with_files_of_weights / "rdf.yaml"), ModelDescr)
        (with_files_of_weights / name).write_text("name: it", "utf-8")


@pytest.mark.parametrize(
    "named", [{"dependencies": "conda:../evil.yaml"}, {"attachments": {"files": ["../evil.xml"]}}]
)
def test_nothing_outside_a_package_is_kept_with_its_weights(with_files_of_weights, named):
    edit(with_files_of_weights, lambda rdf: rdf["weights"]["onnx"].update(named))
    for name in ("evil.yaml", "evil.xml"):
        (with_files_of_weights.parent / name).write_text("name: it", "utf-8")
    with pytest.raises(PackageIntegrityError, match="leaves the package"):
        add_model(with_files_of_weights)
