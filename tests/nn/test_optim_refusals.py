"""minigrad.optim: parameters, settings and state that make no sense are refused; nothing moves."""

import itertools

import numpy as np
import pytest

from minigrad import Tensor, nn, optim
from tests.nn.optimisers import MAKERS, give_gradients


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: optim.Adam([]), "Adam: the list of parameters is empty"),
        (lambda: optim.SGD(iter(()), lr=0.1), "SGD: the list of parameters is empty"),
        *[
            (lambda lr=lr, cls=cls: cls([nn.Parameter(1.0)], lr=lr), f"{cls.__name__}: lr = {lr}")
            for lr, cls in itertools.product((0, -1e-3, np.nan), (optim.SGD, optim.Adam))
        ],
        *[
            (lambda b=b: optim.Adam([nn.Parameter(1.0)], betas=b), "Adam: betas = ")
            for b in ((1.0, 0.9), (0.9, 1.0), (-0.1, 0.9), (0.9, -0.1), (0.9, np.nan))
        ],
    ],
)
def test_settings_that_make_no_sense_are_refused(make, message):
    with pytest.raises(ValueError) as error:
        make()
    assert message in str(error.value)


@pytest.mark.parametrize("cls", [optim.SGD, optim.Adam])
@pytest.mark.parametrize(
    ("give", "words"),
    [
        (lambda layer: layer, r"a Linear; give its parameters: model.parameters\(\)"),
        (lambda layer: layer.parameters, "call it, with brackets"),
        (lambda layer: layer.weight, r"a Parameter; give a list of tensors, \[w\]"),
        (lambda layer: [layer], "a Linear; it must give tensors"),
        (lambda layer: [np.ones(2)], "a ndarray; it must give tensors"),
        (lambda layer: layer.named_parameters(), "a tuple; it must give tensors"),
        (lambda layer: layer.state_dict(), r"a dict; give model.parameters\(\)"),
        (lambda layer: [{"params": layer.parameters()}], "a dict; there are no groups"),
        (lambda layer: None, r"a NoneType; give model.parameters\(\)"),
        (lambda layer: "weight", r"a str; give model.parameters\(\)"),
        (lambda layer: 3, "a int; give"),
        (lambda layer: [None], "a NoneType; it must give tensors"),
        (lambda layer: [Tensor([1.0])], "requires_grad=True"),
        (lambda layer: [Tensor([1j], requires_grad=True)], "a floating dtype"),
    ],
)
def test_parameters_that_are_none_are_refused_with_what_to_write(cls, give, words):
    with pytest.raises((TypeError, ValueError), match=f"{cls.__name__}: .*{words}"):
        cls(give(nn.Linear(2, 2)))


@pytest.mark.parametrize(
    ("cls", "name", "value"),
    [
        *[(c, "lr", v) for c in (optim.SGD, optim.Adam) for v in (np.inf, "0.1", None, [1], True)],
        *[(optim.SGD, "momentum", v) for v in (-0.1, np.nan, np.inf, "x", None)],
        *[(optim.Adam, "eps", v) for v in (-1e-8, np.nan, np.inf, "x", None)],
        *[(optim.Adam, "betas", v) for v in (0.9, (0.9,), (0.9, 0.99, 0.999), "ab", ("a", 0.9))],
        *[(optim.Adam, "betas", v) for v in (None, (None, 0.9), (0.9, np.inf), np.ones(2))],
    ],
)
def test_settings_of_another_kind_are_refused(cls, name, value):
    with pytest.raises((TypeError, ValueError), match=f"{cls.__name__}: {name} = "):
        cls([nn.Parameter(1.0)], **{name: value})


def replace_state(state):
    def change(optimizer, module):
        slot = optimizer.slots[0]
        getattr(optimizer, slot)[-1] = state

    return change


def double_afterwards(optimizer, module):
    module.double()
    give_gradients(optimizer)


def lock_state(optimizer, module):
    getattr(optimizer, optimizer.slots[0])[-1] = Tensor(np.float32(0)).broadcast_to((2,))


def compute_state(optimizer, module):
    getattr(optimizer, optimizer.slots[0])[-1] = optimizer.params[-1] * 2


def values(state):
    return state.data if isinstance(state, Tensor) else state


def drop_state(optimizer, module):
    del getattr(optimizer, optimizer.slots[0])[-1]


def own_gradient(array):
    def change(optimizer, module):  # as if nobody had looked when it was set
        optimizer.params[-1].grad._array = array

    return change


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (double_afterwards, "Make the optimiser after double"),
        (replace_state(Tensor(np.zeros(1, np.float32))), r"is a Tensor of shape \(1,\)"),
        (replace_state(Tensor(np.zeros((2, 1), np.float32))), r"is a Tensor of shape \(2, 1\)"),
        (replace_state(Tensor(np.zeros(2))), "and dtype float64; it must be .* float32"),
        (replace_state([0.0, 0.0]), "is a list"),
        (replace_state(np.zeros(2, np.float32)), "is a ndarray; it must be a Tensor"),
        (lock_state, "and writable"),
        (compute_state, "and writable"),
        (drop_state, "is a NoneType"),
        (own_gradient(np.ones(1, np.float32)), r"grad of parameter 1 is a Tensor of shape \(1,\)"),
        (own_gradient(np.ones(2)), "grad of parameter 1 is .* float64"),
    ],
)
def test_what_does_not_fit_is_seen_before_any_parameter_moves(name, change, words, backend):
    module = nn.Linear(3, 2)
    optimizer = MAKERS[name](optim)(module.parameters())
    give_gradients(optimizer, np.float32)
    optimizer.step()
    change(optimizer, module)
    slots = [list(getattr(optimizer, slot)) for slot in optimizer.slots]
    before = [p.data.copy() for p in optimizer.params]
    kept = [[np.copy(values(state)) for state in states] for states in slots]
    with pytest.raises(ValueError, match=f"{name}: .*{words}"):
        optimizer.step()
    for p, old in zip(optimizer.params, before, strict=True):
        np.testing.assert_array_equal(p.data, old)
    for slot, olds in zip(optimizer.slots, kept, strict=True):
        for new, old in zip(getattr(optimizer, slot), olds, strict=True):
            np.testing.assert_array_equal(values(new), old)


@pytest.mark.parametrize(
    ("count", "words"),
    [
        (Tensor(np.array(1.5)), r"shape \(\) and dtype float64; .* shape \(\) and dtype int64"),
        (Tensor(np.array([1])), r"shape \(1,\) and dtype int64; .* shape \(\) and dtype int64"),
        (np.array(1), "a ndarray; "),
        (1, "a int; "),
    ],
)
def test_a_count_that_is_none_is_seen(count, words):
    optimizer = optim.Adam([nn.Parameter(1.0)])
    give_gradients(optimizer, np.float32)
    optimizer.steps[0] = count
    with pytest.raises(ValueError, match=f"steps of parameter 0 is .*{words}"):
        optimizer.step()


@pytest.mark.parametrize("name", MAKERS)
@pytest.mark.parametrize(
    "value", [np.ones(2, complex), np.array(["1", "2"]), None, [1.0, 2.0], np.array([1.0, 1e300])]
)
def test_state_that_cannot_be_had_is_refused_whole(name, value):
    optimizer = MAKERS[name](optim)(nn.Linear(3, 2).parameters())
    before = optimizer.state_dict()
    state = {key: array + 1 for key, array in before.items()}
    state[f"{optimizer.slots[0]}.1"] = value
    with pytest.raises(ValueError, match=f"{optimizer.slots[0]}.1 "):
        optimizer.load_state_dict(state)
    for key, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


@pytest.mark.parametrize("name", MAKERS)
def test_the_state_of_other_parameters_is_refused(name):
    other = MAKERS[name](optim)([nn.Parameter(np.ones(3)), nn.Parameter(np.ones(4))])
    optimizer = MAKERS[name](optim)([nn.Parameter(np.ones(3)), nn.Parameter(np.ones(1))])
    before = optimizer.state_dict()
    state = {key: array + 1 for key, array in other.state_dict().items()}
    with pytest.raises(ValueError, match=r"has shape \(4,\)"):
        optimizer.load_state_dict(state)
    for key, array in optimizer.state_dict().items():
        np.testing.assert_array_equal(array, before[key])


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
