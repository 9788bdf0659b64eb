"""These functions read a training script's command line, and end the script."""

import argparse
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from minigrad import console
from minigrad.console import say, warn
from minigrad.data import DataError
from minigrad.paths import expand
from minigrad.training.checkpoint import CheckpointError
from minigrad.training.folder import Abort
from minigrad.training.run import checkpoint_path
from minigrad.training.signals import Interrupted


class Parser(console.Parser):
    """This parser accepts --iter_max and --iter-max alike."""

    def add_option(self, name, **settings):
        """Add the option --name, spelled with _ or with -. settings: those of add_argument"""
        spellings = dict.fromkeys((f"--{name}", f"--{name.replace('_', '-')}"))
        self.add_argument(*spellings, dest=name, **settings)

    def add_run_options(self):
        """Add the options that all scripts share."""
        add = self.add_option
        add("runs", type=at_least(1), default=1, help="how many runs (%(default)s)")
        add("jobs", type=at_least(1), default=1, help="runs side by side (%(default)s)")
        add("lr", type=positive, default=1e-3, help="Adam's step size (%(default)s)")
        where = "where the data lie (default: found or fetched)"
        add("data_dir", type=folder_path, help=where)
        add("eager", action="store_true", help="run every step as it is written, not its program")
        add("resume", action="store_true", help="go on from the run's last checkpoint")


def at_least(low) -> Callable[[str], int]:
    """Return a function that parses whole numbers from `low` on, for argparse."""

    def parse(text):
        try:
            value = int(text)
        except ValueError:
            value = low - 1
        if value < low:
            raise argparse.ArgumentTypeError(f"{text} is not a whole number of {low} or more")
        return value

    return parse


def positive(text) -> float:
    """Parse a positive number of at most 1e30, for argparse."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value <= 1e30:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number of at most 1e30")
    return value


def folder_path(text) -> Path:
    """Parse a folder's path, with ~ for the user's home, for argparse."""
    if not text or "\0" in text:
        raise argparse.ArgumentTypeError(f"{text!r} is not the name of a folder")
    try:
        return expand(text)
    except FileNotFoundError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def resumes(options, folder) -> bool:
    """Return whether the run in that folder goes on from a checkpoint.

    With several runs, --resume starts those that have no checkpoint yet.
    """
    return options.resume and (options.runs == 1 or checkpoint_path(folder).exists())


@contextmanager
def clean_exit() -> Iterator[None]:
    """Turn errors that a user can cause into a message and an exit code, without a traceback."""
    try:
        yield
    except (Abort, CheckpointError, DataError) as error:
        sys.exit(f"error: {error}")
    except Interrupted as error:
        where = error.folder
        say(f"\nstopped and saved in {where}; the same command with --resume goes on from there")
        sys.exit(128 + error.number)
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        reason = error.strerror or error
        sys.exit(f"error: {where}{reason}; make room or get rights there, or change --out")
    except MemoryError as error:
        sys.exit(f"error: out of memory; free some, or choose a smaller model or batch ({error})")
    except KeyboardInterrupt:
        warn("\nstopped")
        sys.exit(130)
