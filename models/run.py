"""A training run as the system sees it: options, a folder, signals, and how it ends."""

import argparse
import json
import math
import os
import signal
import sys
import threading
import time
from contextlib import contextmanager
from pathlib import Path

from minigrad.checkpoint import CheckpointError, load, replacing, save
from minigrad.data import DataError

try:
    import fcntl
    import resource
except ImportError:  # Windows: no locks, so two processes in one folder go unnoticed there
    fcntl = resource = None  # type: ignore[assignment]


class Abort(Exception):
    """The run cannot go on. The message says why and what to do."""


class Parser(argparse.ArgumentParser):
    """Takes --iter_max and --iter-max alike."""

    def add_option(self, name, **settings):
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        self.add_argument(*spellings, dest=name, **settings)


def whole(low):
    """For argparse: a whole number, low or more."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number of {low} or more")
        return value

    return parse


def positive(text):
    """For argparse: a positive number, at most 1e30."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1e30:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of at most 1e30")
    return value


@contextmanager
def clean_exit():
    """Turns what a user can cause into one message and an exit code, without a traceback."""
    try:
        yield
    except (Abort, CheckpointError, DataError) as error:
        sys.exit(f"error: {error}")
    except Interrupted as error:
        number, folder = error.args
        print(f"\nstopped and saved in {folder}; the same command with --resume goes on from there")
        sys.exit(128 + number)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"error: {where}{error.strerror}; make room or get rights there, or change --out")
    except MemoryError as error:
        sys.exit(f"error: out of memory; free some, or choose a smaller model or batch ({error})")
    except KeyboardInterrupt:
        print("\nstopped", file=sys.stderr)
        sys.exit(130)


class Interrupted(Exception):
    """A signal asked the run to end, and its state is saved. Holds the signal's number."""


def peak_memory():
    """The most memory that this process has had in use so far, in megabytes; None on Windows."""
    if resource is None:
        return None
    kilobytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(kilobytes / (1024 if sys.platform != "darwin" else 1024**2))


def checkpoint_path(folder):
    return Path(folder) / "checkpoint.safetensors"


class Run:
    """A run's folder: metrics.jsonl, a checkpoint, and a lock while a process works in it.

    settings: what a checkpoint must have been made with to go on from it. A run that stood there
    before is set aside; with resume=True its checkpoint becomes `state` and `iteration`, and its
    metrics up to there are kept. Raises Abort if that cannot be, or another process works there.
    """

    def __init__(self, folder, settings, resume=False):
        self.folder, self.settings = Path(folder), settings
        self.checkpoint = checkpoint_path(self.folder)
        if resume and not self.checkpoint.exists():
            raise Abort(f"--resume: there is no {self.checkpoint}; start without --resume")
        if self.folder.exists() and not resume:
            held = self._lock()
            copies = (self.folder.with_name(f"{self.folder.name}.{n}") for n in range(1, 10**6))
            aside = next(path for path in copies if not path.exists())
            self.folder.rename(aside)
            os.close(held)
            print(f"the earlier run in {self.folder} is now {aside}")
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock()
        self.state, made_with = load(self.checkpoint) if resume else ({}, {"iteration": 0})
        self.iteration = made_with.pop("iteration")
        if resume and made_with != settings:
            raise Abort(f"--resume: {self.checkpoint} was made with {made_with}, not {settings}")
        for torn in self.folder.glob(".*.*.*"):  # what a kill left of files that were being written
            torn.unlink()
        self.metrics = self._earlier_metrics()
        self.began = time.monotonic() - (self.metrics[-1]["seconds"] if self.metrics else 0)
        self.signal = 0  # the first one that asked the run to end

    def _lock(self):
        """Lock the folder until the returned file is closed or this process ends, in any way."""
        file = os.open(self.folder / ".lock", os.O_CREAT | os.O_RDWR, 0o644)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(file)
            raise Abort(
                f"another process is working in {self.folder}; wait for it, or choose another "
                "--run or --out"
            ) from None
        return file

    def _earlier_metrics(self):
        """The lines up to the checkpoint. Those after it, and a torn last one, are made again."""
        path = self.folder / "metrics.jsonl"
        lines = path.read_text().split("\n")[:-1] if path.exists() else []
        return [line for line in map(json.loads, lines) if line["iteration"] <= self.iteration]

    @property
    def seconds(self):
        """Since the run began, rounded to a millisecond; pauses before a resume do not count."""
        return round(time.monotonic() - self.began, 3)

    def record(self, **values):
        """Append a line of metrics; numbers that are not finite end the run."""
        for name, value in values.items():
            if not math.isfinite(value):
                raise Abort(
                    f"{name} is {value} at iteration {values.get('iteration')}: the training has "
                    "diverged; try a smaller --lr"
                )
        values["seconds"] = self.seconds
        self.metrics.append(values)
        self._file.write(json.dumps(values) + "\n")

    def save_checkpoint(self, arrays, iteration):
        """Replace the checkpoint, after the metrics that belong to it are on the disk."""
        os.fsync(self._file.fileno())
        save(self.checkpoint, arrays, iteration=iteration, **self.settings)

    @contextmanager
    def under_way(self):
        """Around the training: metrics can be recorded, and Ctrl-C and SIGTERM only set `signal`,
        so that the loop ends where it can be saved."""
        with replacing(self.folder / "metrics.jsonl") as temporary:
            temporary.write_text("".join(json.dumps(line) + "\n" for line in self.metrics))

        def note(number, frame):
            self.signal = self.signal or number

        numbers = (signal.SIGINT, signal.SIGTERM)
        main = threading.current_thread() is threading.main_thread()  # others may set no handlers
        before = {number: signal.signal(number, note) for number in numbers if main}
        try:
            with open(self.folder / "metrics.jsonl", "a", buffering=1) as self._file:
                yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def save_json(self, name, value):
        with replacing(self.folder / name) as temporary:
            temporary.write_text(json.dumps(value, indent=2) + "\n")
