"""How a job is shared: numbers in a pool's block, which threads write and read in compiled code.

The thread that has a job makes itself the pool's owner (BUSY), writes the job down and opens it
(JOB). All threads take pieces until there are none. Then the owner closes the job, and waits until
no worker is active. A worker is active from before it looks for an open job until it is done with
it: so a job stays as it is while a worker is in it, and one that comes too late finds it closed.
"""

from minigrad.kernels.atomics import (
    add,
    call_bound,
    call_lock,
    get,
    nanoseconds,
    pause,
    put,
    swap,
)
from minigrad.kernels.compile import jit
from minigrad.kernels.scratch import give_back

SPIN = 1_000_000  # nanoseconds that a worker looks for a job before it sleeps
PATIENCE = 100_000  # nanoseconds that a job may lose before that counts
OFTEN = 10  # the pool rests when more than a tenth of the time is lost
REST_FROM, REST_TO = 4_000_000, 256_000_000  # nanoseconds that it rests

# Where the numbers of a pool are in its block. What one thread writes while others read lies in a
# place of its own: a processor fetches two lines of its cache, 16 numbers, at a time.
LINE = 16
WORKERS, STOP, ACQUIRE, RELEASE, CLOCK, TIME, OWN_TIME = range(7)
BUSY, JOBS, REST, RESTS_UNTIL = range(LINE, LINE + 4)  # for the thread that has a job
JOB = 2 * LINE  # the open job's number, or 0
FUNCTION, DATA, COUNT, PIECES, FAILED = range(JOB + 1, JOB + 6)
ACTIVE = 3 * LINE  # how many workers are
# Each thread has a line: its next piece and, if it is a worker, whether it sleeps, and its lock.
# NEXT is the first thread's, the one with the job; ASLEEP and LOCK are the first worker's.
NEXT, ASLEEP, LOCK = 4 * LINE, 5 * LINE + 1, 5 * LINE + 2


@jit()
def _now(pool):
    return nanoseconds(get(pool, CLOCK), get(pool, TIME))


@jit()
def _own_time(pool):
    """Return how long the calling thread has run, without the time that others took from it."""
    return nanoseconds(get(pool, CLOCK), get(pool, OWN_TIME))


@jit()
def _do(function, start, stop, data):
    """Do a part of a job, and return 1 if it raised an error, else 0."""
    failed = call_bound(function, start, stop, data)
    give_back()
    return failed


@jit()
def _take_pieces(pool, me):
    """Do pieces of the job until all are taken, and return how many were done here.

    Thread `me` begins with its own part of the pieces, so that it finds in its cache what it wrote
    there in the job before, and then helps the others with theirs.
    """
    function, data, threads = get(pool, FUNCTION), get(pool, DATA), get(pool, WORKERS) + 1
    count, pieces, done = get(pool, COUNT), get(pool, PIECES), 0
    for turn in range(threads):
        part = (me + turn) % threads
        following, end = NEXT + part * LINE, (part + 1) * pieces // threads
        while get(pool, following) < end:
            piece = add(pool, following, 1)
            if piece < end:
                start, stop = piece * count // pieces, (piece + 1) * count // pieces
                if _do(function, start, stop, data):
                    put(pool, FAILED, 1)
                done += 1
    return done


# ---- a worker


@jit()
def _news(pool, last):
    """Return whether there is a job other than the last one, or the pool stops."""
    return get(pool, JOB) not in (0, last) or get(pool, STOP) != 0


@jit()
def _await_news(pool, worker, last):
    """Return when there is news: look for it for a while, then sleep."""
    since, looks = _now(pool), 0
    while not _news(pool, last):
        pause()
        looks += 1
        if looks % 64 == 0 and _now(pool) - since > SPIN:
            asleep = ASLEEP + worker * LINE
            put(pool, asleep, 1)
            # Whoever takes this 1 back wakes the worker by releasing its lock. A job that came
            # before its owner could see the 1 is seen here.
            if not _news(pool, last) or not swap(pool, asleep, 0):
                call_lock(get(pool, ACQUIRE), get(pool, LOCK + worker * LINE), 1)
            since = _now(pool)


@jit()
def work(pool, worker):
    """What a worker does all its life."""
    job = 0
    while not get(pool, STOP):
        _await_news(pool, worker, job)
        add(pool, ACTIVE, 1)  # from here on, a job that is open stays as it is
        job = get(pool, JOB)
        if job != 0:
            _take_pieces(pool, worker + 1)
        add(pool, ACTIVE, -1)


# ---- the thread that has a job


@jit()
def _wake(pool, most):
    """Wake workers that sleep, `most` at most."""
    for worker in range(min(most, get(pool, WORKERS))):
        if get(pool, ASLEEP + worker * LINE) and swap(pool, ASLEEP + worker * LINE, 0):
            call_lock(get(pool, RELEASE), get(pool, LOCK + worker * LINE), 0)


@jit()
def _may_share(pool, pieces):
    """Return whether the pool is there for this job. If so, it is, until BUSY is 0 again."""
    if pool == 0 or pieces < 2 or get(pool, BUSY) or _now(pool) < get(pool, RESTS_UNTIL):
        return False
    return swap(pool, BUSY, 1) == 0


@jit()
def _lose(pool, lost, now):
    """Let the pool rest, if that much has been lost soon after the last time or the last rest.

    The next rest is twice as long if that is soon the case again.
    """
    often = OFTEN * lost > now - get(pool, RESTS_UNTIL)
    rest = max(REST_FROM, min(2 * get(pool, REST), REST_TO)) if often else 0
    put(pool, REST, rest)
    put(pool, RESTS_UNTIL, now + rest)


@jit()
def _clocks(pool):
    """Return the time, and the calling thread's own time."""
    return (_now(pool), _own_time(pool)) if pool else (0, 0)


@jit()
def _run(pool, function, data, count, pieces, clocks):
    """Do a job, and return 1 if it raised an error, else 0; and the clocks when last compared.

    Own time is a question to the system, which takes half a microsecond: it is only asked after a
    job that took so long that it may have lost what counts.
    """
    if not _may_share(pool, pieces):
        return _do(function, 0, count, data), clocks
    start = _now(pool)
    put(pool, FUNCTION, function)
    put(pool, DATA, data)
    put(pool, COUNT, count)
    put(pool, PIECES, pieces)
    put(pool, FAILED, 0)
    threads = get(pool, WORKERS) + 1
    for part in range(threads):
        put(pool, NEXT + part * LINE, part * pieces // threads)
    put(pool, JOB, add(pool, JOBS, 1) + 1)
    _wake(pool, pieces - 1)
    done = _take_pieces(pool, 0)
    put(pool, JOB, 0)  # from here on no worker begins, but some may be in their last piece
    ready, lost = _now(pool), 0
    if ready - start > PATIENCE:  # perhaps another process took this thread's processor
        last, clocks = clocks, _clocks(pool)
        lost = clocks[0] - last[0] - (clocks[1] - last[1])
    while get(pool, ACTIVE):
        pause()
    now = _now(pool)  # or one keeps a worker from its last piece
    lost += max(0, now - ready - 3 * (ready - start) // max(done, 1))
    if lost > PATIENCE:
        _lose(pool, lost, now)
    failed = get(pool, FAILED)
    put(pool, BUSY, 0)
    return failed, clocks


@jit()
def run(pool, function, data, count, pieces):
    """Do a job, and return 1 if it raised an error, else 0."""
    return _run(pool, function, data, count, pieces, _clocks(pool))[0]


@jit()
def run_all(pool, jobs, number):
    """Do so many jobs one after another: in memory, each is a function, data, count and pieces.

    Return how many were done: all of them, unless one raised an error.
    """
    clocks = _clocks(pool)
    for i in range(0, 4 * number, 4):
        job = get(jobs, i), get(jobs, i + 1), get(jobs, i + 2), get(jobs, i + 3)
        failed, clocks = _run(pool, *job, clocks)
        if failed:
            return i // 4
    return number


@jit()
def stop(pool):
    """Let the workers end, after the piece that each is at."""
    put(pool, STOP, 1)
    _wake(pool, get(pool, WORKERS))
