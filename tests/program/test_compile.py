"""What `compile` promises: the bits of eager steps, whatever happens between the calls."""

import contextlib
import threading
import warnings

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn, optim, random
from minigrad.program import RecordingError
from models import gan
from models.vae import VAE
from tests.program.helpers import classifier, everything, images, perceptron, pictures, same
from train_gan import make_networks
from train_gan import make_step as gan_step
from train_vae import make_step as vae_step


def train(make, compiled, batches):
    """Everything that a training leaves behind, and what its steps returned."""
    random.seed(0)
    step, *parts = make()
    step = mg.compile(step) if compiled else step
    returned = [{name: y.numpy().copy() for name, y in step(*b).items()} for b in batches]
    return everything(*parts), returned


def vae(double=False):
    model = VAE(10)
    model = model.double() if double else model
    adam = optim.Adam(model.parameters())
    return vae_step(model, adam), model, adam


def gans(arch, loss, double=False):
    networks = make_networks(arch, lr=1e-3)[:2]
    if double:
        networks = [network.double() for network in networks]
    adams = [optim.Adam(network.parameters(), betas=(0.5, 0.999)) for network in networks]
    return gan_step(loss, *networks, *adams), *networks, *adams


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_the_vae_has_the_bits_of_eager_steps(double, backend):
    batches = [[pictures(i, double)] for i in range(4)]
    with mg.kernels.backend(backend):
        assert same(*[train(lambda: vae(double), c, batches) for c in (False, True)])


@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("loss", gan.LOSSES)
@pytest.mark.parametrize("arch", gan.NETWORKS)
def test_the_gans_have_the_bits_of_eager_steps(arch, loss, double):
    batches = [[pictures(i, double)] for i in range(3)]
    assert same(*[train(lambda: gans(arch, loss, double), c, batches) for c in (False, True)])


def test_a_classifier_has_the_bits_of_eager_steps_and_a_smaller_last_batch():
    batches = [
        [images(i, 784)[:n], np.arange(n) % 10] for i, n in enumerate((64, 64, 64, 9, 64, 9))
    ]
    assert same(*[train(classifier, compiled, batches) for compiled in (False, True)])


# ---- what a caller keeps


def test_results_of_two_calls_share_no_memory_and_have_no_graph():
    step = mg.compile(lambda x: (x * 2, {"more": [x + 1, None, 3]}))
    calls = [step(np.full(3, i, np.float32)) for i in range(4)]
    for i, (double, rest) in enumerate(calls):
        assert double.numpy().tolist() == [2 * i] * 3 and double.is_leaf
        assert rest["more"][0].numpy().tolist() == [i + 1] * 3 and rest["more"][1:] == [None, 3]


@pytest.mark.parametrize("kept", [lambda g: g, lambda g: g.numpy(), lambda g: g.detach()])
def test_a_gradient_that_is_kept_stays_as_it_is(kept):
    w = Tensor([1.0, 2.0], requires_grad=True)

    @mg.compile
    def step(x):
        w.grad = None
        (w * w * x).sum().backward()

    found = []
    for i in range(8):
        step(np.float32([i, i]))
        found.append(kept(w.grad))
    assert [np.array(g).tolist() for g in found] == [[2 * i, 4 * i] for i in range(8)]


def test_gradients_accumulate_over_calls_until_they_are_cleared_outside():
    w = Tensor([1.0, 2.0], requires_grad=True)
    step = mg.compile(lambda x: (w * x).sum().backward())
    for _ in range(3):
        w.grad = None
        for i in range(1, 5):
            step(np.float32([1, 10]))
            assert w.grad.numpy().tolist() == [i, 10 * i]


def test_the_gradient_of_an_argument_is_its_own():
    step = mg.compile(lambda x: (x * x).sum().backward())
    for i in range(4):
        x = Tensor([float(i), 1.0], requires_grad=True)
        step(x)
        step(x)
        assert x.grad.numpy().tolist() == [4 * i, 4]


def test_writes_of_a_replay_are_counted():
    step, model, adam = classifier()
    step = mg.compile(step)
    for i in range(3):
        loss = (model[0].weight * 2).sum()
        step(images(i, 784)[:5], np.arange(5))
        with pytest.raises(RuntimeError, match="was written after"):
            loss.backward()


# ---- what the library knows of is honoured


def test_a_learning_rate_may_change_at_every_step_without_a_recording():
    ends = []
    for compiled in (False, True):
        random.seed(0)
        step, model, adam = perceptron()
        step = mg.compile(step) if compiled else step
        for i in range(5):
            adam.lr = 0.1 / (i + 1)
            step(images(i, 4))
        ends.append(everything(model, adam))
        if compiled:
            assert len(step._recordings) == 1 and step._recordings[0].replay
    assert same(*ends)


CHANGES = {
    "eval": lambda model, adam: model.eval(),
    "a parameter": lambda model, adam: setattr(model[0], "bias", nn.Parameter(np.ones(3, "f"))),
    "weights": lambda model, adam: model.load_state_dict(
        {name: array + 1 for name, array in model.state_dict().items()}
    ),
    "Adam's state": lambda model, adam: adam.load_state_dict(
        {name: array + 1 for name, array in adam.state_dict().items()}
    ),
    "Adam's settings": lambda model, adam: setattr(adam, "betas", (0.5, 0.5)),
    "requires_grad": lambda model, adam: setattr(model[0].bias, "requires_grad", False),
    "the seed": lambda model, adam: random.seed(5),
    "a module": lambda model, adam: setattr(model, "1", nn.Tanh()),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_what_changes_between_steps_is_honoured(change):
    ends = []
    for compiled in (False, True):
        random.seed(0)
        step, model, adam = perceptron(nn.Dropout(0.3), nn.BatchNorm1d(3))
        step = mg.compile(step) if compiled else step
        for i in range(8):
            if i == 4:
                change(model, adam)
            step(images(i, 4))
            if i == 5:
                with mg.no_grad():
                    model.eval()(Tensor(images(i, 4)))
                model.train(i != 5 or change is not CHANGES["eval"])
        ends.append(everything(model, adam))
    assert same(*ends)


def test_after_evaluation_a_known_program_is_replayed_again():
    step, model, adam = perceptron(nn.Dropout(0.3))
    step = mg.compile(step)
    for i in range(6):
        step(images(i, 4))
        if i == 3:
            model.eval()
            model.train()
            replay = step._recordings[0].replay
    assert len(step._recordings) == 1 and step._recordings[0].replay is replay


def test_a_program_is_checked_against_the_function():
    weight = [1.0]
    step = mg.compile(lambda x: x * weight[0] + 1, check_every=4)
    x = np.float32([1, 2])
    for _ in range(4):
        assert step(x).numpy().tolist() == [2, 3]
    weight[0] = 2.0
    for _ in range(3):
        assert step(x).numpy().tolist() == [2, 3]  # frozen
    with pytest.raises(RecordingError, match=r"before: .*multiply\(x, 1\).*\nnow: .*\(x, 2\)"):
        step(x)


def test_a_check_after_a_setting_was_changed_finds_nothing_wrong():
    step, model, _ = perceptron(nn.Dropout(0.3))
    step = mg.compile(step, check_every=3)
    for i in range(9):
        step(images(i, 4))
        model.train(i < 4)  # the sixth call is checked, and the first one in evaluation
    assert len(step._recordings) == 2


def test_the_ninth_recording_warns_and_old_ones_are_dropped():
    step = mg.compile(lambda x: x * 2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for n in range(1, 9):
            step(np.ones(n))
            step(np.ones(n))
    with pytest.warns(
        UserWarning, match=r"recorded for the 9th time: its arguments are now .*\(9,\)"
    ):
        step(np.ones(9))
    for n in range(10, 30):
        step(np.ones(n))
    assert len(step._recordings) == 8


# ---- what goes wrong


def test_an_error_while_recording_or_replaying_leaves_all_usable():
    random.seed(0)
    step, model, adam = classifier()
    step = mg.compile(step)
    x = images(0, 784)[:5]
    for labels in ([0, 1, 2, 3, 99], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 99]):
        wrong = pytest.raises(ValueError, match="labels from 0 to 99 for 10 classes")
        with wrong if labels[-1] > 9 else contextlib.nullcontext():
            step(x, np.array(labels))
    random.seed(0)
    eager, eagers, eager_adam = classifier()
    for _ in range(2):
        eager(x, np.arange(5))
    eagers.zero_grad()
    step(x, np.arange(5))
    eager(x, np.arange(5))
    assert same(everything(model, adam), everything(eagers, eager_adam))


def test_one_program_called_from_several_threads():
    step = mg.compile(lambda x: (mg.tanh(x) * 2).sum(axis=1))
    xs = [images(i, 784) for i in range(4)]
    wanted = [(mg.tanh(Tensor(x)) * 2).sum(axis=1).numpy() for x in xs]
    step(xs[0])
    failed = []

    def work(i):
        for _ in range(30):
            failed.extend([i] * bool((step(xs[i]).numpy() != wanted[i]).any()))

    threads = [threading.Thread(target=work, args=[i]) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed


def test_a_compiled_function_inside_another_is_a_part_of_it():
    inner = mg.compile(lambda x: x * 2)
    outer = mg.compile(lambda x: inner(inner(x)) + 1)
    for i in range(3):
        assert inner(np.float32(i).reshape(1)).item() == 2 * i
        assert outer(np.float32(i).reshape(1)).item() == 4 * i + 1
    assert [i.primitive.name for i in outer.program.instructions] == ["multiply", "multiply", "add"]


def test_arrays_come_as_tensors_also_where_an_observer_looks_on():
    step = mg.compile(lambda x, y: [(x if x is y else 2 * y).relu().sum()])
    x = np.float32([1, 3])
    for block in (mg.trace(), contextlib.nullcontext()):
        with block:
            assert [t.item() for t in step(x, x) + step(x, y=x.copy())] == [4, 8]


def test_no_grad_outside_is_another_program():
    w = Tensor([2.0], requires_grad=True)
    step = mg.compile(lambda x: (w * x).sum())
    for _ in range(3):
        with mg.no_grad():
            assert step(np.float32([3])).item() == 6
        assert step(np.float32([3])).item() == 6
    assert len(step._recordings) == 2


def test_a_method_can_be_compiled():
    class Scale(nn.Module):
        def __init__(self, by):
            self.by = nn.Parameter(np.float32(by))

        @mg.compile
        def forward(self, x):
            return x * self.by

    two, three = Scale(2), Scale(3)
    for i in range(3):
        assert two(np.float32([i])).item() == 2 * i and three(np.float32([i])).item() == 3 * i


def test_a_printed_line_ends_with_what_is_known_of_it():
    """... and not with blanks where the source of a line is unknown."""
    step = mg.compile(eval("lambda x: (x * 2).sum()"))
    step(np.ones(3, np.float32))
    assert "# <string>:1\n" in str(step.program) and " \n" not in str(step.program)
