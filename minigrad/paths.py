"""Where files of the user's lie: home folders, and the cache that data and kernels share."""

import os
from pathlib import Path


def expand(name: str | Path) -> Path:
    """The path, with ~ and ~user as a shell replaces them. Raises FileNotFoundError where nobody
    knows that home folder: a folder whose name is ~ would help nobody."""
    text = os.path.expanduser(name)
    empty = os.environ.get("HOME") == "" and str(name).split("/")[0] == "~"  # would mean /
    if str(text).startswith("~") or empty:
        raise FileNotFoundError(f"{name}: there is no such home folder; write the path in full")
    return Path(text)


def cache_root() -> Path:
    """Where caches go: $XDG_CACHE_HOME/minigrad, or else ~/.cache/minigrad.

    A relative $XDG_CACHE_HOME is as good as unset, as its specification says: it would be another
    folder wherever the program starts. Raises FileNotFoundError if there is no home folder either.
    """
    for name in (os.environ.get("XDG_CACHE_HOME", ""), "~/.cache"):
        try:
            path = expand(name)
        except FileNotFoundError:
            continue
        if path.is_absolute():
            return path / "minigrad"
    raise FileNotFoundError("there is no home folder; set XDG_CACHE_HOME to a folder's full path")
