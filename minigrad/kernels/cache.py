"""Compiled kernels on disk: a file for each, in a folder named after the source of all of them."""

import hashlib
import os
import pickle
import sys
import uuid
from pathlib import Path

import numba
from numba.core.caching import FunctionCache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from minigrad.console import warn
from minigrad.paths import cache_root


def _folder():
    """numba's own cache does not see an edit in a module that a kernel imports, and it freezes
    globals; with the hash in the name, whoever changes a line here runs the line they changed.

    Raises FileNotFoundError if there is no place for it.
    """
    source = hashlib.sha256(f"{numba.__version__} {sys.implementation.cache_tag}".encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        source.update(file.read_bytes())
    return cache_root() / f"kernels-{source.hexdigest()[:16]}"


class _State:
    """The folder, None if there is no place for one, and whether files can be put there."""

    def __init__(self):
        self.folder, self.writable = None, True
        try:
            self.folder = _folder()
            if not self.folder.is_dir():
                self.folder.mkdir(parents=True, exist_ok=True)
                warn("minigrad: compiling the kernels for this machine, once (some 15 to 30 s).")
        except OSError as error:
            self.give_up(error)

    def give_up(self, error):
        """A cache is a convenience: without one the program is slow to start, and goes on."""
        self.writable = False
        warn(
            f"minigrad: {self.folder or 'a cache'} can't be used ({error.strerror or error}); "
            "kernels compile at every start. Set XDG_CACHE_HOME to a folder that can be written."
        )


_state = _State()


class Cache(FunctionCache):
    """What numba asks for compiled versions of a function, and gives new ones to.

    numba's own numbers the files and keeps an index of them. Two processes that start at once can
    give one number to two versions, and float64 arrays then meet code for float32; and it takes no
    notice of a folder that can only be read. Here a file is named by all that it depends on.
    """

    def __init__(self, function):
        self._py_func = function
        self._cache_path = str(_state.folder)

    def _file(self, signature, codegen):
        function = self._py_func
        code = function.__code__  # its file counts too: the benchmarks compile functions of theirs
        source = hashlib.sha256(Path(code.co_filename).read_bytes()).hexdigest()
        key = (source, code.co_firstlineno, self._index_key(signature, codegen))
        qualname = function.__qualname__.replace("<", "").replace(">", "")  # Windows has no such
        name = f"{function.__module__.rpartition('.')[2]}.{qualname}"
        return _state.folder / f"{name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.nbc"

    def load_overload(self, signature, context):
        if _state.folder is None:
            return None
        context.refresh()
        try:
            content = self._file(signature, context.codegen()).read_bytes()
        except OSError:
            return None
        digest, payload = content[:32], content[32:]
        if hashlib.sha256(payload).digest() != digest:  # after a power cut, say
            return None
        return CompileResult._rebuild(context, *pickle.loads(payload))

    def save_overload(self, signature, result):
        if not _state.writable:
            return
        if result.lifted or result.library.has_dynamic_globals:  # which hold addresses of today
            return
        payload = dumps(result._reduce())
        file = self._file(signature, result.codegen)
        temporary = file.with_suffix(f".{uuid.uuid4().hex}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)  # it may have been emptied meanwhile
            try:
                temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
                os.replace(temporary, file)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            _state.give_up(error)

    def flush(self):
        """numba's word for forgetting what is on disk; the folder's name does that here."""
