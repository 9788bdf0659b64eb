"""THE table of operations: for each, inputs that Hypothesis draws, and PyTorch's counterpart.

A case is a strategy that yields (arrays, ours, theirs): float64 arrays, away from the operation's
kinks and singular points, and the function of them in minigrad and in PyTorch. It stands in the
file of its family. What must hold of an operation is in test_operations.py. The table's names must
equal the registry's.
"""

from tests.ops.table import elementwise, images, normalization, reductions, shapes
from tests.ops.table.cases import CASES, VALUES

__all__ = ["CASES", "EFFECTS", "VALUES"]
FAMILIES = elementwise, images, normalization, reductions, shapes  # each enters its operations
# Tested by what they do: draws in test_random.py, writes in test_writes.py and test_optim.py.
EFFECTS = {"rand", "randn", "bernoulli", "copy_", "_setitem_", "add_one_", "average_", "sgd_"}
EFFECTS |= {"adam_"}
