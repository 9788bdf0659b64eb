"""What the tests of optimisers share: a problem, the steps that ours and PyTorch's take in it."""

import numpy as np

from minigrad import Tensor, nn

LR, STEPS = 1e-2, 100
SHAPES = [(7,), (3, 5), (150, 140)]  # the last has 21,000 elements: see the test of its size


def problem(dtype=np.float64, shapes=SHAPES, steps=STEPS):
    """First values, and a gradient for each parameter and step; each size from 10⁻⁶ to 10²."""
    rng = np.random.default_rng(0)
    start = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    scales = [10 ** rng.uniform(-6, 2, shape) for shape in shapes]
    gradients = [
        [(scale * rng.standard_normal(scale.shape)).astype(dtype) for scale in scales]
        for _ in range(steps)
    ]
    return start, gradients


def ours(make, start, gradients):
    """The parameters after the steps. A gradient of None is none."""
    params = [nn.Parameter(p) for p in start]
    optimizer = make(params)
    for step in gradients:
        for p, g in zip(params, step, strict=True):
            p.grad = None if g is None else Tensor(g)
        optimizer.step()
    return [p.data for p in params]


def theirs(torch, make, start, gradients):
    """The same with PyTorch, in float64."""
    params = [torch.tensor(p, dtype=torch.float64, requires_grad=True) for p in start]
    optimizer = make(params)
    for step in gradients:
        for p, g in zip(params, step, strict=True):
            p.grad = None if g is None else torch.tensor(g, dtype=torch.float64)
        optimizer.step()
    return [p.detach().numpy() for p in params]


def assert_close(found, expected, **tolerance):
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, **tolerance)


MAKERS = {
    "SGD": lambda library: lambda p: library.SGD(p, lr=LR, momentum=0.9),
    "Adam": lambda library: lambda p: library.Adam(p, lr=LR),
}


def give_gradients(optimizer, dtype=np.float64):
    for p in optimizer.params:
        p.grad = Tensor(np.ones(p.shape, dtype))
