"""MNIST and Fashion-MNIST are found on this machine or fetched, verified, and read as arrays.

Each set is four IDX files, and both sets give them the same four names, so a name proves nothing.
A file is proved by the SHA-256 of its uncompressed bytes, which is checked whenever it is read: a
set that is swapped, cut short or damaged is an error that says so. No other data ever replace it.

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
    """Return the set `name`, "mnist" or "fashion-mnist"; fetch it if it is not on this machine.

    Raises DataError if the set cannot be had, or if the folder that `data_dir`, or else
    $MINIGRAD_DATA, names does not hold it; ValueError for any other name, or an empty `data_dir`.
    """
    _, contents = _find(name, data_dir, progress=True)
    return Dataset(*(parsed(contents[file], shape) for file, shape in sets.SHAPES.items()))


def find_or_fetch(name: str, data_dir: str | Path | None = None, progress: bool = True) -> Path:
    """Return the folder that holds the four verified files of `name`. Raises what `load` raises."""
    return _find(name, data_dir, progress)[0]


def _find(name: str, data_dir: str | Path | None, progress: bool) -> tuple[Path, dict[str, bytes]]:
    """Return the folder, and each file's uncompressed bytes, which verifying has read already."""
    if name not in sets.SHA256:
        raise ValueError(f"no data set is named {name!r}: choose from {', '.join(sets.SHA256)}")
    if data_dir == "":  # probably from a shell variable that is not set
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
