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

from minigrad import console
from minigrad.checkpoint import CheckpointError, load, replacing, save
from minigrad.console import say, warn
from minigrad.data import DataError
from minigrad.paths import expand
from models.folder import Abort, Lock, earlier_run, remove_torn, set_aside

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]


class Parser(console.Parser):
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


def folder_path(text):
    """For argparse: a folder's path, with ~ for the user's home."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a folder")
    try:
        return expand(text)
    except FileNotFoundError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


@contextmanager
def clean_exit():
    """Turns what a user can cause into one message and an exit code, without a traceback."""
    try:
        yield
    except (Abort, CheckpointError, DataError) as error:
        sys.exit(f"error: {error}")
    except Interrupted as error:
        number, folder = error.args
        say(f"\nstopped and saved in {folder}; the same command with --resume goes on from there")
        sys.exit(128 + number)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or error
        sys.exit(f"error: {where}{reason}; make room or get rights there, or change --out")
    except MemoryError as error:
        sys.exit(f"error: out of memory; free some, or choose a smaller model or batch ({error})")
    except KeyboardInterrupt:
        warn("\nstopped")
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
    """A run's folder: metrics.jsonl, a checkpoint, and a lock: `with Run(…) as run:` holds it.

    settings: what a checkpoint must have been made with to go on from it. A run that stood there
    before is set aside; with resume=True its checkpoint becomes `state` and `iteration`, and its
    metrics up to there are kept. Raises Abort if that cannot be, if files that are no run's would
    be overwritten, or if another run is at work there.
    """

    def __init__(self, folder, settings, resume=False):
        self.folder, self.settings = Path(folder), settings
        self.checkpoint = checkpoint_path(self.folder)
        if resume and not self.checkpoint.exists():
            raise Abort(f"--resume: there is no {self.checkpoint}; start without --resume")
        if not resume:
            earlier_run(self.folder)  # before anything is made there that might have to go again
        self.folder.mkdir(parents=True, exist_ok=True)
        self._lock = Lock(self.folder)
        try:
            self._take_over(resume)
        except BaseException:
            self._lock.undo()
            raise
        self.began = time.monotonic() - (self.metrics[-1]["seconds"] if self.metrics else 0)
        self.signal = 0  # the first one that asked the run to end

    def _take_over(self, resume):
        """What is in the folder, now that nobody else can change it."""
        if resume:
            self.state, made_with = load(self.checkpoint)
            self.iteration = made_with.pop("iteration", None)
            if type(self.iteration) is not int:
                raise Abort(f"--resume: {self.checkpoint} is no checkpoint, but weights")
            if made_with != self.settings:
                raise Abort(
                    f"--resume: {self.checkpoint} was made with {made_with}, not {self.settings}"
                )
        else:
            self.state, self.iteration = {}, 0
            if names := earlier_run(self.folder):
                aside = set_aside(self.folder, names)
                say(f"the earlier run in {self.folder} is now in {aside}")
        self.metrics = self._earlier_metrics()
        remove_torn(self.folder)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Release the folder's lock."""
        self._lock.release()

    def _earlier_metrics(self):
        """The lines up to the checkpoint. Those after it, and a torn last one, are made again."""
        path = self.folder / "metrics.jsonl"
        text = path.read_bytes().decode("utf-8", "replace") if path.exists() else ""
        metrics = []
        for number, line in enumerate(text.split("\n")[:-1], 1):
            try:
                values = json.loads(line)
                if values["iteration"] <= self.iteration:
                    metrics.append(values | {"seconds": float(values["seconds"])})
            except (ValueError, KeyError, TypeError):
                raise Abort(
                    f"--resume: line {number} of {path} is damaged; mend it, or remove that line"
                ) from None
        return metrics

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
        """Around the training: metrics can be recorded, and Ctrl-C, SIGTERM and a closed terminal
        only set `signal`, so that the loop ends where it can be saved."""
        with replacing(self.folder / "metrics.jsonl") as temporary:
            lines = "".join(json.dumps(line) + "\n" for line in self.metrics)
            temporary.write_text(lines, encoding="utf-8")

        def note(number, frame):
            self.signal = self.signal or number

        path = self.folder / "metrics.jsonl"
        with handling(stop_signals(), note):
            with open(path, "a", buffering=1, encoding="utf-8") as self._file:
                yield

    def save_json(self, name, value):
        with replacing(self.folder / name) as temporary:
            temporary.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


@contextmanager
def handling(numbers, handler):
    """Inside the block the handler has these signals; after it, who had them before."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def stop_signals():
    """The signals on which a run stops. None in a thread, which may set no handlers.

    SIGHUP comes when the terminal is closed; nohup has it ignored, and that is left so.
    """
    if threading.current_thread() is not threading.main_thread():
        return []
    numbers = [signal.SIGINT, signal.SIGTERM]
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:
        numbers.append(signal.SIGHUP)
    return [number for number in numbers if signal.getsignal(number) is not None]  # not Python's
