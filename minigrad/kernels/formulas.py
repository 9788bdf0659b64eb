"""What a generated loop computes for one element, and how it is compiled.

A loop over several operations is written as text, in program/loops.py. It calls the functions that
kernels are made of, and is kept on disk under the hash of its text.
"""

import hashlib
from functools import cache
from typing import Any

import numpy as np  # noqa: F401  loops use it

from minigrad import ops
from minigrad.core.backward import ones_like
from minigrad.core.primitive import _converted
from minigrad.kernels import scalars  # noqa: F401  and these
from minigrad.kernels.cache import generated
from minigrad.kernels.elementwise import LOOPS
from minigrad.kernels.jobs import shareable
from minigrad.kernels.reduce import sum_row  # noqa: F401
from minigrad.kernels.scratch import scratch  # noqa: F401
from minigrad.ops.arithmetic import _chain

# How an operation is written for one element; {0} … are the operands, names are static arguments.
FORMULAS = {
    ops.add: "{0} + {1}", ops.subtract: "{0} - {1}", ops.multiply: "{0} * {1}",
    ops.divide: "{0} / {1}", ops.negative: "-{0}", ops.sqrt: "np.sqrt({0})",
    ones_like: "1", ops.zeros_like: "0",
    **{getattr(ops, name): f"scalars.{name}({{0}})" for name in LOOPS},
    ops.elu: "scalars.elu({0}, {alpha})", ops.elu_pull: "scalars.elu_pull({0}, {1}, {alpha})",
    ops.leaky_relu: "{0} if {0} > 0 else {negative_slope} * {0}",
    ops.leaky_relu_pull: "scalars.leaky_relu_pull({0}, {1}, {negative_slope})",
    ops.itakura_saito: "scalars.itakura_saito({0}, {1})",
    _chain: "scalars.chain({0}, {1}, {2}, {3})",
    ops.to: "{0}", _converted: "{0}",
}  # fmt: skip

CONVERSIONS = (ops.to, _converted)  # whose operand may have another dtype

# The terms of sums over the last axes, with which a loop may end.
TERMS = {ops.sum: "{0}", ops.log_bernoulli: "scalars.log_bernoulli({0}, {1})"}

SCALARS = ("alpha", "negative_slope")  # static arguments that stand in formulas


@cache
def compiled(text):
    """Return the loop, which is called as what `shareable` makes, of the text of its task."""
    name = f"loop_{hashlib.sha256(text.encode()).hexdigest()[:16]}"
    path = generated(name, text)
    found: dict[str, Any] = {}
    exec(compile(text.replace("task", name, 1), path, "exec"), globals(), found)
    return shareable(fastmath=False)(found[name])
