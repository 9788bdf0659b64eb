"""minigrad.nn: the layers and their names against PyTorch's, and what a state_dict may do."""

import numpy as np
import pytest

from minigrad import Tensor, grad, nn, random

# float64: a handful of operations of rounding error 1e-16 each, on numbers of size 10 or less.
TOLERANCE = {"rtol": 1e-13, "atol": 1e-13}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def layers(nn):
    """An architecture that minigrad.nn and torch.nn both can build: more than ten layers."""
    head = nn.Sequential(nn.Linear(5, 3, bias=False), nn.Tanh(), nn.Linear(3, 2))
    body = [nn.Linear(4, 4) if i % 2 == 0 else nn.ELU() for i in range(11)]
    return nn.Sequential(nn.Linear(6, 4), nn.Softplus(), *body, nn.Linear(4, 5), head)


class Counter(nn.Module):
    """A buffer before a parameter, a submodule before both, and what is neither."""

    def __init__(self):
        self.inner = nn.Linear(2, 3)
        self.count = Tensor(np.float32([7, 8]))
        self.scale = nn.Parameter(np.float32([1, 2, 3]))
        self.name, self.bias, self.array = "counter", None, np.ones(3)

    def forward(self, x):
        return self.inner(x) * self.scale


# ---- Linear


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(5,), (4, 5), (2, 3, 5), (0, 5), (2, 0, 5)])
def test_linear_is_torchs(shape, bias, torch, rng):
    layer = nn.Linear(5, 3, bias=bias).double()
    x, g = rng.standard_normal(shape), rng.standard_normal((*shape[:-1], 3))
    inputs = [Tensor(x, requires_grad=True), *layer.parameters()]
    y = layer(inputs[0])
    twins = [torch.tensor(t.data, requires_grad=True) for t in inputs]
    expected = torch.nn.functional.linear(*twins)
    assert len(inputs) == 2 + bias and y.shape == g.shape and y.dtype == np.float64
    np.testing.assert_allclose(y.data, expected.detach().numpy(), **TOLERANCE)
    gradients = grad(y, inputs, g)
    for ours, theirs in zip(
        gradients, torch.autograd.grad(expected, twins, torch.tensor(g)), strict=True
    ):
        assert ours.shape == theirs.shape
        np.testing.assert_allclose(ours.data, theirs.numpy(), **TOLERANCE)


def test_linear_starts_uniform_within_one_over_the_root_of_in_features(torch):
    """Many outputs and few inputs, so that a bound from the wrong count would be far off."""
    stats = pytest.importorskip("scipy.stats", reason="needs scipy")
    with random.fork(0):
        ours = nn.Linear(4, 20_000)
    torch.manual_seed(0)
    for layer in (ours, torch.nn.Linear(4, 20_000)):
        for name in ("weight", "bias"):
            draws = getattr(layer, name).detach().numpy().ravel()
            # The largest of n draws comes within 20 bound / n of the bound, but for e⁻¹⁰.
            assert 0.5 * (1 - 20 / draws.size) < np.abs(draws).max() <= 0.5
            assert stats.kstest(draws, "uniform", args=(-0.5, 1)).pvalue > 1e-3
    assert np.unique(ours.weight.data[:100]).size > 395  # not one row, or one number, repeated


def test_linear_draws_from_the_seeded_generator():
    with random.fork(3):
        a = nn.Linear(3, 4)
    with random.fork(3):
        b, c = nn.Linear(3, 4), nn.Linear(3, 4)
    assert (a.weight.data == b.weight.data).all() and (a.bias.data == b.bias.data).all()
    assert (a.weight.data != c.weight.data).all()


# ---- activations


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("ReLU", {}),
        ("LeakyReLU", {}),
        ("LeakyReLU", {"negative_slope": 0.2}),
        ("ELU", {}),
        ("ELU", {"alpha": 0.7}),
        ("Sigmoid", {}),
        ("Tanh", {}),
        ("Softplus", {}),
    ],
)
def test_activations_are_torchs(name, settings, torch, rng):
    # PyTorch's softplus gives up log(1 + eˣ) for x above a threshold: 20 would show.
    extra = {"threshold": 50} if name == "Softplus" else {}
    x = np.concatenate([rng.uniform(-3, 3, 30), [-40.0, -15.0, 0.0, 15.0, 40.0]]).reshape(5, 7)
    g = rng.standard_normal(x.shape)
    ours, theirs = Tensor(x, requires_grad=True), torch.tensor(x, requires_grad=True)
    y = getattr(nn, name)(**settings)(ours)
    expected = getattr(torch.nn, name)(**settings, **extra)(theirs)
    np.testing.assert_allclose(y.data, expected.detach().numpy(), **TOLERANCE)
    y.backward(g)
    expected.backward(torch.tensor(g))
    np.testing.assert_allclose(ours.grad.data, theirs.grad.numpy(), **TOLERANCE)


# ---- names


def test_names_order_and_shapes_are_torchs(torch):
    """Sorted names would put "10" before "2"; an activation without weights must be counted."""
    ours, theirs = layers(nn), layers(torch.nn)
    shapes = {name: tuple(value.shape) for name, value in theirs.state_dict().items()}
    assert list(shapes)[-3:] == ["14.0.weight", "14.2.weight", "14.2.bias"]
    state = {name: value.shape for name, value in ours.state_dict().items()}
    assert list(state.items()) == list(shapes.items())
    named = [(name, p.shape) for name, p in ours.named_parameters()]
    assert named == [(name, tuple(p.shape)) for name, p in theirs.named_parameters()]
    assert [p.shape for p in ours.parameters()] == [shape for _, shape in named]


def test_own_tensors_come_before_submodules(torch):
    """As in PyTorch, whatever order the attributes were assigned in."""

    class Theirs(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = torch.nn.Linear(2, 3)
            self.scale = torch.nn.Parameter(torch.ones(3))

    expected = [name for name, _ in Theirs().named_parameters()]
    assert expected == ["scale", "inner.weight", "inner.bias"]
    assert [name for name, _ in Counter().named_parameters()] == expected


def test_a_module_used_twice_is_trained_once(torch):
    """Listed twice, its parameters would get two optimiser's steps for one gradient."""

    def tied(nn):
        layer = nn.Linear(3, 3)
        return nn.Sequential(layer, nn.Tanh(), layer)

    ours, theirs = tied(nn), tied(torch.nn)
    assert len(list(ours.parameters())) == len(list(theirs.parameters())) == 2
    assert list(ours.state_dict()) == list(theirs.state_dict())  # which has both names


def test_a_plain_tensor_is_a_buffer():
    module = nn.Sequential(Counter())
    buffer = {"0.count"}
    parameters = {"0.scale", "0.inner.weight", "0.inner.bias"}
    assert set(module.state_dict()) == parameters | buffer
    assert {name for name, _ in module.named_parameters()} == parameters
    assert all(isinstance(p, nn.Parameter) and p.requires_grad for p in module.parameters())


# ---- state_dict


def test_weights_travel_from_torch_and_to_torch(torch, rng):
    ours, theirs, third = layers(nn).double(), layers(torch.nn).double(), layers(torch.nn).double()
    x = rng.standard_normal((3, 6))
    ours.load_state_dict(theirs.state_dict())
    third.load_state_dict({name: torch.tensor(w) for name, w in ours.state_dict().items()})
    with torch.no_grad():
        expected, there_and_back = theirs(torch.tensor(x)), third(torch.tensor(x))
    assert torch.equal(expected, there_and_back)
    np.testing.assert_allclose(ours(Tensor(x)).data, expected.numpy(), **TOLERANCE)


def test_state_dict_copies_and_so_does_loading():
    module = layers(nn)
    state = module.state_dict()
    before = {name: value.copy() for name, value in state.items()}
    module.load_state_dict(state)
    for value in state.values():
        value += 1  # writable, and the module's no more
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    kept = module.state_dict()
    next(module.parameters()).copy_(np.zeros((4, 6)))
    np.testing.assert_array_equal(kept["0.weight"], before["0.weight"])


def test_loading_keeps_the_dtype_and_loads_buffers():
    module = Counter()
    state = {name: np.asarray(value, np.float64) + 1 for name, value in module.state_dict().items()}
    module.load_state_dict(state)
    for name, value in module.state_dict().items():
        assert value.dtype == np.float32
        np.testing.assert_array_equal(value, state[name].astype(np.float32))


def test_a_state_dict_that_does_not_fit_is_refused_whole():
    """One message names every problem; not even the entries that fit are written."""
    module = layers(nn)
    y = module(Tensor(np.ones((1, 6), np.float32)))
    before = module.state_dict()
    state = {name: value + 1 for name, value in before.items()}
    del state["14.2.bias"]
    state["15.weight"] = np.zeros(2)
    state["0.bias"] = np.zeros(1)  # would broadcast to (4,)
    state["2.weight"] = np.zeros((4, 4, 1))
    with pytest.raises(ValueError) as error:
        module.load_state_dict(state)
    for problem in (
        "14.2.bias is missing",
        "15.weight is not in the ",
        "0.bias has shape (1,), the ",
        "2.weight has shape (4, 4, 1), the ",
    ):
        assert problem in str(error.value)
    assert str(error.value).count(";") == 3  # and names nothing else
    for name, value in module.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    y.backward(np.ones((1, 2)))  # nothing counts as written


def test_loading_makes_a_recorded_graph_stale():
    module = layers(nn)
    y = module(Tensor(np.ones((1, 6), np.float32)))
    module.load_state_dict(module.state_dict())
    with pytest.raises(RuntimeError, match="was written"):
        y.backward(np.ones((1, 2)))


# ---- the rest of Module


def test_train_and_eval_reach_every_module():
    counter, last = Counter(), nn.Linear(3, 1)
    middle = nn.Sequential(counter)
    module = nn.Sequential(middle, last)
    every = [module, middle, counter, counter.inner, last]
    assert all(m.training for m in every)
    assert module.eval() is module and not any(m.training for m in every)
    assert nn.Linear(1, 1).training  # a module of its own
    assert module.train() is module and all(m.training for m in every)


def test_double_converts_parameters_and_buffers_and_keeps_their_values():
    module = Counter()
    before = module.state_dict()
    parameters = list(module.parameters())
    assert module.double() is module
    for name, value in module.state_dict().items():
        assert value.dtype == np.float64
        np.testing.assert_array_equal(value, before[name])
    assert all(a is b for a, b in zip(parameters, module.parameters(), strict=True))
    assert module(Tensor(np.ones((1, 2)))).dtype == np.float64


def test_zero_grad_forgets_all_gradients():
    module = Counter()
    module(Tensor(np.ones((1, 2), np.float32))).sum().backward()
    assert all(p.grad is not None for p in module.parameters())
    module.zero_grad()
    assert all(p.grad is None for p in module.parameters())


def test_a_module_without_forward_says_its_name():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match="Empty has no forward"):
        Empty()(1)
