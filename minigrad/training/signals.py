"""A signal that asks a training to stop is noted, and obeyed where the training can be saved."""

import signal
import threading
from contextlib import contextmanager


class Interrupted(Exception):
    """A signal asked the run to end, and the run is saved.

    number: the signal's number
    folder: the run's folder
    """

    def __init__(self, number, folder):
        super().__init__(number, folder)
        self.number, self.folder = number, folder

    def __str__(self):
        return f"stopped by signal {self.number} and saved in {self.folder}; resume goes on there"


@contextmanager
def handling(numbers, handler):
    """Set the handler of these signals inside the block, and the earlier handlers after it."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, earlier in before.items():
            signal.signal(number, earlier)


def stop_signals():
    """Return the signals on which a run stops; none in other threads, which can't set handlers.

    SIGHUP comes when the terminal is closed. What is ignored stays ignored, such as SIGHUP under
    nohup. A signal whose handler is not Python's (None) is left out, because that handler could not
    be restored.
    """
    if threading.current_thread() is not threading.main_thread():
        return []
    names = ("SIGINT", "SIGTERM", "SIGHUP")
    numbers = [getattr(signal, name) for name in names if hasattr(signal, name)]
    return [n for n in numbers if signal.getsignal(n) not in (signal.SIG_IGN, None)]
