"""What a manifest remembers of results, and what it makes of damage."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest

from care_bridge.atomic import partial_beside, remove_leftovers
from care_bridge.errors import ImageError
from care_bridge.lock import lock_file
from care_bridge.runtime.manifest import (
    FAILED,
    MANIFEST,
    RESTORED,
    STARTED,
    Recipe,
    Record,
    SourceState,
    open_manifest,
    read_records,
)

RECIPE = Recipe("cells", "ab" * 32, {"dtype": "float32"}, "1.0")
STATE = SourceState("a.tif", 100, 12345)


def record(status, **changes):
    return dataclasses.replace(Record(status, "a.tif", STATE, RECIPE), **changes)


def written(folder, *records):
    with open_manifest(folder) as manifest:
        for each in records:
            manifest.add(each)
    return folder / MANIFEST


def test_a_line_is_json_that_names_all_that_a_result_depends_on(tmp_path):
    path = written(tmp_path, record(RESTORED, more={"seconds": 1.5}))
    (line,) = path.read_text().splitlines()
    told = json.loads(line)
    del told["time"]
    assert told == {
        "status": "restored",
        "source": "a.tif",
        "size": 100,
        "mtime_ns": 12345,
        "target": "a.tif",
        "model": "cells",
        "rdf_sha256": "ab" * 32,
        "options": {"dtype": "float32"},
        "version": "1.0",
        "seconds": 1.5,
    }


BEFORE = dataclasses.replace(STATE, mtime_ns=1)
HISTORIES = {
    "started": ([record(STARTED)], STARTED, STATE),
    "restored": ([record(STARTED), record(RESTORED)], RESTORED, STATE),
    "failed": ([record(STARTED), record(FAILED)], None, None),
    "restored-then-failed-again": (
        [record(RESTORED, state=BEFORE), record(STARTED, replaces=True), record(FAILED)],
        RESTORED,
        BEFORE,
    ),
}


@pytest.mark.parametrize("case", HISTORIES)
def test_what_is_known_of_a_target(tmp_path, case):
    history, status, state = HISTORIES[case]
    known = read_records(written(tmp_path, *history)).of("a.tif")
    assert (known and known.status) == status
    assert (known and known.state) == state


def test_a_torn_last_line_is_dropped_and_the_next_one_is_whole(tmp_path):
    path = written(tmp_path, record(RESTORED), record(STARTED, target="b.tif"))
    path.write_bytes(path.read_bytes()[:-30])
    assert read_records(path).of("a.tif")
    assert read_records(path).of("b.tif") is None
    written(tmp_path, record(STARTED, target="c.tif"))
    targets = [json.loads(line)["target"] for line in path.read_text().splitlines()]
    assert targets == ["a.tif", "c.tif"]


def test_a_damaged_line_is_named(tmp_path):
    path = written(tmp_path, record(STARTED), record(RESTORED))
    path.write_text("not json\n" + path.read_text())
    with pytest.raises(ImageError, match=r"line 1 of .*jsonl is no record"):
        read_records(path)


@pytest.mark.parametrize("begun", [True, False], ids=["begun", "nothing-written-yet"])
def test_a_second_process_is_refused_and_leaves_the_manifest(tmp_path, begun):
    script = (
        "import sys, pathlib\n"
        "from care_bridge.runtime.manifest import open_manifest\n"
        "with open_manifest(pathlib.Path(sys.argv[1])): pass\n"
    )
    other = [sys.executable, "-c", script, str(tmp_path)]
    with open_manifest(tmp_path) as manifest:
        if begun:
            manifest.add(record(STARTED))
        refused = subprocess.run(other, capture_output=True, text=True, check=False)
        manifest.add(record(RESTORED))
    assert "another process restores into" in refused.stderr
    assert refused.returncode == 1
    assert read_records(tmp_path / MANIFEST).of("a.tif")
    subprocess.run(other, check=True)


def test_a_manifest_that_goes_between_opening_and_locking_is_made_anew(tmp_path, monkeypatch):
    removed = []

    def lock_late(stream):
        if not removed:
            removed.append((tmp_path / MANIFEST).unlink())
        return lock_file(stream)

    monkeypatch.setattr("care_bridge.lock.lock_file", lock_late)
    path = written(tmp_path, record(RESTORED))
    assert read_records(path).of("a.tif")


def test_a_manifest_that_nothing_was_written_to_is_not_left(tmp_path):
    with open_manifest(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_the_parts_of_a_folder_count_as_one(tmp_path):
    image = tmp_path / "a.ome.zarr"
    (image / "0").mkdir(parents=True)
    (image / "zarr.json").write_bytes(b"12345")
    (image / "0" / "chunk").write_bytes(b"123")
    before = SourceState.of(image, "a.ome.zarr")
    assert before.size == 8
    os.utime(image / "0" / "chunk", ns=(0, before.mtime_ns + 7_000_000_000))
    assert SourceState.of(image, "a.ome.zarr").mtime_ns == before.mtime_ns + 7_000_000_000


def test_what_cannot_be_looked_at_is_named(tmp_path):
    (tmp_path / "a.tif").symlink_to(tmp_path / "a.tif")
    with pytest.raises(ImageError, match=r"a\.tif cannot be looked at: "):
        SourceState.of(tmp_path / "a.tif", "a.tif")


def test_a_leftover_that_cannot_be_removed_stays(tmp_path, monkeypatch):
    alive = partial_beside(tmp_path / "a.tif")
    machine, process, _, rest = alive.name.split("-")
    locked, free = (
        tmp_path / f"{machine}-{process}-{token}-{rest}" for token in ("0" * 8, "1" * 8)
    )
    locked.touch()
    free.touch()
    unlink = type(locked).unlink

    def refuse(path, missing_ok=False):
        if path == locked:
            raise PermissionError(13, "Permission denied")
        unlink(path, missing_ok)

    monkeypatch.setattr(type(locked), "unlink", refuse)
    assert remove_leftovers(tmp_path) == 1
    assert list(tmp_path.iterdir()) == [locked]


def test_leftovers_of_dead_processes_are_removed_and_no_others(tmp_path):
    script = (
        "import sys, pathlib\n"
        "from care_bridge.atomic import partial_beside\n"
        "path = partial_beside(pathlib.Path(sys.argv[1]))\n"
        "path.write_bytes(b'half') if sys.argv[2] == 'file' else path.mkdir()\n"
    )
    for kind in ("file", "folder"):
        command = [sys.executable, "-c", script, str(tmp_path / "a.tif"), kind]
        subprocess.run(command, check=True)
    dead = {path.name for path in tmp_path.iterdir()}
    alive = partial_beside(tmp_path / "a.tif")
    machine, _, token, rest = alive.name.split("-")
    kept = {
        alive.name,
        f"{machine}-{os.getppid()}-{token}-{rest}",
        f".00000000-{os.getpid()}-00000000-{rest}",
        ".mine.partial",
        "a.tif",
    }
    for name in kept:
        (tmp_path / name).write_bytes(b"whole")
    # The number of this process, which another one had before.
    (tmp_path / f"{machine}-{os.getpid()}-00000000-{rest}").write_bytes(b"half")
    assert len(dead) == 2
    assert remove_leftovers(tmp_path) == 3
    assert {path.name for path in tmp_path.iterdir()} == kept
