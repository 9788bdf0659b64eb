"""Compiled kernels are files on disk, in a folder whose name is a hash of all their sources."""

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
    """Return the folder, whose name is a hash of the sources of all kernels.

    numba's own cache overlooks edits in modules that a kernel imports, and the globals from there.
    With the hash in the name, any edit here leads to a new folder, and so takes effect.

    Raises FileNotFoundError if there is no place for the folder.
    """
    source = hashlib.sha256(f"{numba.__version__} {sys.implementation.cache_tag}".encode())
    for file in sorted(Path(__file__).parent.glob("*.py")):
        source.update(file.read_bytes())
    return cache_root() / f"kernels-{source.hexdigest()[:16]}"


class _State:
    """_State has the folder, or None if there is no place for it, and whether it can be written."""

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
        """Warn, and write no more files: without a cache the program is only slower to start."""
        self.writable = False
        warn(
            f"minigrad: {self.folder or 'a cache'} can't be used ({error.strerror or error}); "
            "kernels compile at every start. Set XDG_CACHE_HOME to a folder that can be written."
        )


_state = _State()

MOST = 500  # generated sources that are kept


def generated(name, text) -> str:
    """Write a generated source into the folder, and return its path; kernels are kept by files.

    Of more than MOST, the ones that were used the longest ago go. If nothing can be written, the
    path is of no file, and the loop is compiled in memory.
    """
    if _state.folder is None:
        return f"<{name}>"
    path = _state.folder / "loops" / f"{name}.py"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.exists():
            temporary = path.with_suffix(f".{uuid.uuid4().hex}")
            temporary.write_text(text, encoding="utf-8")
            os.replace(temporary, path)
            _drop_old(path.parent)
        os.utime(path)
    except OSError:
        pass  # saving the compiled loop says so
    return str(path)


def _drop_old(folder):
    sources = sorted(folder.glob("*.py"), key=lambda path: path.stat().st_mtime)
    for path in sources[:-MOST]:
        for file in (path, *folder.parent.glob(f"*{path.stem}*.nbc")):
            file.unlink(missing_ok=True)


class Cache(FunctionCache):
    """numba asks a Cache for compiled versions of a function, and gives it new ones.

    numba's own cache numbers its files and keeps an index of them. Two processes that start at once
    can give one number to two versions, so that code for float32 runs on float64 arrays. It also
    ignores a folder that is read-only. Here a file's name depends on everything that its code does.
    """

    def __init__(self, function, shared=False):
        self._py_func, self._shared = function, shared  # a function, or `shareable`'s loop over it
        self._cache_path = str(_state.folder)

    def _file(self, signature, codegen):
        function = self._py_func
        code = function.__code__  # its file counts, too: benchmarks compile their own
        source = hashlib.sha256(Path(code.co_filename).read_bytes()).hexdigest()
        key = (source, code.co_firstlineno, self._shared, self._index_key(signature, codegen))
        qualname = function.__qualname__.replace("<", "").replace(">", "")  # Windows forbids them
        name = f"{function.__module__.rpartition('.')[2]}.{qualname}"
        return _state.folder / f"{name}-{hashlib.sha256(repr(key).encode()).hexdigest()[:24]}.nbc"

    def load_overload(self, signature, context):
        """Return the compiled version for a signature, or None if there is no sound file of it."""
        if _state.folder is None:
            return None
        context.refresh()
        try:
            content = self._file(signature, context.codegen()).read_bytes()
        except OSError:
            return None
        digest, payload = content[:32], content[32:]
        if hashlib.sha256(payload).digest() != digest:  # damaged, for instance by a power cut
            return None
        return CompileResult._rebuild(context, *pickle.loads(payload))

    def save_overload(self, signature, result):
        """Write a compiled version, if it can be stored and the folder can be written."""
        if not _state.writable:
            return
        if result.lifted or result.library.has_dynamic_globals:  # these hold addresses in memory
            return
        payload = dumps(result._reduce())
        file = self._file(signature, result.codegen)
        temporary = file.with_suffix(f".{uuid.uuid4().hex}")
        try:
            file.parent.mkdir(parents=True, exist_ok=True)  # it may have been deleted since
            try:
                temporary.write_bytes(hashlib.sha256(payload).digest() + payload)
                os.replace(temporary, file)
            finally:
                temporary.unlink(missing_ok=True)
        except OSError as error:
            _state.give_up(error)

    def flush(self):
        """Do nothing: numba calls this to forget old files, but here the folder's name does so."""
