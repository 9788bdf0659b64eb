"""A checkpoint is a file of named arrays with a checksum over every byte, and is whole or absent.

The format is safetensors, which PyTorch reads as well and which cannot carry code.
"""

import errno
import hashlib
import json
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

# CHECKSUM is how the checksum looks in the file, where the metadata are JSON within a JSON string.
# BLANK takes its place while it is computed.
CHECKSUM = rb'\\"sha256\\": \\"([0-9a-f]{64})\\"'
BLANK = b"0" * 64
DTYPES = "bool int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split()


class CheckpointError(Exception):
    """A file is missing, damaged, or not a checkpoint. The message says which file, and why."""


def save(path, arrays: Mapping[str, np.ndarray], /, **metadata) -> None:
    """Write named arrays, and metadata that JSON can hold, to path, replacing any file there.

    Raises ValueError for anything that `load` could not return unchanged. After this or any other
    error, such as a full disk (OSError), the old file at path is still there, whole.
    """
    contiguous = {name: storable(name, array) for name, array in arrays.items()}
    if "sha256" in metadata:
        raise ValueError("save: the metadata's name sha256 is reserved for the file's checksum")
    try:
        text = json.dumps({"sha256": BLANK.decode()} | metadata, allow_nan=False)
        changed = [k for k, value in json.loads(text).items() if value != metadata.get(k, value)]
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"save: JSON cannot hold the metadata {list(metadata)}: {error}") from None
    if changed:
        raise ValueError(
            f"save: JSON would change the metadata's {', '.join(changed)}: give text, numbers, "
            "lists, and dictionaries whose keys are text"
        )
    content = _safetensors().save(contiguous, {"minigrad": text})
    start, stop = _checksum_place(content)
    content = content[:start] + _checksum(content) + content[stop:]
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def storable(name, array):
    """Return the array in row-major order and native byte order, if `load` could read it."""
    if not isinstance(name, str) or name == "__metadata__":
        raise ValueError(f"save: {name!r} cannot name an array: give text, but not __metadata__")
    try:
        name.encode()
    except UnicodeEncodeError:
        raise ValueError(f"save: {name!r} cannot name an array: it has no UTF-8") from None
    array = np.asarray(array, order="C")
    if array.dtype.newbyteorder("=").name not in DTYPES:
        raise ValueError(f"save: {name} has dtype {array.dtype}; it must be {', '.join(DTYPES)}")
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def _checksum_place(content):
    """Find the checksum. It is the first match, because the metadata come before the names."""
    found = re.search(CHECKSUM, content)
    return found.span(1) if found else None


def load(path) -> tuple[dict[str, np.ndarray], dict]:
    """Return the arrays and the metadata that `save` wrote.

    Raises CheckpointError if the file is missing, is not one of `save`'s, or differs in any byte.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    place = _checksum_place(content)
    if place is None:
        raise CheckpointError(f"{path} is damaged, or is no checkpoint of minigrad's: no checksum")
    start, stop = place
    if _checksum(content[:start] + BLANK + content[stop:]) != content[start:stop]:
        raise CheckpointError(
            f"{path} is damaged: its checksum does not fit, so bytes are missing or were changed"
        )
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = json.loads(header["__metadata__"]["minigrad"])
    del metadata["sha256"]
    return _safetensors().load(content), metadata


def latest(folder, name) -> tuple[dict[str, np.ndarray], dict]:
    """Return what `load` returns of a run's last weights, such as model-20000.safetensors.

    Raises CheckpointError if the folder has none of this name.
    """
    files = Path(folder).glob(f"{name}-*.safetensors")
    found = sorted(files, key=lambda path: (len(path.name), path.name))  # 100000 comes after 99999
    if not found:
        raise CheckpointError(f"{folder}: there is no {name}-….safetensors in this folder")
    return load(found[-1])


def _safetensors():
    """Import safetensors only for the first file: a training that saves nothing can do without."""
    import safetensors.numpy

    return safetensors.numpy


def _checksum(content):
    return hashlib.sha256(content).hexdigest().encode()


@contextmanager
def replacing(path) -> Iterator[Path]:
    """Yield a temporary path beside `path`, and rename that file to `path` after the block.

    If the block fails, or the machine stops in it, the old file at path is still there, whole. If
    path is a symbolic link, the link stays, and the file that it leads to is replaced.
    """
    link, path = path, Path(os.path.realpath(path))
    if path.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(link))
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp lets only the owner read its files
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder):
    """Make the new name survive a power cut, too. Windows has no such call, and needs none."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
