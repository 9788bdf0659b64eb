"""Signals that ask a training to stop: noted when they come, obeyed where it can be saved."""

import signal
import threading
from contextlib import contextmanager


class Interrupted(Exception):
    """A signal asked the run to end, and it did so when its state was saved.

    number: the signal's. folder: the run's.
    """

    def __init__(self, number, folder):
        super().__init__(number, folder)
        self.number, self.folder = number, folder

    def __str__(self):
        return f"stopped by signal {self.number} and saved in {self.folder}; resume goes on there"


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
