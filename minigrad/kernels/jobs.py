"""A Job is a compiled loop with its arguments: it is done at once, or collected to be done again.

`shareable` makes a function that does a job. While `collected` calls a kernel, that function only
hands the job out. So the kernel's Python, which finds out shapes and pieces, runs once, and many
jobs can follow one another without Python between them.
"""

from __future__ import annotations

from functools import partial
from itertools import groupby
from typing import Any, NamedTuple

import numpy as np

from minigrad.kernels import pool
from minigrad.kernels.atomics import EACH, ROOM, bound
from minigrad.kernels.compile import CopyNeeded, collecting, jit
from minigrad.kernels.threads import team


class Job(NamedTuple):
    """A Job has the addresses of a function and of its data, and what must be kept for them."""

    function: int
    data: int
    count: int
    pieces: int
    kept: Any


def collected(kernel, /, *arrays, **static) -> list[Any] | None:
    """Return the jobs that a call of the kernel would do, or None if it does more than jobs.

    Between the jobs may be functions, which Python must call: see each_time.
    """
    if not getattr(kernel, "only_jobs", False):
        return None
    call = partial(getattr(kernel, "__wrapped__", kernel), *arrays, **static)
    collecting.jobs = []
    try:
        call()
        return [
            job._replace(kept=(call, job.kept)) if isinstance(job, Job) else job
            for job in collecting.jobs
        ]
    except CopyNeeded:
        return None
    finally:
        collecting.jobs = None


def each_time(function, *arguments):
    """Call a function now or, if jobs are collected, whenever it is the turn of the next one."""
    if collecting.jobs is None:
        function(*arguments)
    else:
        collecting.jobs.append(partial(function, *arguments))


def shareable(**options):
    """Compile task(start, stop, *arguments), to be called with (pieces, count, *arguments).

    task: does what range(start, stop) stands for, of range(count)
    pieces: into which the work can be cut; with fewer than two, the calling thread does it
    options: of `jit`
    """

    def decorate(task):
        compiled = jit(**options)(task)

        def bind(memory, *arguments):
            data = memory.ctypes.data
            return bound(compiled, arguments, data), data

        bind.__qualname__ = f"bound_{task.__qualname__}"  # compiled code is linked by name
        bind = jit(task=task)(bind)

        def run(pieces, count, *arguments):
            memory = np.empty(max(ROOM, EACH * len(arguments)), np.int64)
            function, data = bind(memory, *arguments)
            if collecting.jobs is not None:
                kept = memory, arguments
                collecting.jobs.append(Job(function, data, count, pieces, kept))
            elif pool.run(team(pieces not in (0, 1)), function, data, count, pieces):
                raise MemoryError(FAILED)

        run.compiled, run.only_jobs = bind, True
        return run

    return decorate


FAILED = "a kernel had not enough memory for its own arrays"


class Jobs:
    """Jobs are done one after another, without Python between them, when they are called."""

    def __init__(self, jobs):
        self._kept = jobs
        self._numbers = np.array([job[:4] for job in jobs], np.int64)
        self._address = self._numbers.ctypes.data

    def __call__(self):
        done = pool.run_all(team(), self._address, len(self._kept))
        if done < len(self._kept):
            call, _ = self._kept[done].kept
            call()  # so the kernel says what is wrong, if it can
            raise MemoryError(FAILED)


def joined(steps) -> list[Any]:
    """Return functions and jobs as functions alone: jobs that follow one another become one."""
    groups = [(functions, [*some]) for functions, some in groupby(steps, callable)]
    return [call for functions, some in groups for call in (some if functions else [Jobs(some)])]
