"""MNIST and Fashion-MNIST: found on this machine or fetched, verified, and read as arrays.

Each set is four IDX files, and both sets give them the same four names, so a name proves nothing.
What proves a file is the SHA-256 of its uncompressed bytes, checked whenever it is read: a set that
is swapped, cut short or damaged is an error that says so. No other data ever stands in for it.

    python -m minigrad.data mnist fashion-mnist     # fetch ahead, and say where the files lie
"""

import os
from pathlib import Path

from minigrad.console import warn
from minigrad.data import sets
from minigrad.data.files import DataError, examine, parsed
from minigrad.data.sets import Dataset
from minigrad.data.sources import fetch
from minigrad.paths import cache_root, expand

__all__ = ["DataError", "Dataset", "find_or_fetch", "load"]


def load(name: str, data_dir: str | Path | None = None) -> Dataset:
    """The set `name`, "mnist" or "fashion-mnist", fetched if this machine does not have it.

    Raises DataError if it cannot be had, or if a folder is named, by `data_dir` or else by
    $MINIGRAD_DATA, and does not hold it; ValueError for any other name, or an empty `data_dir`.
    """
    _, contents = _find(name, data_dir, progress=True)
    return Dataset(*(parsed(contents[file], shape) for file, shape in sets.SHAPES.items()))


def find_or_fetch(name: str, data_dir: str | Path | None = None, progress: bool = True) -> Path:
    """The folder that holds the four files of `name`, verified. Raises what `load` raises."""
    return _find(name, data_dir, progress)[0]


def _find(name: str, data_dir: str | Path | None, progress: bool) -> tuple[Path, dict[str, bytes]]:
    """The folder, and each file's uncompressed bytes: verifying has read them already."""
    if name not in sets.SHA256:
        raise ValueError(f"no data set is named {name!r}: choose from {', '.join(sets.SHA256)}")
    if data_dir == "":  # fetching instead is not what somebody means whose variable was not set
        raise ValueError("data_dir is empty: name a folder, or leave it out")
    named = data_dir or os.environ.get("MINIGRAD_DATA")
    try:
        folder = expand(named) if named else cache_root()
    except FileNotFoundError as error:
        raise DataError(f"{name} has no place: {error}") from None
    cache = folder / name
    if named:
        folders = [cache, folder]
    else:
        folders = [cache, *(Path(prefix, "share/datasets", name) for prefix in sets.PREFIXES)]
    tried = []
    for folder in folders:
        contents, problems = examine(name, folder)
        if not problems:
            return folder, contents
        tried.append(f"  {folder}: {'; '.join(problems)}\n")
        if not named and (contents or len(problems) > 1):  # something is there, but not the set
            warn(f"minigrad: cannot use {folder}: {'; '.join(problems)}")
    if named:  # fetching now would leave the user believing that this folder had been used
        raise DataError(
            f"{name} is not in the folder that --data-dir or MINIGRAD_DATA names. Looked in\n"
            f"{''.join(tried)}for {', '.join(sets.SHAPES)}, each plain or .gz.\n"
            "To have them fetched instead, leave out --data-dir, unset MINIGRAD_DATA, and type:\n"
            f"  python -m minigrad.data {name}"
        )
    return cache, fetch(name, cache, tried, progress)
