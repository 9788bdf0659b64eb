"""Kernels on several threads: the pool's, whose number must not be seen, and Python's own."""

import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

import minigrad
from minigrad.kernels import pool, threads
from minigrad.kernels.jobs import shareable
from tests.kernels.helpers import ROOT, output

NORMAL = """
import hashlib, sys, threading
import numpy as np, minigrad
from minigrad import ops
from minigrad.core.primitive import evaluate
from minigrad.kernels import adam, elementwise, gemm

def normal(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)

def compute(primitive, *arrays, **static):
    assert primitive.kernel.results(*arrays, **static) is not None
    return evaluate(primitive, arrays, static)

whole = {"keepdims": False}
"""

WORK = (
    NORMAL
    + """
def work():
    "A digest of the bits of whatever is large enough to be shared out among threads."
    digest = hashlib.sha256()
    shapes = (101, 300, 131), (5000, 40, 10), (10, 700, 200), (48, 1100, 256)
    for N, K, M in *shapes, (600, 500, 131), (20, 512, 1100):
        assert N * K * M > gemm.SERIAL
        a, b = normal(N, K), normal(K, M)
        for left in (a, a.T.copy().T):
            for right in (b, b.T.copy().T):
                digest.update(compute(ops.bmm, left, right))
                digest.update(compute(ops.linear, left, right.T, normal(M)))
    p, g, m, v = normal(4, 3 * adam.PIECE + 5)
    states = p, m, abs(v), np.array(0), g
    compute(ops.updates.adam_, np.array(1e-3), *states, betas=(0.9, 0.999), eps=1e-8)
    digest.update(p)
    x = normal(300, 784)
    assert x.size > 2 * elementwise.PIECE
    for array in (compute(ops.exp, x), compute(ops.sum, x, axis=0, **whole),
                  compute(ops.logsumexp, x, axis=1, **whole),
                  compute(ops.leaky_relu, x, negative_slope=0.1),
                  compute(ops.leaky_relu_pull, x, x[::-1], negative_slope=0.1),
                  compute(ops.log_bernoulli, abs(x) % 1, x)):
        digest.update(array)
    return digest.hexdigest()
"""
)

IMAGES = (
    NORMAL
    + """
from minigrad.ops.images import window_places
from minigrad.ops.normalization import _batch_norm

def work():
    digest = hashlib.sha256()
    for C, F, size, kernel, stride in (
        (1, 32, 28, 4, 2), (32, 64, 14, 4, 2), (16, 32, 14, 3, 1), (8, 1, 28, 3, 1)
    ):
        size, kernel = (size, size), (kernel, kernel)
        how = {"stride": (stride, stride), "padding": (1, 1)}
        places = window_places(size, kernel, *how.values())
        assert 64 * C * F * np.prod(places) * np.prod(kernel) > stride ** 2 * gemm.SERIAL
        x, w, g = normal(64, C, *size), normal(F, C, *kernel), normal(64, F, *places)
        for result in (compute(ops.convolution, x, w, normal(F), **how),
                       compute(ops.convolution_transpose, g, w, **how, size=size),
                       compute(ops.convolution_weight, x, g, **how, kernel=kernel)):
            digest.update(result)
    x = normal(64, 32, 14, 14)
    digest.update(compute(ops.pixel_shuffle, x, upscale_factor=2))
    digest.update(compute(ops.pixel_unshuffle, x, downscale_factor=2))
    for shape in (64, 32, 196), (64, 3136, 1):
        x = normal(*shape)
        mean, variance = compute(ops.moments, x)
        pull, total = (compute(p, x[::-1].copy(), x, mean, variance, eps=1e-5)
                       for p in (ops.batch_norm_pull, ops.normalized_sum))
        both = compute(_batch_norm, x, mean, variance, eps=1e-5)
        for result in mean, variance, *both, pull, total:
            digest.update(result)
    return digest.hexdigest()
"""
)


@pytest.mark.parametrize("code", [WORK, IMAGES], ids=["rows", "images"])
def test_the_bits_of_a_result_do_not_depend_on_the_number_of_threads(code, tmp_path):
    """... nor on whether this process has compiled the kernels, as the first of these does, or
    loads them, and LLVM saw less at a time."""
    code += "\nfor n in range(minigrad.get_num_threads(), 0, -1):\n"
    code += "    minigrad.set_num_threads(n); print(work())"
    lines = [output(code, NUMBA_NUM_THREADS=str(n), XDG_CACHE_HOME=str(tmp_path)).split()
             for n in (1, 2, 4)]  # fmt: skip
    assert [len(line) for line in lines] == [1, 2, 4]
    assert len(set(sum(lines, []))) == 1


def test_many_more_threads_than_processors_compute_the_same():
    many = output(WORK + "print(minigrad.get_num_threads(), work())", NUMBA_NUM_THREADS="64")
    assert many.split() == ["64", output(WORK + "print(work())", NUMBA_NUM_THREADS="1")]


TRAINED = """
def trained(seed):
    "A digest of weights after a few steps with large layers and random draws."
    minigrad.random.seed(seed)
    model = minigrad.nn.Sequential(minigrad.nn.Linear(300, 300), minigrad.nn.ELU(),
                                   minigrad.nn.Linear(300, 300))
    adam = minigrad.optim.Adam(model.parameters(), lr=1e-3)
    for _ in range(20):
        x = minigrad.bernoulli(minigrad.Tensor(np.full((200, 300), 0.5, np.float32)))
        loss = -minigrad.log_bernoulli(x, model(x)).mean()
        adam.zero_grad(); loss.backward(); adam.step()
    return hashlib.sha256(b"".join(p.data.tobytes() for p in model.parameters())).hexdigest()
"""


def test_python_threads_that_train_at_once_each_get_the_bits_of_their_seed():
    code = """
from concurrent.futures import ThreadPoolExecutor
sys.setswitchinterval(1e-5)
want = [trained(seed) for seed in range(4)]
with ThreadPoolExecutor(3) as executor:
    assert list(executor.map(trained, range(4))) == want
print(len(set(want)), threading.active_count())
"""
    assert output(NORMAL + TRAINED + code, NUMBA_NUM_THREADS="3") == "4 3"


# ---- other processes


FORKED = """
want = work()
reader, writer = os.pipe()
child = os.fork()
if child == 0:
    os.write(writer, work().encode())
    os._exit(0)
_, status = os.waitpid(child, 0)
assert status == 0 and os.read(reader, 100).decode() == want == work()
child = os.fork()
if child == 0:
    # This one has a thread of its own beside the one that forked, and ends as programs do.
    sys.exit(work() != want or threading.active_count() != 2)
assert os.waitpid(child, 0)[1] == 0
print("alive")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("code", [WORK, IMAGES], ids=["rows", "images"])
def test_a_forked_child_computes_on(code):
    fork = "import os, warnings\nwarnings.simplefilter('ignore')\n" + code + FORKED
    assert output(fork, NUMBA_NUM_THREADS="2") == "alive"


@pytest.mark.parametrize("means", ["fork", "spawn", "forkserver", "loky", "multiprocessing"])
def test_processes_of_a_pool_compute_the_same(means, tmp_path):
    """The last two are joblib's."""
    if means == "fork" and not hasattr(os, "fork"):
        pytest.skip("needs fork")
    together = "from multiprocessing import get_context\n"
    together += f"    with get_context({means!r}).Pool(2) as pool: found = pool.map(one, range(4))"
    if means in ("loky", "multiprocessing"):
        together = f"import joblib\n    parallel = joblib.Parallel(2, backend={means!r})\n"
        together += "    found = parallel(joblib.delayed(one)(i) for i in range(4))"
    script = tmp_path / "script.py"
    script.write_text(
        f"{WORK}\ndef one(i): return work()\n\nif __name__ == '__main__':\n    want = work()\n"
        f"    {together}\n    print(found == 4 * [want])\n"
    )
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "2"}
    done = subprocess.run([sys.executable, "-W", "ignore", script], env=environment,
                          capture_output=True, text=True, timeout=200)  # fmt: skip
    assert (done.returncode, done.stdout) == (0, "True\n"), done.stderr


def started(code):
    """A process that has printed "ready", on two threads."""
    environment = os.environ | {"PYTHONPATH": str(ROOT), "NUMBA_NUM_THREADS": "2"}
    process = subprocess.Popen([sys.executable, "-c", code], env=environment,
                               stdout=subprocess.PIPE, text=True)  # fmt: skip
    assert process.stdout.readline() == "ready\n"
    return process


INTERRUPTED = """
want, interrupted = work(), 0
print("ready", flush=True)
while interrupted < 5:
    try:
        while True:
            assert work() == want
    except KeyboardInterrupt:
        interrupted += 1
assert work() == want
print("usable")
"""


@pytest.mark.skipif(os.name != "posix", reason="POSIX signals")
def test_a_pool_stays_usable_after_interrupts_and_stops():
    process = started(WORK + INTERRUPTED)
    for number in (signal.SIGINT, signal.SIGSTOP, signal.SIGCONT, *4 * [signal.SIGINT]):
        time.sleep(0.1)
        process.send_signal(number)
    assert process.communicate(timeout=100)[0] == "usable\n" and process.returncode == 0


def test_threads_sleep_while_a_process_idles_and_end_with_it():
    code = "import time\nwork()\nspent = time.process_time()\ntime.sleep(2)\n"
    code += "print(time.process_time() - spent)"
    assert float(output(WORK + code, NUMBA_NUM_THREADS="4")) < 0.05  # three that spin take 4 s


# ---- the pool itself


@shareable()
def _count(start, stop, counts):
    for i in range(start, stop):
        counts[i] += 1
        if counts[0] > 10:
            raise ValueError("far too many")


@pytest.fixture
def three_threads():
    before = minigrad.get_num_threads()
    minigrad.set_num_threads(3)
    yield threads._Current.get().numbers
    minigrad.set_num_threads(before)


@pytest.mark.parametrize("pieces, count", [(2, 1), (2, 2), (3, 1000), (64, 7), (64, 10**5)])
def test_each_item_is_done_once(three_threads, pieces, count):
    for _ in range(200):
        counts = np.zeros(count, np.int64)
        _count(pieces, count, counts)
        assert (counts == 1).all()
    assert three_threads[pool.BUSY] == three_threads[pool.JOB] == 0


def test_an_error_in_a_piece_is_an_error_of_the_call(three_threads):
    counts = np.full(100, 10)
    for pieces in (1, 50):
        with pytest.raises(MemoryError, match="not enough memory"):
            _count(pieces, 100, counts)
    counts[:] = 0
    _count(50, 100, counts)
    assert (counts == 1).all()


def test_a_pool_that_rests_leaves_the_work_to_the_caller(three_threads):
    numbers, counts = three_threads, np.zeros(100, np.int64)
    jobs = numbers[pool.JOBS]
    numbers[pool.RESTS_UNTIL] = time.monotonic_ns() + 10**12
    _count(50, 100, counts)
    assert (counts == 1).all() and numbers[pool.JOBS] == jobs
    numbers[pool.RESTS_UNTIL] = 0
    _count(50, 100, counts)
    assert (counts == 2).all() and numbers[pool.JOBS] == jobs + 1


def test_rests_grow_while_much_is_lost_and_end_when_little_is(three_threads):
    numbers, (rest, until), ms = three_threads, (pool.REST, pool.RESTS_UNTIL), 10**6
    now = 10**12
    numbers[rest] = numbers[until] = 0
    pool._lose(numbers.ctypes.data, 2 * ms, now)  # the first time, after a long while
    assert (numbers[rest], numbers[until]) == (0, now)
    for want in (4, 8, 16, 32, 64, 128, 256, 256):
        now = int(numbers[until]) + 10 * ms
        pool._lose(numbers.ctypes.data, 2 * ms, now)
        assert (numbers[rest], numbers[until]) == (want * ms, now + want * ms)
    pool._lose(numbers.ctypes.data, 2 * ms, int(numbers[until]) + 30 * ms)
    assert numbers[rest] == 0
    numbers[until] = 0
