"""Messages are printed in any encoding, and dropped where they can't be written.

A message only informs. A terminal that was closed, a full disk behind `2> log`, `| head -1`, or an
encoding without ± must not end a training, so everything is printed by the functions here.
"""

import argparse
import os
import sys
from typing import Any, NoReturn

PLAIN = str.maketrans({"±": "+-", "−": "-", "…": "...", "×": "x", "σ": "sigma", "—": "-"})


class Forgiving:
    """It wraps a stream, or None, so that write and flush never fail; all else is the stream's."""

    def __init__(self, stream):
        self._stream = stream

    def __getattr__(self, name):
        return getattr(self._stream, name)

    def write(self, text):
        """Write the text, if the stream takes it. Returns the text's length."""
        try:
            self._stream.write(printable(text, getattr(self._stream, "encoding", None)))
        except Exception:  # it is closed, full, a pipe that nobody reads, or None
            pass
        return len(text)

    def flush(self):
        """Flush the stream, if it can be flushed."""
        try:
            self._stream.flush()
        except Exception:
            pass


def printable(text, encoding) -> str:
    """Replace characters that the encoding lacks by others, such as `+-`, or by an escape.

    >>> printable("1.00 ± 0.25 in naïve", "ascii")
    '1.00 +- 0.25 in na\\\\xefve'
    """
    try:
        text.encode(encoding or "utf-8")
    except (UnicodeEncodeError, LookupError):
        known = "ascii" if isinstance(sys.exc_info()[1], LookupError) else encoding or "utf-8"
        return text.translate(PLAIN).encode(known, "backslashreplace").decode(known)
    return text


def say(text="") -> None:
    """Print a line, if anybody can read it."""
    _line(sys.stdout, text)


def warn(text) -> None:
    """Print a line on standard error, if anybody can read it."""
    _line(sys.stderr, text)


def _line(stream, text):
    forgiving = Forgiving(stream)
    forgiving.write(f"{text}\n")
    forgiving.flush()


def progress(iterable=None, **settings) -> Any:
    """Return a bar of tqdm's on standard error, as wide as the terminal. settings: those of tqdm"""
    from tqdm import tqdm  # only now, so that importing minigrad is fast

    return tqdm(iterable, file=Forgiving(sys.stderr), dynamic_ncols=True, **settings)


class Parser(argparse.ArgumentParser):
    """A Parser is an ArgumentParser whose help and errors can be printed anywhere."""

    def _print_message(self, message, file=None):
        Forgiving(file if file is not None else sys.stderr).write(message or "")


def script(main) -> NoReturn:
    """Call main() as a whole program, and exit with the code that it returns or exits with."""
    for number in (0, 1, 2):
        try:
            os.fstat(number)
        except OSError:  # it is closed, and the next file to be opened would get its messages
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
    # Other libraries expect that both streams exist.
    sys.stdout = sys.stdout or open(1, "w", closefd=False)
    sys.stderr = sys.stderr or open(2, "w", closefd=False)
    try:
        code = main()
    except SystemExit as stop:
        code = stop.code
    except KeyboardInterrupt:
        warn("\nstopped")
        code = 130
    if isinstance(code, str):
        warn(code)
        code = 1
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # at exit Python would try again, fail, and exit with 120
            _discard(stream)
    sys.exit(code)


def _discard(stream):
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
    except (OSError, ValueError, AttributeError):  # there is no file behind the stream
        pass
