"""PyTorch for tables of its counterparts of our operations, which are made before a test runs.

Where it is not installed, a stand-in takes its place that is never called: the tests that compare
with PyTorch ask for the fixture `torch`, which skips them.
"""

from unittest.mock import MagicMock

try:
    import torch
    import torch.nn.functional as F
except ImportError:
    torch = F = MagicMock()

__all__ = ["F", "torch"]
