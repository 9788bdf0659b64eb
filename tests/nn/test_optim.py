"""minigrad.optim: SGD and Adam against PyTorch's, on the same gradients."""

import inspect

import numpy as np
import pytest

from minigrad import Tensor, kernels, nn, optim
from minigrad.core.primitive import evaluate
from minigrad.ops.updates import adam_
from tests.nn.optimisers import LR, MAKERS, SHAPES, STEPS, assert_close, ours, problem, theirs


# Rounding, at worst, with ε = 2⁻⁵² (2⁻²³ in float32). Adam's √v̂ collects 3ε / 2 a step, m̂ at most
# 20 ε in all (it forgets a tenth a step), so after 100 steps an update, which is about lr long, is
# off by at most 170 ε lr; a hundred of them by 2·10⁴ ε lr (in float64 4·10⁻¹⁴), and p's own
# rounding adds 50 ε |p|. A misplaced eps (10⁻³) or bias correction changes p by 10⁻³ lr or more.
def tolerance(epsilon):
    return {"rtol": 50 * epsilon, "atol": 2e4 * epsilon * LR}


def test_the_largest_parameter_runs_the_parallel_kernel():
    """In three pieces, of which the last is cut short; if it doesn't, enlarge it."""
    from minigrad.kernels.adam import PIECE

    size = np.prod(SHAPES[-1])
    assert size > 2 * PIECE and size % PIECE


@pytest.mark.parametrize("eps", [1e-8, 1e-3])
@pytest.mark.parametrize("betas", [(0.9, 0.999), (0.5, 0.999), (0.0, 0.99)])
def test_adam_is_torchs_in_float64(betas, eps, torch):
    """eps as large as many gradients, so that its place in the formula shows."""
    settings = {"lr": LR, "betas": betas, "eps": eps}
    expected = theirs(torch, lambda params: torch.optim.Adam(params, **settings), *problem())
    found = ours(lambda params: optim.Adam(params, **settings), *problem())
    assert_close(found, expected, **tolerance(2**-52))


@pytest.mark.parametrize("eps", [1e-8, 1e-3])
def test_adam_in_float32_is_torchs_in_float64(eps, torch, backend):
    start, gradients = problem(np.float32)
    settings = {"lr": LR, "eps": eps}
    expected = theirs(torch, lambda p: torch.optim.Adam(p, **settings), start, gradients)
    found = ours(lambda p: optim.Adam(p, **settings), start, gradients)
    assert all(p.dtype == np.float32 for p in found)
    assert_close(found, expected, **tolerance(2**-23))


def test_adams_defaults_are_torchs(torch):
    expected = theirs(torch, torch.optim.Adam, *problem(steps=10))
    assert_close(ours(optim.Adam, *problem(steps=10)), expected, **tolerance(2**-52))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_adams_first_step_is_lr_long(dtype, backend):
    """m̂ = g and v̂ = g² exactly, so p moves by lr · sign g, up to a few roundings.

    1 − β₂ made from a float32 β₂ is wrong by 1.3·10⁻⁵ of itself, a hundred roundings.
    """
    g = np.array([3.0, -0.2, 50.0, 1.0, -7.0], dtype)
    (p,) = ours(lambda params: optim.Adam(params, lr=1.0, eps=0.0), [np.zeros(5, dtype)], [[g]])
    np.testing.assert_allclose(p, -np.sign(g), rtol=8 * np.finfo(dtype).eps)


def test_the_two_backends_take_the_same_adam_steps():
    """And keep the same state: p alone would hide a wrong v for many steps."""
    found = {}
    for name in ("numpy", "numba"):
        start, gradients = problem(steps=20)
        with kernels.backend(name):
            adam = []
            found[name] = ours(
                lambda params, adam=adam: adam.append(optim.Adam(params, LR)) or adam[0],
                start,
                gradients,
            )
            found[name] += adam[0].means + adam[0].squares
            assert [int(step) for step in adam[0].steps] == [20] * 3
    # The means are not lr long: their own bound is 20 ε of the largest gradients, some 10² · 4.
    atol = 20 * 2**-52 * 400
    assert_close(found["numba"], found["numpy"], rtol=3 * 20 * 2**-52, atol=atol)


def test_adam_kernel_leaves_the_gradient_alone(backend):
    start, ((g, _, large),) = problem(steps=1)
    for p, gradient in ((start[0], g), (start[2], large)):
        before, m, v, step, lr = gradient.copy(), 0 * p, 0 * p, np.array(0), np.array(0.1)
        static = {"betas": (0.9, 0.999), "eps": 1e-8}
        assert evaluate(adam_, [lr, p, m, v, step, gradient], static) is not p
        assert m.any() and v.any() and step == 1
        np.testing.assert_array_equal(gradient, before)


def test_an_update_of_incomplete_states_is_refused():
    p = Tensor(np.ones(3, np.float32))
    for states in ((), (p, p, p), (p,) * 6):
        with pytest.raises(TypeError, match=f"adam_: {len(states)} arrays after lr; give p, m, v"):
            adam_(Tensor(0.1), *states, betas=(0.9, 0.999), eps=1e-8)


def test_the_forward_is_algorithm_1():
    """Kingma & Ba's own lines, for one number and three steps, in Python floats."""
    p, m, v, step = np.array([1.0]), np.zeros(1), np.zeros(1), np.array(0)
    theta, first, second = 1.0, 0.0, 0.0
    for t, g in enumerate((0.3, -2.0, 1e-4), start=1):
        adam_.forward(np.array(0.1), p, m, v, step, np.array([g]), betas=(0.9, 0.99), eps=1e-2)
        first = 0.9 * first + (1 - 0.9) * g
        second = 0.99 * second + (1 - 0.99) * g**2
        theta -= 0.1 * (first / (1 - 0.9**t)) / ((second / (1 - 0.99**t)) ** 0.5 + 1e-2)
        np.testing.assert_allclose([p[0], m[0], v[0]], [theta, first, second], rtol=1e-14)
        assert step == t


# ---- SGD


@pytest.mark.parametrize("momentum", [0.0, 0.9])
def test_sgd_is_torchs(momentum, torch):
    """With momentum the buffer is ten gradients long, and so is what a hundred steps can lose."""
    settings = {"lr": LR, "momentum": momentum}
    start, gradients = problem()
    expected = theirs(torch, lambda p: torch.optim.SGD(p, **settings), start, gradients)
    found = ours(lambda p: optim.SGD(p, **settings), start, gradients)
    for i, (a, b) in enumerate(zip(found, expected, strict=True)):
        size = np.abs(np.stack([step[i] for step in gradients])).max()
        error = STEPS * LR * size / (1 - momentum) * 20 * 2**-52 + STEPS * np.abs(b).max() * 2**-52
        np.testing.assert_allclose(a, b, rtol=0, atol=error)


# ---- what both do


@pytest.mark.parametrize("name", MAKERS)
def test_a_single_number_can_be_trained(name, backend):
    """A 0-dimensional parameter, such as a learned temperature."""
    start, gradients = problem(shapes=[()], steps=3)
    flat = [[g.reshape(1) for g in step] for step in gradients]
    (found,) = ours(MAKERS[name](optim), start, gradients)
    (expected,) = ours(MAKERS[name](optim), [start[0].reshape(1)], flat)
    assert found.shape == ()
    np.testing.assert_array_equal(found, expected[0])


@pytest.mark.parametrize("name", MAKERS)
def test_a_parameter_without_gradient_is_left_alone(name, torch):
    """And its own steps are counted: bias correction starts with its first gradient."""
    start, gradients = problem(shapes=[(3,), (4,)], steps=10)
    never = [[g, None] for g, _ in gradients]
    np.testing.assert_array_equal(ours(MAKERS[name](optim), start, never)[1], start[1])
    late = [[g, h if i > 4 else None] for i, (g, h) in enumerate(gradients)]
    expected = theirs(torch, MAKERS[name](torch.optim), start, late)
    # Ten steps of SGD with gradients of up to 400, or of Adam: far fewer roundings than above.
    assert_close(ours(MAKERS[name](optim), start, late), expected, rtol=1e-13, atol=1e-12)


@pytest.mark.parametrize("name", MAKERS)
def test_a_parameter_without_gradient_does_not_count_as_written(name):
    used, unused = nn.Parameter(np.ones(3)), nn.Parameter(np.ones(3))
    y = (unused * unused).sum()
    used.grad = Tensor(np.ones(3))
    MAKERS[name](optim)([used, unused]).step()
    y.backward()  # would raise


@pytest.mark.parametrize("name", MAKERS)
def test_the_layout_of_a_gradient_does_not_matter(name, backend):
    """A linear layer's pull gives a transposed view; a kernel that ignored strides would mix it."""
    (start,), ((g,),) = problem(shapes=[(150, 140)], steps=1)
    found = []
    for gradient in (Tensor(g), Tensor(g.T).T):
        p = nn.Parameter(start)
        p.grad = gradient
        MAKERS[name](optim)([p]).step()
        found.append(p.data)
    np.testing.assert_array_equal(*found)


@pytest.mark.parametrize("name", MAKERS)
def test_zero_grad_forgets_all_gradients(name):
    params = [nn.Parameter(np.ones(2)) for _ in range(3)]
    for p in params[:2]:
        p.grad = Tensor(np.ones(2))
    MAKERS[name](optim)(iter(params)).zero_grad()
    assert all(p.grad is None for p in params)


def test_arguments_stand_in_torchs_places(torch):
    for name, shared in (("SGD", 3), ("Adam", 4)):
        ours, theirs = (
            list(inspect.signature(getattr(library, name)).parameters.values())
            for library in (optim, torch.optim)
        )
        assert len(ours) == shared
        for a, b in zip(ours, theirs, strict=False):
            assert (a.name, a.default) == (b.name, b.default)
