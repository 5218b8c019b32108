"""The models that a PC keeps: three places, names, hashes, adding and removing."""

import errno
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import zipfile
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pytest
import tifffile

from care_bridge.cli.main import main
from care_bridge.errors import (
    ConfigError,
    PackageError,
    PackageFormatError,
    PackageIntegrityError,
    PackageNotFoundError,
)
from care_bridge.package import store
from care_bridge.package.collecting import add_model, remove_model
from care_bridge.package.package import load_package
from care_bridge.package.store import (
    find_model,
    find_package,
    models_in,
    place_folder,
    stored_models,
)
from tests.broken_packages import edit
from tests.packages import tiny_package


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty places, but for two bundled models, denoise-2d and denoise-3d."""
    zoo = tmp_path / "zoo"
    tiny_package(zoo / "denoise-2d", name="Bundled")
    tiny_package(zoo / "denoise-3d", dims=3, name="Bundled in 3D")
    (zoo / "samples").mkdir()
    (zoo / "README.md").write_text("The zoo")
    monkeypatch.setattr(store, "bundled_folder", lambda name: zoo)
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("CARE_BRIDGE_MODELS", str(tmp_path / "facility"))
    return tmp_path


@pytest.fixture
def given(places):
    """A package from somebody, "nuclei"."""
    return tiny_package(places / "downloads" / "nuclei", name="Nuclei")


def kept():
    return [(model.name, model.place) for model in stored_models()]


def sha256(path):
    return hashlib.sha256((path / "rdf.yaml").read_bytes()).hexdigest()


BUNDLED = [("denoise-2d", "bundled"), ("denoise-3d", "bundled")]


def test_bundled_models_have_names(places):
    assert kept() == BUNDLED
    assert load_package("denoise-2d").source == places / "zoo" / "denoise-2d"


def test_a_path_goes_before_a_name(places, monkeypatch):
    monkeypatch.chdir(places)
    tiny_package(places / "denoise-2d", name="My own model")
    assert load_package("denoise-2d").spec.name == "My own model"


def test_a_missing_package_names_what_there_is(places):
    with pytest.raises(PackageNotFoundError) as caught:
        load_package("denois-2d")
    assert str(caught.value) == (
        'there is no model package "denois-2d": did you mean "denoise-2d"? give a model that is '
        "kept here (denoise-2d, denoise-3d) or a package's folder, .zip or rdf.yaml"
    )
    assert isinstance(caught.value, FileNotFoundError)


def test_a_path_that_cannot_be_looked_at_is_told(places, tmp_path, monkeypatch):
    with pytest.raises(PackageFormatError, match="File name too long"):
        find_package("model" * 100)

    def refused(path):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", refused)
    with pytest.raises(PackageFormatError, match=r"secret cannot be read \(Permission denied\)"):
        find_package(tmp_path / "secret")


def test_a_user_that_does_not_exist_is_no_package(places):
    with pytest.raises(PackageNotFoundError, match='no model package "~nouser/model"'):
        load_package("~nouser/model")


@pytest.mark.parametrize("form", ["folder", "zip", "rdf"])
def test_an_added_model_is_found_by_name_and_hash(given, form):
    source = {
        "folder": lambda: given,
        "zip": lambda: Path(shutil.make_archive(str(given), "zip", given)),
        "rdf": lambda: given / "rdf.yaml",
    }[form]()
    added = add_model(source)
    assert added.is_new
    assert (added.model.name, added.model.place) == ("nuclei", "user")
    digest = sha256(given)
    shutil.rmtree(given)
    for name in ("nuclei", "Nuclei", digest, digest[:6].upper()):
        package = load_package(name)
        assert package.source == place_folder("user") / "nuclei.zip"
        assert (package.spec.name, package.spec.rdf_sha256) == ("Nuclei", digest)
    package.weights()
    assert kept() == [("nuclei", "user"), *BUNDLED]


def test_what_is_kept_is_what_the_description_names(given):
    (given / "thesis.docx").write_text("of the same folder")
    added = add_model(given)
    with zipfile.ZipFile(added.model.path) as opened:
        files = {name: opened.read(name) for name in opened.namelist()}
    names = {path.name for path in given.iterdir()} - {"thesis.docx"}
    assert files == {name: (given / name).read_bytes() for name in names}


def test_the_same_package_twice_is_no_error(given):
    first = add_model(given)
    content = first.model.path.read_bytes()
    for name in ("nuclei", "NUCLEI", None):
        again = add_model(given, name)
        assert (again.is_new, again.model) == (False, first.model)
    assert first.model.path.read_bytes() == content
    assert add_model("denoise-2d").is_new is False


def test_a_kept_model_that_was_damaged_is_replaced(given):
    path = add_model(given).model.path
    whole = path.read_bytes()
    path.write_bytes(whole.replace((given / "cover.png").read_bytes()[-60:], bytes(60)))
    assert add_model(given).is_new
    assert path.read_bytes() == whole


@pytest.mark.parametrize("junk", [b"", b"PK\x03\x04 junk"], ids=["empty", "junk"])
def test_a_kept_model_that_is_no_zip_any_more_is_replaced(given, junk):
    kept_as = add_model(given).model.path
    kept_as.write_bytes(junk)
    assert add_model(given, "NUCLEI").is_new
    assert models_in("user")[0].path == kept_as
    assert load_package("nuclei").spec.name == "Nuclei"


def test_junk_in_the_shared_folder_keeps_nobody_from_its_name(places, given):
    (places / "facility").mkdir()
    (places / "facility" / "nuclei.zip").write_bytes(b"junk")
    assert add_model(given).is_new
    assert load_package("nuclei").spec.name == "Nuclei"


def test_a_name_that_a_terminal_obeys_is_not_printed_as_it_is(places):
    (places / "facility").mkdir()
    (places / "facility" / "evil\x1b[31m.zip").write_bytes(b"junk")
    with pytest.raises(PackageNotFoundError, match=r"evil\[31m") as told:
        find_model("nothing")
    assert "\x1b" not in str(told.value)


def test_a_name_belongs_to_one_model(places, given):
    add_model(given)
    other = tiny_package(places / "other", name="Other")
    for name in ("nuclei", "Nuclei", "denoise-2d"):
        with pytest.raises(ConfigError, match='another model is called "(nuclei|denoise-2d)"'):
            add_model(other, name)
    assert add_model(other, "nuclei-2").is_new


@pytest.mark.parametrize("name", ["a b", "a/b", "..", ".a", "con", "a.", "ü", "a" * 65, "COM1.x"])
def test_names_are_those_of_files_on_every_system(given, name):
    with pytest.raises(ConfigError, match="cannot be called"):
        add_model(given, name)
    assert kept() == BUNDLED


def without_file(folder):
    (folder / "cover.png").unlink()
    return PackageFormatError, 'has no file "cover.png"'


def changed_sample(folder):
    (folder / "sample_input.tif").write_bytes(b"other pixels")
    return PackageIntegrityError, '"sample_input.tif" in .* is not the file'


def changed_weights(folder):
    (folder / "weights.onnx").write_bytes(b"other weights")
    return PackageIntegrityError, '"weights.onnx" in .* is not the file'


def no_tensor(folder):
    data = b"no tensor"
    old = hashlib.sha256((folder / "test_input.npy").read_bytes()).hexdigest()
    rdf = (folder / "rdf.yaml").read_text().replace(old, hashlib.sha256(data).hexdigest())
    (folder / "test_input.npy").write_bytes(data)
    (folder / "rdf.yaml").write_text(rdf)
    return PackageFormatError, "is no .npy array"


def no_model(folder):
    (folder / "rdf.yaml").write_text("type: dataset")
    return PackageFormatError, "not of a model"


@pytest.mark.parametrize(
    "spoil", [without_file, changed_sample, changed_weights, no_tensor, no_model]
)
def test_only_whole_packages_are_added(places, given, spoil):
    error, line = spoil(given)
    with pytest.raises(error, match=line):
        add_model(given)
    assert kept() == BUNDLED
    folder = place_folder("user")
    assert not folder.exists() or list(folder.iterdir()) == []


def test_the_shared_folder_serves_all(places, given, monkeypatch):
    added = add_model(given, place="shared")
    assert added.model.path == places / "facility" / "nuclei.zip"
    monkeypatch.setenv("XDG_DATA_HOME", str(places / "another users home"))
    assert load_package("nuclei").spec.name == "Nuclei"
    assert kept() == [*BUNDLED, ("nuclei", "shared")]
    assert add_model(given).is_new is False


def test_packages_that_an_admin_put_there_by_hand_are_found(places, given):
    shutil.copytree(given, places / "facility" / "by-hand")
    (places / "facility" / "notes.txt").write_text("for users")
    (places / "facility" / "empty").mkdir()
    assert kept() == [*BUNDLED, ("by-hand", "shared")]


def test_own_models_go_before_bundled_ones_and_those_before_shared_ones(places, given):
    """A shared folder cannot change what a bundled name means; a model that was added before
    care_bridge brought one of its name stays what it was."""
    for folder, name in ((place_folder("user"), "denoise-2d"), (places / "facility", "denoise-3d")):
        shutil.copytree(given, folder / name)
    assert find_model("denoise-2d").place == "user"
    assert find_model("denoise-3d").place == "bundled"


def test_removing(places, given):
    path = add_model(given).model.path
    assert remove_model("nuclei").path == path
    shutil.copytree(given, place_folder("user") / "by-hand")
    remove_model(sha256(given)[:12])
    assert list(place_folder("user").iterdir()) == []
    assert kept() == BUNDLED


@pytest.mark.parametrize(
    ("asked", "place", "error", "line"),
    [
        pytest.param("denoise-2d", "user", ConfigError, "came with care_bridge", id="bundled"),
        pytest.param("ours", "user", ConfigError, "folder for all users.*--shared", id="shared"),
        pytest.param("mine", "shared", ConfigError, "of your own.*leave out", id="own"),
        pytest.param("min", "user", PackageNotFoundError, 'did you mean "mine"', id="unknown"),
    ],
)
def test_what_is_not_removed(given, asked, place, error, line):
    add_model(given, "mine")
    add_model(given, "ours", "shared")
    with pytest.raises(error, match=line):
        remove_model(asked, place)
    assert kept() == [("mine", "user"), *BUNDLED, ("ours", "shared")]


def test_a_folder_that_cannot_be_written_is_said(places, given):
    (places / "facility").write_text("a file where the folder should be")
    with pytest.raises(PackageError, match="facility cannot be written .*leave out --shared"):
        add_model(given, place="shared")
    assert models_in("shared") == []


def test_a_hash_that_fits_two_models_is_refused(places):
    """Among some thousand descriptions two begin with the same 6 digits (the birthday paradox)."""
    seen: dict[str, bytes] = {}
    for number in count():
        description = str(number).encode()
        digits = hashlib.sha256(description).hexdigest()[:6]
        if digits in seen:
            break
        seen[digits] = description
    for name, content in (("one", description), ("two", seen[digits])):
        (place_folder("user") / name).mkdir(parents=True)
        (place_folder("user") / name / "rdf.yaml").write_bytes(content)
    with pytest.raises(ConfigError, match="fits one, two: give more of its digits"):
        find_model(digits)


@pytest.mark.skipif(sys.platform != "linux", reason="the folders of Linux")
def test_the_places_are_those_of_the_system(monkeypatch):
    """As the XDG Base Directory Specification has them."""
    for variable in ("CARE_BRIDGE_MODELS", "XDG_DATA_HOME", "XDG_DATA_DIRS"):
        monkeypatch.delenv(variable, raising=False)
    assert place_folder("user") == Path("~/.local/share/care_bridge/models").expanduser()
    assert place_folder("shared") == Path("/usr/local/share/care_bridge/models")


# The command line.


def called(capsys, *arguments):
    status = main(["models", *map(str, arguments)])
    said = capsys.readouterr()
    return status, said.out, said.err


def test_the_verb_adds_shows_lists_and_removes(places, given, capsys):
    out = place_folder("user") / "nuclei.zip"
    assert called(capsys, "add", given) == (0, f'{given} is kept as "nuclei": {out}\n', "")
    assert "was there already" in called(capsys, "add", given)[1]
    assert called(capsys, "path", "nuclei") == (0, f"{out}\n", "")
    assert called(capsys, "path", sha256(given)[:8])[1] == f"{out}\n"
    assert called(capsys, "show", "nuclei")[1].startswith("# Tiny network\n")
    lines = called(capsys, "list")[1].splitlines()
    assert [line.split()[:2] for line in lines] == [["nuclei", "user"], *map(list, BUNDLED)]
    assert lines[0].split()[2] == sha256(given)[:12]
    listed = json.loads(called(capsys, "list", "--json")[1])
    assert listed[0] == {
        "name": "nuclei",
        "place": "user",
        "sha256": sha256(given),
        "path": str(out),
        "description": "A random residual network for tests",
    }
    assert called(capsys, "remove", "nuclei")[0] == 0
    assert kept() == BUNDLED


@pytest.mark.parametrize("written", ["card.md", {"source": "card.md"}], ids=["name", "map"])
def test_the_card_is_shown_whatever_its_file_is_called(places, given, capsys, written):
    (given / "README.md").rename(given / "card.md")
    (given / "card.md").write_text("# Nuclei, as said by hand\n")
    edit(given, lambda rdf: rdf.update(documentation=written))
    add_model(given)
    assert called(capsys, "show", "nuclei") == (0, "# Nuclei, as said by hand\n\n", "")


def test_the_places_are_printed(places, capsys):
    lines = called(capsys, "path")[1].splitlines()
    assert [line.split() for line in lines] == [
        ["user", str(places / "home" / "care_bridge" / "models")],
        ["bundled", str(places / "zoo")],
        ["shared", str(places / "facility")],
    ]


def test_a_model_that_cannot_be_used_does_not_hide_the_others(places, given, capsys):
    path = add_model(given).model.path
    path.write_bytes(path.read_bytes()[:100])
    status, listed, _ = called(capsys, "list")
    assert status == 0
    assert "nuclei" in listed.splitlines()[0]
    assert "cannot be used: the zip" in listed.splitlines()[0]
    assert "denoise-3d" in listed.splitlines()[2]


@pytest.fixture
def as_another_user():
    """Whatever its mode says, root may read a file: what is done in this is done by another."""

    @contextmanager
    def another():
        root = os.geteuid() == 0
        if root:
            os.seteuid(65534)
        try:
            yield
        finally:
            if root:
                os.seteuid(0)

    return another


@pytest.mark.skipif(sys.platform == "win32", reason="files have no modes there")
def test_what_a_user_may_not_read_does_not_hide_the_others(
    places, as_another_user, monkeypatch, capsys
):
    with tempfile.TemporaryDirectory() as folder:
        facility = Path(folder)
        facility.chmod(0o755)
        monkeypatch.setenv("CARE_BRIDGE_MODELS", folder)
        monkeypatch.setattr(store, "bundled_folder", lambda name: facility / "none")
        for name in ("folder", "nuclei"):
            tiny_package(facility / name, name="Nuclei")
        with zipfile.ZipFile(facility / "zip.zip", "w") as opened:
            opened.write(facility / "nuclei" / "rdf.yaml", "rdf.yaml")
        load_package(facility / "nuclei")
        (facility / "folder").chmod(0)
        (facility / "zip.zip").chmod(0)
        monkeypatch.setenv("XDG_DATA_HOME", str(facility / "home"))
        with as_another_user():
            printed = called(capsys, "list")[1].splitlines()
            assert find_model("nuclei").path == facility / "nuclei"
        (facility / "folder").chmod(0o700)
    assert [line.split()[0] for line in printed] == ["folder", "nuclei", "zip"]
    told = "cannot be used: .*cannot be read .Permission denied.:"
    assert [bool(re.search(told, line)) for line in printed] == [True, False, True]


def test_a_removed_package_in_use_is_told(given):
    package = load_package(given)
    shutil.rmtree(given)
    with pytest.raises(PackageFormatError, match="cannot be read .No such file"):
        package.weights()
    zipped = add_model(tiny_package(given, name="Nuclei")).model.path
    package = load_package(zipped)
    zipped.unlink()
    with pytest.raises(PackageFormatError, match="cannot be read .No such file"):
        package.weights()


def test_what_cannot_be_done_is_one_line(places, given, capsys):
    for arguments in (
        ["remove", "denoise-2d"],
        ["add", places],
        ["add", given, "--name", "denoise-2d"],
        ["add", given, "--name", ""],
        ["path", "nothing"],
        ["show", "nothing"],
    ):
        status, out, error = called(capsys, *arguments)
        assert (status, out, error.count("\n")) == (1, "", 1), arguments


def test_a_kept_model_restores(places, given, capsys, tmp_path):
    image = tmp_path / "image.tif"
    tifffile.imwrite(image, np.random.default_rng(0).poisson(99, (40, 44)).astype(np.uint16))
    results = []
    for number, model in enumerate((str(given), "nuclei", sha256(given)[:10])):
        if number:
            add_model(given)
        out = tmp_path / f"{number}.tif"
        command = ["restore", image, "--model", model, "--out", out, "--device", "cpu"]
        assert main([str(word) for word in command]) == 0
        results.append(tifffile.imread(out))
    np.testing.assert_array_equal(results[1], results[0])
    np.testing.assert_array_equal(results[2], results[0])
