"""minigrad.optim: SGD and Adam against PyTorch's, on the same gradients."""

import inspect

import numpy as np
import pytest

from minigrad import Tensor, kernels, linear, nn, optim
from minigrad.core.interpreter import setting
from minigrad.core.primitive import evaluate
from minigrad.ops.updates import adam_

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
        static = {"beta1": 0.9, "beta2": 0.999, "eps": 1e-8}
        assert evaluate(adam_, [p, m, v, step, gradient, lr], static) is not p
        assert m.any() and v.any() and step == 1
        np.testing.assert_array_equal(gradient, before)


def test_the_forward_is_algorithm_1():
    """Kingma & Ba's own lines, for one number and three steps, in Python floats."""
    p, m, v, step = np.array([1.0]), np.zeros(1), np.zeros(1), np.array(0)
    theta, first, second = 1.0, 0.0, 0.0
    for t, g in enumerate((0.3, -2.0, 1e-4), start=1):
        adam_.forward(p, m, v, step, np.array([g]), np.array(0.1), beta1=0.9, beta2=0.99, eps=1e-2)
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

MAKERS = {
    "SGD": lambda library: lambda p: library.SGD(p, lr=LR, momentum=0.9),
    "Adam": lambda library: lambda p: library.Adam(p, lr=LR),
}


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
def test_a_step_makes_a_recorded_graph_stale(name):
    """backward would use the new weights for the old forward pass."""
    p = nn.Parameter(np.float32([[1, 2], [3, 4]]))
    x = Tensor(np.float32([[5, 6]]), requires_grad=True)
    optimizer = MAKERS[name](optim)([p])
    y = linear(x, p, Tensor(np.zeros(2, np.float32)))
    y.backward(np.float32([[0.3, -2]]), retain_graph=True)
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"linear: operand 1, of shape \(2, 2\), was written"):
        y.backward(np.float32([[0.3, -2]]))


@pytest.mark.parametrize("name", MAKERS)
def test_a_state_dict_is_all_that_an_optimiser_remembers(name):
    """Without Adam's step, or with state that is shared, the second half would differ.

    The second parameter has missed some steps, so that one count cannot serve both.
    """
    start, gradients = problem(shapes=[(3,), (4,)], steps=10)
    first = [[g, h if i > 2 else None] for i, (g, h) in enumerate(gradients[:5])]
    second = gradients[5:]
    whole = ours(MAKERS[name](optim), start, first + second)
    made = []
    half = ours(lambda params: made.append(MAKERS[name](optim)(params)) or made[0], start, first)
    state = made[0].state_dict()
    for p, g in zip(made[0].params, gradients[0], strict=True):  # the first one goes its own way
        p.grad = Tensor(g)
    half = [p.copy() for p in half]
    made[0].step()

    def resumed(params):
        optimizer = MAKERS[name](optim)(params)
        optimizer.load_state_dict(state)
        return optimizer

    for a, b in zip(ours(resumed, half, second), whole, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(ours(resumed, half, second), whole, strict=True):  # state was only read
        np.testing.assert_array_equal(a, b)


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


def give_gradients(optimizer, dtype=np.float64):
    for p in optimizer.params:
        p.grad = Tensor(np.ones(p.shape, dtype))


@pytest.mark.parametrize("name", MAKERS)
def test_state_is_taken_over_in_the_form_that_kernels_go_by(name):
    optimizer = MAKERS[name](optim)(nn.Linear(3, 2).parameters())
    items = optimizer.state_dict().items()
    state = {key: np.array(array + 1, ">f8", order="F") for key, array in items}
    optimizer.load_state_dict(state)
    for key, array in optimizer.state_dict().items():
        slot, i = key.split(".")
        assert isinstance(getattr(optimizer, slot)[int(i)], Tensor)
        mine = getattr(optimizer, slot)[int(i)]._array
        assert mine.dtype == (np.int64 if slot == "steps" else np.float32)
        assert mine.flags.carray and mine.flags.owndata and mine.dtype.isnative
        np.testing.assert_array_equal(array, state[key])
    give_gradients(optimizer, np.float32)
    optimizer.step()


@pytest.mark.parametrize("name", MAKERS)
def test_every_write_of_a_step_goes_through_the_door(name, backend):
    """An observer sees one update for each parameter, and what it says is written: parameter and
    state, all of it. Nothing else ran."""
    optimizer = MAKERS[name](optim)(nn.Linear(3, 2).parameters())
    give_gradients(optimizer, np.float32)
    seen = []
    with setting(observer=lambda primitive, operands, static, results: seen.append(results)):
        optimizer.step()
    state = zip(*(getattr(optimizer, slot) for slot in optimizer.slots), strict=True)
    written = [(p, *others) for p, others in zip(optimizer.params, state, strict=True)]
    assert [[*map(id, some)] for some in seen] == [[*map(id, some)] for some in written]
    for some in written:
        assert all(tensor._written[0] > 0 for tensor in some)


@pytest.mark.parametrize("name", MAKERS)
def test_a_step_makes_a_graph_of_the_state_stale(name):
    """State is tensors, and its writes count as those of parameters do."""
    p = nn.Parameter(np.ones(2, np.float32))
    optimizer = MAKERS[name](optim)([p])
    x = Tensor(np.ones(2, np.float32), requires_grad=True)
    y = (x * getattr(optimizer, optimizer.slots[0])[0]).sum()
    p.grad = Tensor(np.ones(2, np.float32))
    optimizer.step()
    with pytest.raises(RuntimeError, match=r"multiply: operand 1, of shape \(2,\), was written"):
        y.backward()


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        ({"lr": None}, TypeError), ({"lr": float("nan")}, ValueError), ({"lr": -1.0}, ValueError),
        ({"lr": "0.1"}, TypeError), ({"eps": None}, TypeError), ({"betas": (1, 1)}, ValueError),
    ],
)  # fmt: skip
def test_settings_that_were_changed_are_checked_before_a_step(settings, error):
    w = Tensor([1.0, 2.0], requires_grad=True)
    adam = optim.Adam([w])
    (w * w).sum().backward()
    for name, value in settings.items():
        setattr(adam, name, value)
    with pytest.raises(error, match="|".join(settings)):
        adam.step()
    assert w.numpy().tolist() == [1, 2] and adam.steps[0].item() == 0


def test_a_schedule_may_stop_and_a_count_is_not_negative():
    p, w = (Tensor([1.0, 2.0], requires_grad=True) for _ in range(2))
    adam = optim.Adam([p, w])
    (p * w).sum().backward()
    adam.lr = 0
    adam.step()
    assert p.numpy().tolist() == [1, 2]
    adam.steps[1] = Tensor(np.array(-1))
    with pytest.raises(ValueError, match="steps of parameter 1 is -1"):
        adam.step()
    assert adam.steps[0].item() == 1
