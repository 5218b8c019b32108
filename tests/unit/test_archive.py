"""Packages as folders and zips, good ones and those from strangers."""

import stat
import struct
import tracemalloc
import zipfile

import pytest

from care_bridge.errors import PackageFormatError, PackageIntegrityError
from care_bridge.package import archive, zip_directory
from care_bridge.package.archive import check_hash, open_archive


def zip_of(path, files, **attributes):
    with zipfile.ZipFile(path, "w") as opened:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name)
            for attribute, value in attributes.items():
                setattr(entry, attribute, value)
            opened.writestr(entry, data)
    return path


def folder_of(path, files):
    for name, data in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(data)
    return path


FILES = {"rdf.yaml": b"type: model", "inside/a.npy": b"pixels"}


@pytest.mark.parametrize("make", [folder_of, zip_of])
def test_files_are_read_from_folder_and_zip_alike(tmp_path, make):
    opened = open_archive(make(tmp_path / "package", FILES))
    assert opened.rdf_name == "rdf.yaml"
    assert {name: opened.read(name) for name in FILES} == FILES


@pytest.mark.parametrize("make", [folder_of, zip_of])
def test_the_zoos_name_of_the_description_is_taken_too(tmp_path, make):
    opened = open_archive(make(tmp_path / "package", {"bioimageio.yaml": b"type: model"}))
    assert opened.read(opened.rdf_name) == b"type: model"


def test_a_description_file_opens_its_folder(tmp_path):
    folder_of(tmp_path, FILES)
    opened = open_archive(tmp_path / "rdf.yaml")
    assert opened.read("inside/a.npy") == b"pixels"


@pytest.mark.parametrize("make", [folder_of, zip_of])
@pytest.mark.parametrize(
    "name",
    [
        *("../secret", "inside/../../secret", "/etc/passwd", ""),
        *("C:/secret", "c:secret", "C:\\secret", "inside\\..\\..\\secret", "\\\\server\\secret"),
    ],
)
def test_names_cannot_leave_the_package(tmp_path, make, name):
    (tmp_path / "secret").write_bytes(b"secret")
    opened = open_archive(make(tmp_path / "package", FILES))
    with pytest.raises(PackageIntegrityError, match="leaves the package"):
        opened.read(name)


@pytest.mark.parametrize("name", ["../secret", "/etc/passwd", "..\\secret"])
def test_a_zip_with_such_names_is_not_opened(tmp_path, name):
    with pytest.raises(PackageIntegrityError, match="leaves the package"):
        open_archive(zip_of(tmp_path / "evil.zip", FILES | {name: b"x"}))


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("notes 12:30.txt", '"notes 12:30.txt" in the package {} has \\ or : in it'),
        ("extra\\notes.txt", '"extra\\notes.txt" in the package {} has \\ or : in it'),
        ("Icon\r", '"Icon" and signs that are not shown in the package {} is not a file\'s name'),
        ("aux.txt", '"aux.txt" in the package {} is not a file\'s name'),
    ],
)
def test_a_file_that_only_some_systems_can_hold_is_told_as_such(tmp_path, name, why):
    path = zip_of(tmp_path / "p.zip", FILES | {name: b"x"})
    with pytest.raises(PackageIntegrityError) as caught:
        open_archive(path)
    assert why.format(path) in str(caught.value)
    assert "leave out that file" in str(caught.value)
    assert "do not use" not in str(caught.value)


def test_links_are_not_followed(tmp_path):
    (tmp_path / "secret").write_bytes(b"secret")
    package = folder_of(tmp_path / "package", FILES)
    (package / "link.npy").symlink_to(tmp_path / "secret")
    (package / "linked").symlink_to(tmp_path)
    opened = open_archive(package)
    for name in ("link.npy", "linked/secret"):
        with pytest.raises(PackageIntegrityError, match="is a link"):
            opened.read(name)
    zipped = zip_of(tmp_path / "links.zip", FILES, external_attr=(stat.S_IFLNK | 0o777) << 16)
    with pytest.raises(PackageIntegrityError, match="is a link"):
        open_archive(zipped)


def test_sizes_are_bounded(tmp_path, monkeypatch):
    package, zipped = folder_of(tmp_path / "package", FILES), zip_of(tmp_path / "p.zip", FILES)
    for path in (package, zipped):
        assert open_archive(path).read("inside/a.npy", most=6) == b"pixels"
        with pytest.raises(PackageIntegrityError, match="has 6 bytes, it may have at most 5"):
            open_archive(path).read("inside/a.npy", most=5)
    monkeypatch.setattr(zip_directory, "LARGEST_PACKAGE", 10)
    with pytest.raises(PackageIntegrityError, match="take more than"):
        open_archive(zipped)
    monkeypatch.setattr(zip_directory, "MOST_FILES", 1)
    with pytest.raises(PackageIntegrityError, match="holds 2 files"):
        open_archive(zipped)


@pytest.mark.parametrize("make", [folder_of, zip_of])
def test_a_description_is_small(tmp_path, make):
    path = make(tmp_path / "package", {"rdf.yaml": bytes(archive.LARGEST_RDF + 1)})
    with pytest.raises(PackageIntegrityError, match="it may have at most"):
        open_archive(path).description()


def test_a_size_that_is_a_lie_fills_no_memory(tmp_path):
    """64 MiB of zeros whose headers say 100 bytes."""
    bomb = zip_of(tmp_path / "p.zip", {"rdf.yaml": bytes(64 << 20)}, compress_type=8)
    data = bytearray(bomb.read_bytes())
    # The uncompressed size, in the local header and in the central directory (APPNOTE 4.3).
    for signature, at in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        struct.pack_into("<I", data, data.find(signature) + at, 100)
    bomb.write_bytes(data)
    opened = open_archive(bomb)
    tracemalloc.start()
    with pytest.raises(PackageIntegrityError, match="is damaged"):
        opened.read("rdf.yaml")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_only_deflate_is_unpacked(tmp_path, method):
    with pytest.raises(PackageFormatError, match="not packed by deflate"):
        open_archive(zip_of(tmp_path / "p.zip", FILES, compress_type=method))


def test_a_zip_with_a_name_twice_is_not_opened(tmp_path):
    twice = tmp_path / "twice.zip"
    with zipfile.ZipFile(twice, "w") as opened:
        opened.writestr("rdf.yaml", b"one")
        with pytest.warns(UserWarning, match="Duplicate"):
            opened.writestr("rdf.yaml", b"two")
    with pytest.raises(PackageIntegrityError, match="twice"):
        open_archive(twice)


def no_description(folder):
    return zip_of(folder / "p.zip", {"weights.onnx": b"x"}), "has no rdf.yaml: zip a package's"


def zipped_folder(folder):
    return zip_of(folder / "p.zip", {"model/rdf.yaml": b"x"}), 'it holds "model/rdf.yaml"'


def text_file(folder):
    (folder / "model.zip").write_text("these are words")
    return folder / "model.zip", "is no model package"


def truncated(folder):
    whole = zip_of(folder / "p.zip", FILES).read_bytes()
    (folder / "p.zip").write_bytes(whole[: len(whole) // 2])
    return folder / "p.zip", "truncated or damaged"


def damaged_directory(folder):
    whole = zip_of(folder / "p.zip", FILES).read_bytes()
    (folder / "p.zip").write_bytes(whole.replace(b"PK\x01\x02", b"PK\x01\x00", 1))
    return folder / "p.zip", "truncated or damaged"


def empty_folder(folder):
    return folder, "it has no rdf.yaml: give the folder that has one"


def folder_above(folder):
    folder_of(folder / "model", FILES)
    return folder, 'use the folder "model" in it'


def folder_above_of_the_zoo(folder):
    folder_of(folder / "model", {"bioimageio.yaml": b"x"})
    return folder, 'use the folder "model" in it'


@pytest.mark.parametrize(
    "make",
    [
        no_description,
        zipped_folder,
        text_file,
        truncated,
        damaged_directory,
        empty_folder,
        folder_above,
        folder_above_of_the_zoo,
    ],
)
def test_what_is_no_package_is_said_in_one_line(tmp_path, make):
    path, expected = make(tmp_path)
    with pytest.raises(PackageFormatError) as caught:
        open_archive(path)
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_damaged_entry_is_said(tmp_path):
    zipped = zip_of(tmp_path / "p.zip", FILES)
    zipped.write_bytes(zipped.read_bytes().replace(b"pixels", b"pixelz", 1))
    with pytest.raises(PackageIntegrityError, match="damaged"):
        open_archive(zipped).read("inside/a.npy")


@pytest.mark.parametrize("make", [folder_of, zip_of])
def test_a_missing_file_is_said(tmp_path, make):
    opened = open_archive(make(tmp_path / "package", FILES))
    with pytest.raises(PackageFormatError, match='has no file "b.npy"'):
        opened.read("b.npy")


def test_hashes_are_compared(tmp_path):
    # sha256sum of "abc" (FIPS 180-2, appendix B.1)
    digest = "BA7816BF8F01CFEA414140DE5DAE2223B00361A396177A9CB410FF61F20015AD"
    assert check_hash(b"abc", digest, "a", tmp_path) == b"abc"
    with pytest.raises(PackageIntegrityError, match="is not the file"):
        check_hash(b"abd", digest, "a", tmp_path)
