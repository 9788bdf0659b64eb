"""checkpoint.replacing: a file is the old one or the new one, whole, whatever happens meanwhile."""

import os
import stat
from pathlib import Path

import pytest

from minigrad.training.checkpoint import replacing

OLD, NEW = b"the old file" * 1000, b"the new one"


@pytest.fixture(params=["there is an old file", "there is none"])
def target(request, tmp_path):
    """A path to replace, and what stands there."""
    path = tmp_path / "file.bin"
    if request.param == "there is an old file":
        path.write_bytes(OLD)
    return path


def content(path):
    return path.read_bytes() if path.exists() else None


def test_success_puts_the_new_file_in_place_and_leaves_no_other(target):
    before = content(target)
    with replacing(target) as temporary:
        temporary.write_bytes(NEW)
        assert content(target) == before  # until the end of the block
        assert temporary.parent == target.parent  # a rename can't cross file systems
    assert target.read_bytes() == NEW
    assert os.listdir(target.parent) == [target.name]


@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_block_that_fails_leaves_the_old_file_whole_and_no_other(target, error):
    before = content(target)
    with pytest.raises(type(error)), replacing(target) as temporary:
        temporary.write_bytes(NEW)
        raise error
    assert content(target) == before
    assert os.listdir(target.parent) == ([target.name] if before else [])


def test_a_rename_that_fails_leaves_the_old_file_whole_and_no_other(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    with pytest.raises(OSError), replacing(folder) as temporary:
        temporary.write_bytes(NEW)
    assert folder.is_dir() and os.listdir(tmp_path) == ["folder"]


def test_two_writers_at_once_have_files_of_their_own(target):
    """Under one temporary name the second would write into, and rename, the first one's file."""
    with replacing(target) as first:
        first.write_bytes(OLD)
        with replacing(target) as second:
            assert first != second
            second.write_bytes(NEW)
        assert target.read_bytes() == NEW
        assert first.read_bytes() == OLD
    assert target.read_bytes() == OLD
    assert os.listdir(target.parent) == [target.name]


def test_a_file_is_on_the_disk_before_it_has_its_name_and_then_the_name_is(target, monkeypatch):
    """Otherwise a power cut after the rename can leave an empty file under the right name."""
    events = []

    def record(name):
        real = getattr(os, name)

        def recorded(*args):
            events.append((name, *(os.fstat(a).st_mode if name == "fsync" else a for a in args)))
            return real(*args)

        monkeypatch.setattr(os, name, recorded)

    record("fsync")
    record("replace")
    with replacing(target) as temporary:
        temporary.write_bytes(NEW)
    assert [event[0] for event in events[:2]] == ["fsync", "replace"]
    assert stat.S_ISREG(events[0][1]) and Path(events[1][2]) == target
    assert len(events) == 3 and stat.S_ISDIR(events[2][1]), "the folder was not synced"


def test_the_new_file_can_be_read_by_others(target):
    """mkstemp's files are their owner's alone: no use in a shared results folder."""
    with replacing(target) as temporary:
        temporary.write_bytes(NEW)
    assert stat.S_IMODE(target.stat().st_mode) & 0o444 == 0o444


def test_a_file_in_the_working_folder_needs_no_folder_in_its_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with replacing("plain") as temporary:
        temporary.write_bytes(NEW)
    assert os.listdir(tmp_path) == ["plain"]


def test_a_link_stays_and_the_file_that_it_leads_to_is_replaced(tmp_path):
    disk, here = tmp_path / "disk", tmp_path / "here"
    disk.mkdir()
    here.mkdir()
    (disk / "old").write_bytes(OLD)
    (here / "a").symlink_to("../disk/old")
    (here / "b").symlink_to("a")
    (here / "dangling").symlink_to("../disk/new")
    for name, target in (("a", "old"), ("b", "old"), ("dangling", "new")):
        with replacing(here / name) as temporary:
            assert temporary.parent == disk  # a rename can't cross file systems
            temporary.write_bytes(NEW + name.encode())
        assert (here / name).is_symlink() and not (disk / target).is_symlink()
        assert (disk / target).read_bytes() == NEW + name.encode()
    assert sorted(os.listdir(here)) == ["a", "b", "dangling"]
    assert sorted(os.listdir(disk)) == ["new", "old"]
    (here / "loop").symlink_to("loop")
    with pytest.raises(OSError, match="symbolic links.*loop"), replacing(here / "loop"):
        pass
    assert (here / "loop").is_symlink()
