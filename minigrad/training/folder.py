"""A run's folder: which files in it are a run's, its lock, and how an earlier run is set aside."""

import json
import os
import re
import weakref
from contextlib import suppress
from fnmatch import fnmatchcase
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows: no locks, so two processes in one folder go unnoticed there
    fcntl = None  # type: ignore[assignment]

WEIGHTS = re.compile(r"[a-z]\w*-\d{5,}\.safetensors")  # such as model-20000.safetensors
OURS = re.compile(  # what every run leaves, beside the lock
    rf"{WEIGHTS.pattern}|checkpoint\.safetensors|metrics\.jsonl|summary\.json|curves\.png"
)
TORN = re.compile(r"\.(.+)\.[a-z0-9_]{8}\.\w+")  # one of these while it is being written


class Abort(Exception):
    """The run cannot go on. The message says why and what to do."""


class Lock:
    """Held until release(), or until the process ends, in any way.

    Raises Abort if another run holds it, in this process or in another.
    """

    def __init__(self, folder):
        self.path = folder / ".lock"
        self.made = not os.path.lexists(self.path)
        file = self._open()
        while not os.path.exists(self.path) or not os.path.samestat(
            os.fstat(file), os.stat(self.path)
        ):  # whoever held it has removed it, and a third may hold its successor
            _unlock(file)
            file = self._open()
        self.release = weakref.finalize(self, _unlock, file)

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
        """Release it, and leave no file behind that was not there before."""
        if self.made:
            with suppress(OSError):
                self.path.unlink()
        self.release()


def _unlock(file):
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_UN)  # by itself closing leaves it to forked copies
    os.close(file)


def is_a_runs(name, files):
    """Whether a run writes a file of this name: any run, or one of `files`, which are patterns."""
    return bool(OURS.fullmatch(name)) or any(fnmatchcase(name, pattern) for pattern in files)


def earlier_run(folder, files=()):
    """The names of an earlier run's files in the folder; none if such names are free there.

    files: patterns of names that a run writes besides those of every run. A run is known by its
    weights beside its summary or metrics, or by metrics beside its lock; and several runs by their
    common summary. Raises Abort if files with such names, but no run's, stand in the way, or if
    there can't be a folder.
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
    names = sorted(name for name in os.listdir(folder) if is_a_runs(name, files))
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
    """Whether a run of ours wrote them: its first line says so, if it has come to one."""
    try:
        with open(path, encoding="utf-8") as file:
            first = file.readline()
        return not first or {"iteration", "seconds"} <= json.loads(first).keys()
    except (OSError, ValueError, AttributeError):
        return False


def is_summary_of_several(path):
    try:
        return json.loads(path.read_text(encoding="utf-8")).keys() == {"runs", "together"}
    except (OSError, ValueError, AttributeError):
        return False


def set_aside(folder, names):
    """Move these files into a new folder beside this one, or beside what it links to: its path.

    All are moved or none. Whatever else is in the folder stays, and so does the lock.
    """
    target = folder.resolve()
    aside = _free(target, Path.mkdir)
    moved = []
    try:
        (aside / ".lock").touch()  # by which it is known as a run
        for name in names:
            os.rename(target / name, aside / name)
            moved.append(name)
    except BaseException:
        for name in moved:
            os.rename(aside / name, target / name)
        (aside / ".lock").unlink(missing_ok=True)
        aside.rmdir()
        raise
    return aside


def _free(path, make):
    """The first of path.1, path.2, … that make(path) finds free."""
    number = 1
    while True:
        try:
            copy = path.parent / f"{path.name}.{number}"
            make(copy)
            return copy
        except FileExistsError:
            number += 1


def make_room(path, replace, files=()):
    """For the summary of several runs. An earlier one is set aside, unless it shall be replaced;
    so is a run that has its summary there. Returns where to, if anything was. Raises Abort."""
    if not os.path.lexists(path):
        return None
    if is_summary_of_several(path):
        if replace:
            return None
        aside = _free(path, lambda copy: copy.touch(exist_ok=False))
        os.replace(path, aside)
        return aside
    if replace or not OURS.fullmatch(path.name):
        raise Abort(f"{path} is not a summary of several runs; move it, or choose another --out")
    names, lock = earlier_run(path.parent, files), Lock(path.parent)
    try:
        return set_aside(path.parent, names)
    finally:
        lock.release()


def remove_torn(folder, files=()):
    """Remove what a kill left of files that were being written; their names are inside its own."""
    for name in os.listdir(folder):
        torn = TORN.fullmatch(name)
        if torn and is_a_runs(torn[1], files):
            (folder / name).unlink()
