"""minigrad.paths: where files of the user's lie."""

import os
from pathlib import Path

import pytest

from minigrad.paths import cache_root, expand


@pytest.mark.parametrize(("value", "found"), [
    ("/a/b", "/a/b"), ("~/b", "/home/me/b"), ("~", "/home/me"),
    *[(useless, "/home/me/.cache") for useless in ("", "b", "./b", "~no-such-user/b")],
])  # fmt: skip
def test_the_cache_is_where_xdg_cache_home_says_in_full(value, found, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    monkeypatch.setenv("XDG_CACHE_HOME", value)
    assert cache_root() == Path(found, "minigrad")


@pytest.mark.parametrize("home", ["", "somewhere", None])
def test_without_a_home_folder_the_message_says_what_to_set(home, monkeypatch):
    """HOME empty, relative, or not set for a user whom the system does not know."""
    monkeypatch.setenv("HOME", home or "")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if home is None:
        monkeypatch.delenv("HOME")
        monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as it is documented
    with pytest.raises(FileNotFoundError, match="set XDG_CACHE_HOME"):
        cache_root()


def test_a_tilde_is_never_a_folders_name(monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    assert expand("~/a") == Path("/home/me/a") and expand("a/~") == Path("a/~")
    assert expand(Path("~")) == Path("/home/me")
    with pytest.raises(FileNotFoundError, match="~no-such-user/a: there is no such home"):
        expand("~no-such-user/a")
    monkeypatch.setenv("HOME", "")
    with pytest.raises(FileNotFoundError, match="~/a: there is no such home"):
        expand("~/a")
