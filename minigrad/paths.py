"""These functions find the user's folders: home, and the cache that data and kernels share."""

import os
from pathlib import Path


def expand(name: str | Path) -> Path:
    """Return the path with ~ and ~user replaced as a shell replaces them.

    Raises FileNotFoundError if there is no such home, rather than name a folder ~.
    """
    text = os.path.expanduser(name)
    empty = os.environ.get("HOME") == "" and str(name).split("/")[0] == "~"  # ~ would mean /
    if str(text).startswith("~") or empty:
        raise FileNotFoundError(f"{name}: there is no such home folder; write the path in full")
    return Path(text)


def cache_root() -> Path:
    """Return the folder for caches: $XDG_CACHE_HOME/minigrad, or else ~/.cache/minigrad.

    A relative $XDG_CACHE_HOME is ignored, as its specification says, because it would be another
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
