"""Files that appear whole or not at all, also when several write the same one."""

import threading
from pathlib import Path

import pytest

from care_bridge.atomic import partial_beside, replacing


def test_threads_that_write_one_file_leave_one_whole_text(tmp_path):
    file = tmp_path / "folder" / "text"
    texts = [letter * 100_000 for letter in "abc"]
    at_once = threading.Barrier(len(texts))
    failed = []

    def write(text):
        for _ in range(20):
            at_once.wait()
            try:
                with replacing(file) as partial:
                    partial.write_text(text)
            except OSError as error:
                failed.append(error)

    writers = [threading.Thread(target=write, args=(text,)) for text in texts]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    assert failed == []
    assert file.read_text() in texts
    assert list(file.parent.iterdir()) == [file]


def test_the_longest_legal_name_can_be_written(tmp_path):
    file = tmp_path / ("a" * 255)
    with replacing(file) as partial:
        partial.write_bytes(b"whole")
    assert file.read_bytes() == b"whole"


def test_after_an_error_the_file_is_as_before(tmp_path):
    file = tmp_path / "text"
    file.write_text("before")
    with pytest.raises(UnicodeEncodeError), replacing(file) as partial:
        partial.write_text("half and \udc80", "utf-8")
    assert file.read_text() == "before"
    assert list(tmp_path.iterdir()) == [file]


def test_no_two_partial_names_are_the_same():
    names = {partial_beside(Path("folder/file")) for _ in range(1000)}
    assert len(names) == 1000
    assert {name.parent for name in names} == {Path("folder")}
    assert all(name.name.startswith(".") for name in names)
