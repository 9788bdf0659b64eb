"""Files that are either whole or not there: named arrays, with a checksum over every byte.

The format is safetensors, which PyTorch reads as well and which cannot carry code.
"""

import hashlib
import json
import os
import re
import tempfile
from collections.abc import Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors.numpy

# The checksum as it stands in the file, where metadata is a string of JSON within JSON, and what
# stands in its place while it is computed.
CHECKSUM = rb'\\"sha256\\": \\"([0-9a-f]{64})\\"'
BLANK = "0" * 64


class CheckpointError(Exception):
    """A file is missing, damaged, or not what it is taken for. Says which file, and why."""


def save(path, arrays: Mapping[str, np.ndarray], **metadata) -> None:
    """Write named arrays, and what JSON can hold besides, in place of what was at path.

    If it fails, for instance on a full disk (OSError), what was at path is still there, whole.
    """
    contiguous = {name: np.asarray(array, order="C") for name, array in arrays.items()}
    text = {"minigrad": json.dumps({"sha256": BLANK} | metadata)}
    content = safetensors.numpy.save(contiguous, text)
    with replacing(path) as temporary:
        temporary.write_bytes(content.replace(BLANK.encode(), _checksum(content), 1))


def load(path) -> tuple[dict[str, np.ndarray], dict]:
    """The arrays and the metadata that `save` wrote.

    Raises CheckpointError if the file is missing, not one of `save`'s, or differs in any byte.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise CheckpointError(f"{path}: {error.strerror}") from None
    found = re.search(CHECKSUM, content)
    if found is None:
        raise CheckpointError(f"{path} is damaged, or is no checkpoint of minigrad's: no checksum")
    start, stop = found.span(1)
    if _checksum(content[:start] + BLANK.encode() + content[stop:]) != found[1]:
        raise CheckpointError(
            f"{path} is damaged: its checksum does not fit, so bytes are missing or were changed"
        )
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    metadata = json.loads(header["__metadata__"]["minigrad"])
    del metadata["sha256"]
    return safetensors.numpy.load(content), metadata


def _checksum(content):
    return hashlib.sha256(content).hexdigest().encode()


@contextmanager
def replacing(path):
    """Gives a temporary path beside `path`; at the end of the block it takes path's place.

    If the block fails, or the machine stops in it, what was at path is still there, whole.
    """
    path = Path(path)
    handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=path.suffix, dir=path.parent)
    os.close(handle)
    temporary = Path(name)
    try:
        yield temporary
        with open(temporary, "rb+") as file:
            os.fsync(file.fileno())
        temporary.chmod(0o644)  # mkstemp's files are the owner's alone
        os.replace(temporary, path)
        _sync_folder(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


def _sync_folder(folder):
    """So that the new name, too, survives a power cut. Windows has no such call, and no need."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
