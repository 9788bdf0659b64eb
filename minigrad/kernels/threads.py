"""Kernels share their work among threads that leave when others need the processors.

A job is cut into pieces, and no bit of its result depends on where. Whichever thread is free takes
the next one, the thread with the job like the others, and that thread waits only for pieces that
others have begun: pool.py shows how, and jobs.py what a job is. The threads are Python's, in a
compiled loop that runs without the interpreter.

After a job a worker looks for the next one for a millisecond, because in training one follows soon
and to wake a thread takes longer than many a job; then it sleeps. When a job takes longer than its
threads have run, another process has one of their processors: if that happens often, the pool rests
for some milliseconds, and for longer and longer while it goes on, and each job is its caller's. A
second Python thread that finds the pool busy does its job alone. A forked child, which inherits no
threads, makes its own.

This was chosen by measuring a step of the VAE and one of the GAN, alone and beside one process that
takes a processor; two cores of an AMD EPYC, medians of one run in milliseconds. `python -m
benchmarks.neighbours` measures the pool again.

                            VAE alone, beside     GAN alone, beside
    this pool                  4.35    5.63         39.0     67.9
    numba with OpenMP          4.15   10.21         38.6    110.4
    numba with TBB             4.40    6.12         38.7     71.1
    numba's workqueue          9.38    8.33         64.0     82.2
    one thread                 5.73    5.45         62.8     65.3

In another run of 1,500 steps the VAE's took 0.96 of OpenMP's time. OpenMP's threads spin while
they wait for one that has no processor; under OpenMP a forked child is killed, and under TBB it
hangs.
"""

import atexit
import ctypes
import os
import threading
import time

import numpy as np

from minigrad import processors
from minigrad.kernels import pool


class _Pool:
    """A block of numbers, and the threads that work on it."""

    def __init__(self, threads):
        self.threads = threads
        numbers = np.zeros(pool.ASLEEP + threads * pool.LINE, np.int64)
        self.numbers = numbers[-numbers.ctypes.data // 8 % pool.LINE :]  # from a line's begin on
        self.address = self.numbers.ctypes.data
        self._write_addresses()
        pool.work.compile("void(int64, int64)")  # here, not in every thread
        self._workers = [
            threading.Thread(target=self._work, args=[worker], daemon=True)
            for worker in range(threads - 1)
        ]
        for thread in self._workers:
            thread.start()

    def _work(self, worker):
        pool.work(self.address, worker)  # and this frame keeps the block alive

    def _write_addresses(self):
        """Write down the addresses of C functions, and of a lock for each worker, which it has."""
        python, numbers = ctypes.pythonapi, self.numbers
        python.PyThread_allocate_lock.restype = ctypes.c_void_p
        python.PyThread_acquire_lock.argtypes = ctypes.c_void_p, ctypes.c_int

        def address(function):
            return ctypes.cast(function, ctypes.c_void_p).value

        numbers[pool.WORKERS] = self.threads - 1
        numbers[pool.ACQUIRE] = address(python.PyThread_acquire_lock)
        numbers[pool.RELEASE] = address(python.PyThread_release_lock)
        if os.name == "posix":  # elsewhere there is no such clock, and the pool never rests
            numbers[pool.CLOCK] = address(ctypes.CDLL(None).clock_gettime)
            numbers[pool.TIME] = time.CLOCK_MONOTONIC
            numbers[pool.OWN_TIME] = time.CLOCK_THREAD_CPUTIME_ID
        for worker in range(self.threads - 1):
            lock = python.PyThread_allocate_lock()
            python.PyThread_acquire_lock(lock, 1)
            numbers[pool.LOCK + worker * pool.LINE] = lock

    def stop(self):
        """End the threads. A job of another Python thread's is done by that thread alone."""
        pool.stop(self.address)
        for thread in self._workers:
            thread.join()


class _Current:
    """The process's pool, or None until a kernel first wants one."""

    pool, stopped, lock = None, [], threading.Lock()  # a stopped pool may still be in use, as above

    @classmethod
    def get(cls):
        with cls.lock:
            threads = processors.get_num_threads()
            if cls.pool is None or cls.pool.threads != threads:
                cls.end()
                cls.pool = _Pool(threads)
            return cls.pool

    @classmethod
    def end(cls):
        if cls.pool is not None:
            cls.pool.stop()
            cls.stopped.append(cls.pool)
            cls.pool = None

    @classmethod
    def forget(cls):
        """In a forked child there are no threads but the one that forked."""
        cls.pool, cls.lock = None, threading.Lock()


atexit.register(_Current.end)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Current.forget)


def team(share=True) -> int:
    """Return the pool's address, or 0 if the calling thread does the work alone."""
    if not share or processors.get_num_threads() == 1:
        return 0
    current = _Current.pool
    if current is None or current.threads != processors.get_num_threads():
        current = _Current.get()
    return current.address
