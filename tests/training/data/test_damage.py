"""minigrad.data: what is not the set is refused by the name of its file, with the cause."""

import gzip
from pathlib import Path

import pytest

from minigrad import data
from tests.training.data.small import (
    IMAGES,
    LABELS,
    SETS,
    below,
    content,
    is_small,
    set_mirrors,
    write,
)


def spoil_swap(path):
    path.write_bytes(content("fashion-mnist", path.name))


def spoil_cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def spoil_bit(path):
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)


def spoil_zip(path):
    path.with_name(f"{path.name}.gz").write_bytes(gzip.compress(path.read_bytes())[:-20])
    path.unlink()


def spoil_zip_bit(path):
    raw = bytearray(gzip.compress(path.read_bytes()))
    raw[10] = 255  # the first byte after gzip's header: a kind of block that does not exist
    path.with_name(f"{path.name}.gz").write_bytes(raw)
    path.unlink()


SPOILS = [
    (spoil_swap, f"{LABELS} is not that of mnist: it is {LABELS} of fashion-mnist"),
    (spoil_cut, f"{LABELS} is truncated: 127 of 128 bytes"),
    (lambda path: path.write_bytes(b""), f"{LABELS} is truncated: 0 of 128 bytes"),
    (spoil_bit, f"{LABELS} is damaged: its SHA-256 is "),
    (spoil_zip, f"{LABELS} is truncated or damaged: Compressed file ended"),
    (spoil_zip_bit, f"{LABELS} is truncated or damaged: "),
    (Path.unlink, f"{LABELS} is missing"),
    (lambda path: (path.unlink(), path.mkdir()), "Is a directory"),
]


@pytest.mark.parametrize(("spoil", "cause"), SPOILS)
def test_a_named_folder_must_be_right(tmp_path, cache, spoil, cause, server, monkeypatch):
    """It is an error that names the file and the cause, though the set could be had elsewhere."""
    write(cache / "mnist", "mnist")
    set_mirrors(monkeypatch, server.url("mnist/"))
    spoil(write(tmp_path / "mine", "mnist") / LABELS)
    with pytest.raises(data.DataError) as error:
        data.load("mnist", tmp_path / "mine")
    assert cause in str(error.value) and str(tmp_path / "mine") in str(error.value)
    assert f"{IMAGES} is" not in str(error.value)  # the files that are right are not blamed
    assert server.asked == []


@pytest.mark.parametrize(("spoil", "cause"), SPOILS[:-1])
def test_a_bad_file_in_the_cache_is_fetched_again(cache, spoil, cause, server, monkeypatch, capsys):
    set_mirrors(monkeypatch, server.url("mnist/"))
    spoil(write(cache / "mnist", "mnist") / LABELS)
    assert is_small("mnist", data.load("mnist"))
    assert server.asked == [f"/mnist/{LABELS}.gz"]  # and only that one
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith("minigrad: cannot use") and cause in first
    assert second.startswith("minigrad: fetching mnist: ")
    assert is_small("mnist", data.load("mnist")) and len(server.asked) == 1


@pytest.mark.parametrize(("name", "other"), [SETS, SETS[::-1]])
def test_the_two_sets_cannot_be_swapped(tmp_path, cache, name, other, server, monkeypatch, capsys):
    set_mirrors(monkeypatch, server.url(f"{other}/"))
    for data_dir in (write(tmp_path / "mine", other), None):
        with pytest.raises(data.DataError, match=f"{IMAGES} is not that of {name}: .* {other}"):
            data.load(name, data_dir)
    assert below(cache) == set()
    set_mirrors(monkeypatch, server.url(f"{name}/"))
    write(cache / name, other)
    assert is_small(name, data.load(name))
    assert f"it is {IMAGES} of {other}" in capsys.readouterr().err


def test_two_files_of_one_set_cannot_be_swapped(tmp_path):
    folder = write(tmp_path / "mine", "mnist")
    (folder / LABELS).write_bytes(content("mnist", "t10k-labels-idx1-ubyte"))
    with pytest.raises(data.DataError, match="it is t10k-labels-idx1-ubyte of mnist"):
        data.load("mnist", folder)


@pytest.mark.parametrize("variable", [False, True])
@pytest.mark.parametrize(
    ("make", "cause"),
    [
        (Path.mkdir, "holds none of the files"),
        (Path.touch, "there is no such folder"),
        (Path.exists, "there is no such folder"),
    ],
)
def test_a_named_folder_without_the_set(tmp_path, make, cause, variable, monkeypatch):
    folder = tmp_path / "mine"
    make(folder)
    monkeypatch.setenv("MINIGRAD_DATA", str(folder) if variable else str(tmp_path / "another"))
    with pytest.raises(data.DataError) as error:
        data.load("mnist", None if variable else folder)
    message = str(error.value)
    assert f"{folder}: {cause}" in message
    assert message.endswith("\n  python -m minigrad.data mnist") and "MINIGRAD_DATA" in message


def test_an_installed_package_that_is_spoiled_is_not_used_in_silence(
    tmp_path, server, monkeypatch, capsys
):
    set_mirrors(monkeypatch, server.url("fashion-mnist/"))
    spoil_bit(write(tmp_path / "usr/share/datasets/fashion-mnist", "fashion-mnist") / LABELS)
    assert is_small("fashion-mnist", data.load("fashion-mnist"))
    assert f"{LABELS} is damaged" in capsys.readouterr().err


def test_unknown_name():
    with pytest.raises(ValueError, match="'cifar': choose from mnist, fashion-mnist"):
        data.load("cifar")
