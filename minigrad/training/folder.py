"""A run knows its files in a folder, holds the folder's lock, and sets an earlier run aside."""

import json
import os
import re
import weakref
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows has no fcntl, so two processes in one folder go unnoticed there
    fcntl = None  # type: ignore[assignment]

WEIGHTS = re.compile(r"[a-z]\w*-\d{5,}\.safetensors")  # such as model-20000.safetensors
RUN_FILES = re.compile(  # names of files that every run leaves, besides the lock
    rf"{WEIGHTS.pattern}|checkpoint\.safetensors|metrics\.jsonl|summary\.json|curves\.png"
)
UNFINISHED = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.\w+")  # a file's name while it is written


class Abort(Exception):
    """The run cannot go on. The message says why and what to do."""


class Lock:
    """A Lock on a folder is held until release(), or until the process ends in any way.

    Raises Abort if another run holds the lock, in this process or in another.
    """

    def __init__(self, folder):
        self.path = folder / ".lock"
        self.made = not os.path.lexists(self.path)
        file = self._open()
        while not os.path.exists(self.path) or not os.path.samestat(
            os.fstat(file), os.stat(self.path)
        ):  # its holder has removed this file, and another run may hold a new one
            _unlock(file, os.getpid())
            file = self._open()
        self.release = weakref.finalize(self, _unlock, file, os.getpid())

    def _open(self):
        file = os.open(self.path, os.O_CREAT | os.O_RDWR, 0o644)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(file)
            if not isinstance(error, BlockingIOError):
                raise
            raise Abort(
                f"another process or thread is working in {self.path.parent}; wait for it, or "
                "choose another --run or --out"
            ) from None
        return file

    def undo(self):
        """Release the lock, and remove its file unless that was there before."""
        if self.made:
            with suppress(OSError):
                self.path.unlink()
        self.release()


def _unlock(file, pid):
    """Give the lock up, unless this is a forked copy of the process that took it."""
    if fcntl is not None and os.getpid() == pid:
        fcntl.flock(file, fcntl.LOCK_UN)  # close alone would leave the lock to forked copies
    os.close(file)


def is_run_file(name, files):
    """Return whether every run writes a file of this name, or it fits a pattern in `files`."""
    return bool(RUN_FILES.fullmatch(name)) or any(fnmatchcase(name, pattern) for pattern in files)


def earlier_run(folder, files=()):
    """Return the names of an earlier run's files in the folder; none if no file has such a name.

    files: patterns for the names of files that a run writes besides those of every run

    A run is recognised by weights beside a summary or metrics, or by metrics beside a lock, and
    several runs by their common summary. Raises Abort if there are files with such names but no
    run, or if the folder can't be made.
    """
    if folder.is_symlink() and not folder.exists():
        raise Abort(
            f"{folder} is a link to {os.readlink(folder)}, which does not exist; make that folder, "
            "or choose another --out"
        )
    if not folder.exists():
        return []
    if not folder.is_dir():
        raise Abort(f"{folder} is a file, not a folder; choose another --out")
    names = sorted(name for name in os.listdir(folder) if is_run_file(name, files))
    metrics = "metrics.jsonl" in names and _are_metrics(folder / "metrics.jsonl")
    known = (
        (metrics or "summary.json" in names) and any(WEIGHTS.fullmatch(name) for name in names)
        or metrics and (folder / ".lock").is_file()
        or is_summary_of_several(folder / "summary.json")
    )  # fmt: skip
    if names and not known:
        raise Abort(
            f"{folder} is not an earlier run's, and a run would overwrite {', '.join(names)} in "
            "it; move what is there, or choose another --out"
        )
    return names


def _are_metrics(path):
    """Return whether a run wrote this file: its first line, if there is one, shows that."""
    try:
        with open(path, encoding="utf-8") as file:
            first = file.readline()
        return not first or {"iteration", "seconds"} <= json.loads(first).keys()
    except (OSError, ValueError, AttributeError):
        return False


def is_summary_of_several(path):
    """Return whether the file at path is the summary of several runs."""
    try:
        return json.loads(path.read_text(encoding="utf-8")).keys() == {"runs", "together"}
    except (OSError, ValueError, AttributeError):
        return False


def set_aside(folder, names):
    """Move these files into a new folder beside this one, or beside the folder that it links to.

    Returns the new folder's path. All of them are moved or none; other files and the lock stay.
    """
    target = folder.resolve()
    archive = _free(target, Path.mkdir)
    moved = []
    try:
        (archive / ".lock").touch()  # marks the new folder as a run's
        for name in names:
            os.rename(target / name, archive / name)
            moved.append(name)
    except BaseException:
        for name in moved:
            os.rename(archive / name, target / name)
        (archive / ".lock").unlink(missing_ok=True)
        archive.rmdir()
        raise
    return archive


def _free(path, make):
    """Make the first of path.1, path.2, … that does not exist, and return it."""
    number = 1
    while True:
        try:
            copy = path.parent / f"{path.name}.{number}"
            make(copy)
            return copy
        except FileExistsError:
            number += 1


def make_room(path, replace, files=()):
    """Make room for the summary of several runs.

    An earlier summary of several runs is set aside, unless `replace` is true, and so is a single
    run that has its summary there. Returns the new path of what was set aside, or None. Raises
    Abort if there is anything else.
    """
    if not os.path.lexists(path):
        return None
    if is_summary_of_several(path):
        if replace:
            return None
        archive = _free(path, lambda copy: copy.touch(exist_ok=False))
        os.replace(path, archive)
        return archive
    if replace or not RUN_FILES.fullmatch(path.name):
        raise Abort(f"{path} is not a summary of several runs; move it, or choose another --out")
    lock = Lock(path.parent)
    try:
        return set_aside(path.parent, earlier_run(path.parent, files))
    finally:
        lock.undo()


def remove_unfinished(folder, files=()):
    """Remove unfinished files that a killed run left: their names contain a run file's name."""
    for name in os.listdir(folder):
        unfinished = UNFINISHED.fullmatch(name)
        if unfinished and is_run_file(unfinished[1], files):
            (folder / name).unlink()
