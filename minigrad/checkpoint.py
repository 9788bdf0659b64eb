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
    finally:
        temporary.unlink(missing_ok=True)


def save_weights(path, state: dict[str, np.ndarray]) -> None:
    """Write a `state_dict` as safetensors, which PyTorch reads as well."""
    with replacing(path) as temporary:
        safetensors.numpy.save_file(state, temporary)


def load_weights(path) -> dict[str, np.ndarray]:
    """The arrays of a safetensors file by name, for `load_state_dict`."""
    return safetensors.numpy.load_file(path)
