"""Time matrix products in minigrad, PyTorch (MKL on x86) and NumPy (OpenBLAS), on 1 and 2 threads.

    python -m benchmarks.products          # about three minutes; needs PyTorch

Ten products are those of the VAE at batch 100, each once: x wᵀ of its five kinds of layers, and the
gradient gᵀ x of their weights. Squares are a b (NN), a bᵀ (NT) and aᵀ b (TN).
"""

import argparse
import statistics
import sys
from functools import partial
from typing import Any

import numpy as np

from benchmarks import turns
from minigrad.console import Parser, say, script

LAYERS = [(784, 300), (300, 300), (300, 20), (10, 300), (300, 784)]
SQUARES = [256, 512, 1024, 2048]


def torch_mm():
    """Return the peer's own arrays, their transposes, and its product."""
    import torch

    return torch.from_numpy, lambda a: a.T, torch.mm


def numpy_matmul():
    return np.asarray, lambda a: a.T, np.matmul


def kernel():
    from minigrad.kernels.gemm import _product

    def multiply(a, b):
        y = np.empty((len(a), b.shape[1]), a.dtype)
        _product(y, a, b)
        return y

    return np.asarray, lambda a: a.T, multiply


def operator():
    from minigrad import Tensor

    return Tensor, lambda a: a.mT, lambda a, b: a @ b


PEERS = {
    "torch.mm": torch_mm,
    "NumPy": numpy_matmul,
    "minigrad's kernel": kernel,
    "minigrad, @": operator,
}


def products(own, turned, multiply):
    """Return {name: a function that computes it}: "ten", and each kind of square."""
    generator = np.random.default_rng(0)

    def matrix(*shape):
        return own(generator.standard_normal(shape).astype(np.float32))

    found: dict[str, Any] = {}
    pairs = []
    for K, M in LAYERS:
        x, w, g = matrix(100, K), matrix(M, K), matrix(100, M)
        pairs += [(x, turned(w)), (turned(g), x)]
    found["ten"] = lambda: [multiply(a, b) for a, b in pairs]
    for n in SQUARES:
        a, b = matrix(n, n), matrix(n, n)
        for kind, one, other in (("NN", a, b), ("NT", a, turned(b)), ("TN", turned(a), b)):
            found[f"{kind} {n}"] = partial(multiply, one, other)
    return found


def work(peer):
    """Time all of them in each turn, in a peer's process; a small one is repeated."""
    functions = products(*PEERS[peer]())
    often = {
        name: 60 if name == "ten" else max(1, 2 * (1024 // int(name.split()[1])) ** 3)
        for name in functions
    }
    for function in functions.values():
        function()
    turns.answer(lambda n: {
        name: statistics.median(turns.seconds(function) for _ in range(n * often[name]))
        for name, function in functions.items()
    })  # fmt: skip


def main():
    """Run the command line."""
    parser = Parser(description=__doc__.splitlines()[0])
    parser.add_argument("--worker", choices=PEERS, help=argparse.SUPPRESS)
    parser.add_argument("--rounds", type=int, default=6, help="turns each (%(default)s)")
    options = parser.parse_args()
    if options.worker:
        return work(options.worker)

    from benchmarks import machine

    commands = {
        name: [sys.executable, "-m", "benchmarks.products", "--worker", name] for name in PEERS
    }
    for threads in (1, 2):
        found, _ = turns.take_turns(commands, PEERS, 1, options.rounds, threads)
        best = {
            peer: {name: statistics.median(turn[name] for turn in rows) for name in rows[0]}
            for peer, rows in found.items()
        }
        say(f"products, {threads} threads, {machine.describe()}: ten in µs, squares in GFLOP/s\n")
        say("| | " + " | ".join(best) + " | kernel / torch.mm | kernel / NumPy |")
        say("|---" * (len(best) + 3) + "|")
        for name in best["torch.mm"]:
            row = [seconds[name] for seconds in best.values()]
            shown = [
                f"{1e6 * t:.0f}" if name == "ten" else f"{2e-9 * int(name[3:]) ** 3 / t:.0f}"
                for t in row
            ]
            for peer in ("torch.mm", "NumPy"):
                rounds = zip(found["minigrad's kernel"], found[peer], strict=True)
                shown.append(f"{statistics.median(a[name] / b[name] for a, b in rounds):.2f}")
            say(f"| {name} | " + " | ".join(shown) + " |")
        say("")


if __name__ == "__main__":
    script(main)
