"""Files that are either whole or not there."""

import os
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import safetensors.numpy


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


def save_weights(path, state: dict[str, np.ndarray]) -> None:
    """Write a `state_dict` as safetensors, which PyTorch reads as well."""
    contiguous = {name: np.asarray(array, order="C") for name, array in state.items()}
    with replacing(path) as temporary:
        temporary.write_bytes(safetensors.numpy.save(contiguous))


def load_weights(path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file by name, for `load_state_dict`."""
    return safetensors.numpy.load_file(path)
