"""These functions read a data set's files on this machine, and prove that they are right."""

import gzip
import hashlib
import math
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from minigrad.data import sets


class DataError(Exception):
    """A set cannot be had. The message says what was tried, why it failed, and what to type."""


def parsed(content: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Return the array of this shape that an IDX file holds."""
    # An IDX header is a magic number and the length of each axis, 4 bytes each. The checksum has
    # proved both, so they are skipped. An array over bytes is read-only.
    return np.frombuffer(content, np.uint8, offset=4 + 4 * len(shape)).reshape(shape)


def examine(name: str, folder: Path) -> tuple[dict[str, bytes], list[str]]:
    """Return the contents of the right files in `folder`, and what is wrong with the others."""
    contents, problems = {}, []
    for file in sets.SHAPES:
        try:
            contents[file] = verified(name, file, read(folder, file))
        except (DataError, OSError) as error:
            problems.append(str(error))
    if problems == [f"{file} is missing" for file in sets.SHAPES]:
        problems = ["holds none of the files" if folder.is_dir() else "there is no such folder"]
    return contents, problems


def read(folder: Path, file: str) -> bytes:
    """Return the bytes of `file`, or of `file`.gz, in `folder`, as they are."""
    for path in (folder / file, folder / f"{file}.gz"):
        try:
            return path.read_bytes()
        except (FileNotFoundError, NotADirectoryError):
            continue
    raise DataError(f"{file} is missing")


def verified(name: str, file: str, raw: bytes) -> bytes:
    """Return `raw` without gzip if it is `file` of the set `name`; else raise DataError."""
    try:
        content = gzip.decompress(raw) if raw.startswith(b"\x1f\x8b") else raw
    except (EOFError, OSError, zlib.error) as error:
        raise DataError(f"{file} is truncated or damaged: {error}") from error
    digest = hashlib.sha256(content).hexdigest()
    owners = {
        d: (s, f) for s in sets.SHA256 for f, d in zip(sets.SHAPES, sets.SHA256[s], strict=True)
    }
    owner = owners.get(digest)
    if owner == (name, file):
        return content
    if owner:
        raise DataError(f"{file} is not that of {name}: it is {owner[1]} of {owner[0]}")
    size = 4 + 4 * len(sets.SHAPES[file]) + math.prod(sets.SHAPES[file])
    if len(content) < size:
        raise DataError(f"{file} is truncated: {len(content):,} of {size:,} bytes")
    raise DataError(f"{file} is damaged: its SHA-256 is {digest}")
