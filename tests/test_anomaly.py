"""detect_anomaly: what it names, what it lets pass, and that it changes nothing."""

import re
import threading
from unittest import mock

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, nn, optim
from minigrad.anomaly import AnomalyError
from minigrad.core.interpreter import current, setting
from minigrad.core.primitive import Primitive
from models.vae import VAE
from tests.core.helpers import leaf
from tests.program.helpers import everything, images, perceptron, same
from train_vae import make_step


def message(function, *args, **settings):
    """What the error says that the function raises inside the block."""
    with pytest.raises(AnomalyError) as caught, mg.detect_anomaly(**settings):
        function(*args)
    return str(caught.value)


def own_line(text):
    """Which line of this file stands in the message."""
    return re.findall(r"in test_anomaly\.py:\d+  (.*)", text)


# ---- the message


def test_overflow_is_named_with_its_line_and_its_operand(backend):
    x = Tensor([[1.0, 1000.0], [-1000.0, 0.0]])
    text = message(lambda: mg.exp(x))
    lines = text.splitlines()
    assert lines[0] == "exp made 1 +inf among 4 numbers, first at [0, 1]"
    assert re.fullmatch(
        r"  exp was called in test_anomaly.py:\d+  text = message\(lambda: mg.exp\(x\)\)", lines[1]
    )
    assert lines[2:] == ["    a: f32[2,2], -1000 to 1000, 1 at 0, 1 below 0"]


def test_each_operand_has_its_own_range(backend):
    a, b = Tensor([0.0, 6.0, -1.0]), Tensor([0.0, 2.0, 8.0])
    text = message(lambda: a / b)
    assert text.startswith("divide made 1 NaN among 3 numbers, first at [0]\n")
    assert text.endswith(
        "\n    a: f32[3], -1 to 6, 1 at 0, 1 below 0\n    b: f32[3], 0 to 8, 1 at 0"
    )


def test_a_single_number_is_shown_as_it_is():
    text = message(lambda: mg.log(Tensor(-1.0)))
    assert text.startswith("log made NaN\n") and text.endswith("\n    a: f32[], -1")


def test_the_first_of_several_anomalies_is_named():
    x = Tensor([2.0, -1.0])

    def function():
        y = x - 1
        z = mg.log(y) + mg.sqrt(x)
        return z / 0

    text = message(function)
    assert text.startswith("log made 1 NaN among 2 numbers, first at [1]")
    assert own_line(text) == ["z = mg.log(y) + mg.sqrt(x)"]


def test_all_kinds_of_anomalies_are_counted_and_the_first_nan_is_placed():
    x = Tensor([1.0, 0.0, 2.0, -3.0, 0.0, -5.0])
    text = message(lambda: x / Tensor([0.0, 0.0, 0.0, 0.0, 0.0, 0.0]))
    assert text.startswith("divide made 2 NaN, 2 +inf, 2 -inf among 6 numbers, first at [1]")
    text = message(lambda: mg.log(Tensor([1j, 0, 2])))
    assert text.startswith("log made 1 -inf among 3 numbers, first at [1]")
    assert text.endswith("\n    a: c128[3], 0 to 2, 1 at 0")


def test_a_nan_from_outside_is_called_so():
    data, weight = Tensor([[1.0, np.nan, np.inf]]), Tensor([[1.0], [2.0], [3.0]])
    text = message(lambda: data @ weight)
    assert text.startswith("bmm passed on NaN")
    assert text.endswith(
        "\n    a: f32[1,3], 1, 1 NaN, 1 +inf, already there\n    b: f32[3,1], 1 to 3"
    )
    text = message(lambda: Tensor([np.nan, np.nan]) * True)
    assert "\n    a: f32[2], 2 NaN, already there\n" in text


def test_a_log_in_the_loss_of_a_vae_is_named_with_the_models_line(generator):
    vae = VAE(2, hidden=4)
    halves = mock.patch("models.vae.gaussian_parameters", lambda h: mg.split(h - 9, 2, -1))
    with halves, mock.patch("models.vae.sample_gaussian", lambda m, v: m):
        text = message(vae.negative_iwae_bound, Tensor(images(0, 784)[:3]), 2)
    assert text.startswith(
        "log made 12 NaN among 12 numbers, first at [0, 0]\n  log was called in "
    )
    assert re.search(
        r" vae.py:\d+  log_ratio = log_normal\(z, m, v\) - log_normal\(z, 0, 1\)\n", text
    )
    assert ", 12 below 0" in text


def test_an_optimisers_message_lists_what_went_wrong_and_not_everything():
    def function():
        ws = [leaf(1.0, 2.0), leaf(3.0), leaf(4.0)]
        for w in ws:
            w.grad = w * 0
        ws[1].grad = Tensor(np.array([1e200]))
        optim.Adam(ws).step()

    lines = message(function).splitlines()
    assert lines[0] == "adam_ wrote +inf"
    assert lines[2:] == ["    states[7]: f64[1], 1 +inf, after the write", "    and 15 more"]


# ---- the backward pass


def test_a_pull_is_named_with_the_forward_line_and_both_their_operands(backend):
    x = leaf(4.0, 0.0, 9.0)

    def function():
        y = mg.sqrt(x) * 3
        y = y.sum()
        y.backward()

    text = message(function)
    lines = text.splitlines()
    assert lines[0] == "backward of sqrt: divide made 1 +inf among 3 numbers, first at [1]"
    assert own_line(text) == ["y = mg.sqrt(x) * 3"]
    assert lines[2:] == [
        "    a: f64[3], 0 to 9, 1 at 0", "  divide was called by the pull of sqrt",
        "    a: f64[], 0.5", "    b: f64[3], 0 to 3, 1 at 0",
    ]  # fmt: skip


def test_the_sum_that_undoes_broadcasting_belongs_to_the_pull():
    x, g = leaf(1.0), Tensor(np.array([1e308, 1e308]))
    text = message(lambda: (x + np.zeros(2)).backward(g))
    assert text.startswith("backward of add: sum made +inf")
    assert "\n  sum was called by the pull of add\n    x: f64[2], 1e+308" in text


def test_a_line_from_before_the_block_is_not_known():
    y = mg.sqrt(leaf(0.0)).sum()
    assert "sqrt was called in a line that ran outside this block; put it" in message(y.backward)
    with mg.trace():
        y = mg.sqrt(leaf(0.0)).sum()
    assert own_line(message(y.backward)) == ["y = mg.sqrt(leaf(0.0)).sum()"]


def test_cotangents_that_add_up_to_infinity():
    def function():
        y = x * 1
        z = y * 1e308 + y * 1e308
        z.backward()

    x = leaf(1e-9)
    text = message(function)
    assert text.startswith("backward of multiply: add made +inf")
    assert "\n  add was called to add up multiply's cotangent\n    a: f64[1], 1e+308\n" in text
    assert own_line(text) == ["y = x * 1"]


@pytest.mark.parametrize("before", [None, 1e308])
def test_gradients_that_add_up_to_infinity(before):
    x = leaf(1e-9)
    x.grad = before and Tensor(np.array([before]))
    text = message(lambda: (x * 1e308 + x * (1e307 if before else 1e308)).backward())
    assert text.startswith("backward: add made +inf\n  add was called")
    assert " to add up a leaf's gradient, in test_anomaly.py:" in text


# ---- what passes


def test_a_mask_of_infinities_passes_and_the_nan_that_comes_of_it_does_not():
    mask = mg.constant([0.0, -np.inf])
    with mg.detect_anomaly():
        scores = mg.where(mask == 0, Tensor([1.0, 2.0], requires_grad=True), mask) + mask
        p = mg.exp(mg.log_softmax(scores, 0))
        p[0].backward()
    assert p.numpy().tolist() == [1, 0]
    text = message(lambda: mask - mask)
    assert (
        text.startswith("subtract made 1 NaN among 2") and "a: f32[2], 0, 1 at 0, 1 -inf\n" in text
    )


def test_what_an_item_is_set_to_is_judged_and_what_else_was_there_is_not():
    x = Tensor([0.0, np.nan])
    with mg.detect_anomaly():
        assert np.isnan(x.numpy()[1])  # whoever reads makes nothing
        x[0] = -np.inf
        x[1] = 2.0
    text = message(x.__setitem__, 0, np.nan)
    assert text.startswith("_setitem_ passed on NaN\n") and "value: f32[], 1 NaN, alr" in text


def test_infinities_pass_if_told_so_but_no_nan():
    x = leaf(0.0, 1.0)
    with mg.detect_anomaly(infinities=False):
        y = mg.where(x > 0, mg.log(x), 0)
        y.sum().backward()
        mg.exp(x * 1e6)
    assert x.grad.numpy().tolist() == [0, 1]
    assert message(lambda: mg.log(x)).startswith("log made 1 -inf among 2 numbers, first at [0]")
    text = message(lambda: mg.log(x) * x, infinities=False)
    assert text.startswith("multiply made 1 NaN among 2")


@pytest.mark.parametrize("f", [mg.sqrt, lambda x: x**0.5, lambda x: mg.where(x > 0, x**0.5, 0)])
def test_an_infinite_slope_passes_where_no_cotangent_comes(f):
    x, g = leaf(0.0, 4.0), Tensor(np.array([0.0, 1.0]))
    with mg.detect_anomaly():
        f(x).backward(g)
    assert x.grad.numpy().tolist() == [0, 0.25]
    assert message(lambda: mg.sqrt(x).backward(g[::-1])).startswith("backward of sqrt: divide made")


def test_only_a_slope_is_forgiven_where_the_cotangent_is_0():
    """Not what is computed from the cotangent, such as the product with a weight."""
    weight = np.array([[0.0, 1e308], [0.0, 0.0]])
    x, g = Tensor(np.full((1, 2), 1e-300), requires_grad=True), Tensor(np.array([[4.0, 0.0]]))
    text = message(lambda: (x @ weight.T).backward(g))
    assert text.startswith("backward of bmm: bmm made 1 +inf among 2 numbers, first at [0, 1]")


def test_a_slope_of_another_shape_than_the_cotangents_is_not_forgiven():
    row_sums = Primitive(
        lambda a: np.log(1 + a).sum(1), pulls=[lambda g, y, a: g.reshape(2, 1) * (1 / a)]
    )
    x = leaf([1.0, 0.0, 2.0], [1.0, 2.0, 3.0])
    text = message(lambda: row_sums(x).backward(Tensor(np.array([0.0, 1.0]))))
    assert text.startswith(
        "backward of <lambda>: divide made 1 +inf among 6 numbers, first at [0, 1]"
    )


# ---- the block


def test_off_there_is_no_observer():
    assert current.interpreter.observer is None
    with pytest.raises(KeyError), mg.detect_anomaly():
        assert current.interpreter.observer is not None
        raise KeyError
    message(lambda: mg.log(leaf(-1.0)))
    assert current.interpreter.observer is None
    mg.log(leaf(-1.0))


def test_other_observers_are_told_inside_and_outside():
    told = []
    note = setting(observer=lambda primitive, *event: told.append(primitive.name))
    with note, mg.detect_anomaly(), note:
        mg.exp(leaf(1.0))
        with mg.trace(), pytest.raises(AnomalyError), mg.no_grad():
            mg.log(leaf(-1.0))
    assert told == ["exp", "exp", "log"]


def test_of_nested_blocks_each_looks():
    with pytest.raises(AnomalyError), mg.detect_anomaly(), mg.detect_anomaly(infinities=False):
        mg.log(leaf(0.0))
    with mg.detect_anomaly(infinities=False):
        with pytest.raises(AnomalyError), mg.detect_anomaly():
            mg.log(leaf(0.0))
        mg.log(leaf(0.0))


def test_it_decorates_functions_and_generators_and_is_an_affair_of_one_thread():
    @mg.detect_anomaly()
    def steps(x):
        yield mg.exp(x)
        yield mg.log(x)

    running = steps(leaf(-1.0))
    next(running)
    mg.log(leaf(-1.0))  # between two steps
    with pytest.raises(RuntimeError, match="^log made NaN"):  # as PyTorch's
        next(running)
    found = []
    thread = threading.Thread(target=lambda: found.append(mg.log(leaf(-1.0))))
    with mg.detect_anomaly():
        thread.start()
        thread.join()
    assert len(found) == 1


def test_a_wrong_setting_is_refused():
    wrong = (
        r"detect_anomaly: infinities = <function .*>; it must be .*@detect_anomaly\(\) decorates"
    )
    with pytest.raises(TypeError, match=wrong):

        @mg.detect_anomaly
        def function():
            pass


# ---- compiled functions


def test_compiled_steps_have_the_same_bits_before_in_and_after_the_block():
    ends = []
    for watched in (False, True):
        mg.random.seed(0)
        step, model, adam = perceptron(nn.BatchNorm1d(3))
        step = mg.compile(step)
        for i in range(9):
            with mg.detect_anomaly() if watched and 3 <= i < 6 else mg.enable_grad():
                step(images(i, 4))
        ends.append(everything(model, adam))
        assert len(step._recordings) == 1 and step._recordings[0].replay
    assert same(*ends)


def test_a_huge_weight_in_a_compiled_training_step_is_found(generator):
    vae = VAE(2, hidden=5)
    adam = optim.Adam(vae.parameters())
    step, pixels = mg.compile(make_step(vae, adam)), 255 * images(0, 784)
    for _ in range(3):
        step(pixels)
    with mg.no_grad():
        vae.decoder[2].weight[1, 0] = 3e38
        vae.decoder[0].bias[0] = 10.0
    text = message(step, pixels)
    assert text.startswith("linear made 64 +inf among 320 numbers, first at [0, 1]\n  linear was")
    assert re.search(
        r" in vae.py:\d+  rec = -log_bernoulli_with_logits\(x, self.decoder\(z\)", text
    )
    assert re.search(r"\n    weight: f32\[5,5\], -[\d.]+ to 3e\+38, \d+ below 0\n", text)
