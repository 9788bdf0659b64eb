"""The tape: order, accumulation, freeing, recording, and refusing stale values."""

import gc
import os
import sys
import threading
import weakref

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, enable_grad, grad, no_grad, optim, primitive, random
from minigrad.core.interpreter import setting
from models.vae import VAE


def leaf(*values):
    return Tensor(np.array(values, dtype=np.float64), requires_grad=True)


# ---- the graph


def test_a_reused_result_is_pulled_back_once_with_the_sum():
    a = leaf(3.0)
    b = a + a
    c = b * b + b  # b has three uses: dc/da = 2 (2b + 1)
    c.backward()
    assert a.grad.item() == 2 * (2 * 6 + 1)


def test_diamond_and_the_same_operand_twice():
    x = leaf(2.0)
    left, right = x * 3, x**2
    (left * right + left).backward()  # 3x³ + 3x
    assert x.grad.item() == 9 * 4 + 3
    y = leaf(5.0)
    (y * y).backward()
    assert y.grad.item() == 10


def test_eighteen_doublings_visit_each_node_once(monkeypatch):
    """Walking every path would call 2¹⁸ pulls."""
    calls = []

    @primitive
    def doubled(a, b):
        return a + b

    doubled.pulls = (lambda g, y, a, b: calls.append(1) or g, lambda g, y, a, b: g)

    x = y = leaf(1.0)
    for _ in range(18):
        y = doubled(y, y)
    y.backward()
    assert x.grad.item() == 2**18 and len(calls) == 18


def test_a_chain_of_100_000_operations_goes_forward_backward_and_is_freed():
    x = leaf(1.0)
    y = x
    for _ in range(100_000):
        y = y * 1.0
    y.backward(retain_graph=True)
    assert x.grad.item() == 1
    node = y
    for _ in range(50_000):
        node = node._node.operands[0]
    middle = weakref.ref(node)
    del node, y  # with the graph retained, this frees 100,000 nodes one inside the other
    assert middle() is None


def test_a_chain_is_freed_in_a_thread_with_a_small_stack():
    def work():
        y = leaf(1.0)
        for _ in range(100_000):
            y = y + 1.0
        del y
        done.append(True)

    done = []
    before = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(before)
    assert done


def test_backward_twice_accumulates_into_leaves_only():
    """Intermediate cotangents that survive the first pass give 108 instead of 72."""
    x = leaf(3.0)
    y = x * x
    z = y * y / x  # x³, dz/dx = 27 + …
    z.backward(retain_graph=True)
    first = x.grad.item()
    z.backward()
    assert first == 27 and x.grad.item() == 54
    assert y.grad is None and z.grad is None


def test_a_graph_that_was_freed_says_so():
    x = leaf(2.0)
    y = x * x
    y.backward()
    with pytest.raises(RuntimeError, match="multiply.*freed.*retain_graph=True"):
        y.backward()


def test_backward_frees_memory_as_it_goes():
    x = leaf(1.0)
    y = x * 2
    result = weakref.ref(y)
    z = y * 3
    del y
    z.backward()
    assert result() is None  # although z is still here


def live_tensors():
    return sum(issubclass(type(o), Tensor) for o in gc.get_objects())


def resident():
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not os.path.exists("/proc/self/statm"), reason="needs Linux's /proc")
def test_1000_training_steps_leave_no_garbage():
    """With the collector off, any reference cycle per step would show."""
    random.seed(0)
    vae = VAE()
    adam = optim.Adam(vae.parameters())

    def step():
        x = Tensor(random.bernoulli(np.full((100, 784), 0.3, np.float32)))
        adam.zero_grad()
        vae.negative_elbo_bound(x)[0].backward()
        adam.step()

    for _ in range(20):
        step()
    gc.collect()
    gc.disable()
    try:
        tensors, memory = live_tensors(), resident()
        for _ in range(1000):
            step()
        assert live_tensors() == tensors
        assert resident() - memory < 5 * 2**20
    finally:
        gc.enable()


# ---- grad, no_grad, detach


def test_grad_of_a_result_on_the_way_computes_only_what_lies_between():
    called = []

    @primitive
    def watched(a):
        return a * 2

    watched.pulls = (lambda g, y, a: called.append(1) or g * 2,)

    x = leaf(3.0)
    middle = watched(x)
    y = middle * middle
    (g,) = grad(y, middle)
    assert g.item() == 12 and not called and x.grad is None


def test_grad_of_the_result_itself_and_of_one_asked_for_twice():
    x = leaf(3.0)
    y = x * x
    gy, gx, again = grad(y, [y, x, x])
    assert (gy.item(), gx.item(), again.item()) == (1, 6, 6)


def test_an_unused_input_is_an_error_or_none():
    x, other = leaf(1.0), leaf(1.0)
    with pytest.raises(RuntimeError, match=r"xs\[1\].*allow_unused"):
        grad(x * 2, [x, other])
    assert grad(x * 2, [x, other], allow_unused=True)[1] is None


def test_third_derivatives():
    x = leaf(0.7)
    y = mg.tanh(x)
    for _ in range(3):
        (y,) = grad(y, x, create_graph=True)
    t = np.tanh(0.7)
    np.testing.assert_allclose(y.item(), (1 - t * t) * (6 * t * t - 2), rtol=1e-14)


def test_backward_with_create_graph_gives_a_gradient_that_has_a_graph():
    x = leaf(2.0)
    (x**3).backward(create_graph=True)
    (g,) = grad(x.grad, x)
    assert g.item() == 12


def test_no_grad_and_enable_grad_nest_and_are_restored_after_an_error():
    x = leaf(1.0)
    with no_grad():
        assert (x * 2).is_leaf and not (x * 2).requires_grad
        with enable_grad():
            assert not (x * 2).is_leaf
        assert (x * 2).is_leaf
    with pytest.raises(KeyError), no_grad():
        raise KeyError
    assert not (x * 2).is_leaf


def test_no_grad_is_per_thread():
    x, seen = leaf(1.0), []
    with no_grad():
        thread = threading.Thread(target=lambda: seen.append((x * 2).is_leaf))
        thread.start()
        thread.join()
    assert seen == [False]


def test_detach_stops_the_gradient():
    x = leaf(3.0)
    (x * x.detach()).backward()
    assert x.grad.item() == 3


def test_only_what_requires_a_gradient_is_recorded():
    constant = Tensor([1.0, 2.0])
    assert (constant * 2).is_leaf
    x = leaf(1.0)
    y = constant.double() * x
    assert y.requires_grad and not y.is_leaf


# ---- seeds


def test_backward_of_many_numbers_needs_a_cotangent():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match=r"shape \(2,\).*gradient="):
        (x * x).backward()
    (x * x).backward(np.array([10.0, 100.0]))
    assert x.grad.numpy().tolist() == [20, 400]


def test_a_cotangent_of_another_shape_is_refused():
    x = leaf(1.0, 2.0)
    with pytest.raises(ValueError, match="same"):
        (x * x).backward(np.ones(3))


def test_backward_of_something_without_gradient():
    with pytest.raises(RuntimeError, match="requires_grad=True"):
        Tensor(1.0).backward()


# ---- broadcasting


@pytest.mark.parametrize("shape", [(), (1,), (1, 1), (3, 1), (1, 4), (4,), (3, 4)])
def test_a_broadcast_leaf_gets_a_gradient_of_its_own_shape(shape):
    """Also a 0-dimensional leaf, and one of size 1 whose axes stay."""
    x = Tensor(np.ones(shape), requires_grad=True)
    weights = np.random.RandomState(0).rand(2, 3, 4)
    (x * weights).sum().backward()
    assert x.grad.shape == shape
    axes = tuple(range(3 - len(shape)))
    kept = weights.sum(axes)
    axes = tuple(i for i, n in enumerate(shape) if n != kept.shape[i])
    np.testing.assert_allclose(x.grad.numpy(), kept.sum(axes, keepdims=True).reshape(shape))


def test_a_pull_of_an_impossible_shape_is_an_error_that_names_the_operation():
    """Summing (3, 3) down to (3,) because "it fits" would hide a wrong pull."""

    @primitive
    def row_sums(a):
        return a.sum(1)

    row_sums.pulls = (lambda g, y, a: g,)

    x = Tensor(np.ones((3, 3)), requires_grad=True)
    with pytest.raises(ValueError, match=r"row_sums.*\(3,\).*\(3, 3\)"):
        row_sums(x).sum().backward()


def test_a_pull_of_another_dtype_is_an_error_that_names_the_operation():
    @primitive
    def drifts(a):
        return a * 2

    drifts.pulls = (lambda g, y, a: Tensor(np.float64(2) * g.data.astype(np.float64)),)

    with pytest.raises(TypeError, match="drifts.*float64.*float32"):
        drifts(Tensor([1.0], requires_grad=True)).sum().backward()


def test_a_pull_that_returns_no_tensor_is_an_error_that_names_the_operation():
    @primitive
    def forgetful(a):
        return a * 2

    forgetful.pulls = (lambda g, y, a: None,)

    with pytest.raises(TypeError, match="forgetful: a pull returned NoneType"):
        forgetful(leaf(1.0)).backward()


def test_too_few_pulls_is_an_error_at_once():
    def halved(a, b):
        return a / b

    with pytest.raises(TypeError, match="halved: 2 tensors but 1 pulls"):
        primitive(halved, pulls=[lambda g, y, a, b: g / b])
    operation = primitive(halved)
    with pytest.raises(TypeError, match="halved: 2 tensors but 1 pulls"):
        operation.pulls = (lambda g, y, a, b: g / b,)


def test_an_operation_whose_pulls_were_forgotten_does_not_lose_a_gradient_in_silence():
    @primitive
    def forgotten(a):
        return a * 2

    assert forgotten(Tensor(1.0)).item() == 2
    with pytest.raises(TypeError, match=r"forgotten.*no pulls.*forgotten\.pulls"):
        forgotten(leaf(1.0))
    forgotten.pulls = ()
    assert not forgotten(leaf(1.0)).requires_grad


# ---- stale values


def test_a_write_between_forward_and_backward_is_an_error_that_names_the_operation():
    w = leaf(1.0, 2.0)
    y = (w.exp() * w).sum()
    w.copy_(np.zeros(2))
    with pytest.raises(RuntimeError, match=r"(multiply|exp).*was written after"):
        y.backward()


def test_a_write_is_seen_through_views():
    """The reshaped tensor shares the leaf's array, and must share its version."""
    w = leaf(1.0, 2.0)
    view = w.reshape(2, 1)
    y = (view * view).sum()
    w.copy_(np.zeros(2))
    with pytest.raises(RuntimeError, match="multiply"):
        y.backward()
    detached = w.detach()
    z = (leaf(1.0) * detached).sum()
    w.copy_(np.ones(2))
    with pytest.raises(RuntimeError, match="multiply"):
        z.backward()


def test_an_optimiser_step_counts_as_a_write():
    w = leaf(1.0)
    y = w * w
    y.backward(retain_graph=True)
    optim.SGD([w], lr=0.1).step()
    with pytest.raises(RuntimeError, match="multiply.*optimiser"):
        y.backward()


def test_writes_to_other_tensors_do_no_harm():
    w, other = leaf(2.0), leaf(2.0)
    y = w * w
    other.copy_(np.zeros(1))
    y.backward()
    assert w.grad.item() == 4


def test_a_write_to_the_result_that_a_pull_reads_is_seen():
    """exp's pull is g y; a detached y shows the same array, and can be written."""
    x = leaf(1.0)
    y = x.exp()
    y.detach().copy_(np.zeros(1))
    with pytest.raises(RuntimeError, match="exp: the result.*was written"):
        y.backward()


def test_a_broadcast_to_the_same_shape_is_a_view_too():
    w, x = leaf(1.0, 1.0), Tensor(np.ones(2))
    y = (w * x.broadcast_to((2,))).sum()
    x.copy_(np.zeros(2))
    with pytest.raises(RuntimeError, match="was written"):
        y.backward()


def test_what_requires_a_gradient_only_later_gets_none_at_all():
    """Half of the paths were not recorded; the other half alone would be a wrong gradient."""
    a, w = Tensor(np.array(2.0)), leaf(3.0)
    y = (a * 2) * w + a * w
    a.requires_grad = True
    y.backward()
    assert a.grad is None and w.grad.item() == 6


# ---- gradients are owned


def test_each_leaf_owns_its_gradient():
    """add hands one cotangent to both operands, and sum a view without memory of its own."""
    a, b, c = leaf(1.0, 2.0), leaf(3.0, 4.0), leaf(5.0, 6.0)
    seed = Tensor(np.ones(2))
    (a + b).backward(seed)
    c.sum().backward()
    for p in (a, b, c):
        p.grad.copy_(p.grad.numpy() * 0.5)
    assert [p.grad.numpy().tolist() for p in (a, b, c)] == [[0.5, 0.5]] * 3
    seed.copy_(np.zeros(2))
    assert a.grad.numpy().tolist() == [0.5, 0.5]


def test_a_trainable_leaf_made_of_a_view_owns_a_contiguous_array():
    """Otherwise an optimiser's step would go into a copy, and be lost."""
    whole = Tensor(np.arange(6.0).reshape(2, 3))
    for w in (whole.T * 1.0, whole.T, mg.broadcast_to(Tensor(np.ones(1)), shape=(2, 3))):
        w = w.detach()
        w.requires_grad = True
        before = w.numpy().copy()
        (w * w).sum().backward()
        for optimiser in (optim.Adam([w], lr=0.1), optim.SGD([w], lr=0.1)):
            optimiser.step()
        assert (w.numpy() != before).sum() >= 5
    assert whole.numpy().tolist() == [[0, 1, 2], [3, 4, 5]]


def test_only_leaves_can_be_written():
    x = leaf(1.0)
    with pytest.raises(RuntimeError, match="only leaves"):
        (x * 2).copy_(np.ones(1))
    with pytest.raises(ValueError, match=r"\(2,\).*\(1,\)"):
        x.copy_(np.ones(2))


# ---- gradients for some of the leaves


def test_backward_for_some_inputs_leaves_the_others_alone_and_computes_nothing_for_them():
    pulled = []

    @primitive
    def product(a, b):
        return a * b

    product.pulls = (lambda g, y, a, b: g * b, lambda g, y, a, b: pulled.append("b") or g * a)

    a, b = (Tensor(value, requires_grad=True) for value in (2.0, 3.0))
    product(a, b).backward(inputs=[a])
    assert a.grad.item() == 3 and b.grad is None and pulled == []
    product(a, b).backward(inputs=[b])
    assert a.grad.item() == 3 and b.grad.item() == 2 and pulled == ["b"]


def test_backward_takes_only_leaves_as_inputs():
    a = Tensor(2.0, requires_grad=True)
    y = a * 3
    with pytest.raises(ValueError, match="inputs must be leaves"):
        (y * y).backward(inputs=[y])


def test_none_in_place_of_a_pull_says_that_the_gradient_is_zero():
    @mg.primitive
    def sign_times(a, b):
        return np.sign(a) * b

    sign_times.pulls = (None, lambda g, y, a, b: g * np.sign(a.data))

    a, b = (Tensor(value, requires_grad=True) for value in (-2.0, 3.0))
    sign_times(a, b).backward()
    assert a.grad is None and b.grad.item() == -1
    y = sign_times(a, b)
    a.copy_(5.0)  # and yet it is an operand: what it was is needed
    with pytest.raises(RuntimeError, match="operand 0.*was written"):
        y.backward()


# ---- no_grad, in every form


@mg.no_grad()
def decorated(x):
    return x * 2


@mg.no_grad
def bare(x):
    return x * 2


@mg.no_grad()
def generator(x):
    received = yield x * 2
    try:
        yield received * 3
    except KeyError:
        yield x * 4
    return x * 5


def test_a_decorated_generator_does_not_record_but_who_receives_does():
    x = Tensor(1.0, requires_grad=True)
    assert not decorated(x).requires_grad and not bare(x).requires_grad
    steps = generator(x)
    assert not next(steps).requires_grad
    assert (x * 2).requires_grad  # between two of its steps
    assert not steps.send(x * 2).requires_grad
    assert not steps.throw(KeyError()).requires_grad
    with pytest.raises(StopIteration) as stop:
        next(steps)
    assert not stop.value.value.requires_grad and (x * 2).requires_grad
    with mg.no_grad():
        steps = mg.enable_grad()(lambda: iter([x * 2]))()
        assert next(steps).requires_grad and not (x * 2).requires_grad


def test_a_generator_that_is_closed_or_fails_leaves_recording_as_it_was():
    x, closed = Tensor(1.0, requires_grad=True), []

    @mg.no_grad()
    def steps():
        try:
            yield x * 2
        finally:
            closed.append((x * 2).requires_grad)
            raise ValueError("out")

    running = steps()
    next(running)
    with pytest.raises(ValueError, match="out"):
        running.close()
    assert closed == [False] and (x * 2).requires_grad


def test_one_object_serves_for_several_blocks():
    x, off = Tensor(1.0, requires_grad=True), mg.no_grad()
    for _ in range(2):
        with off:
            with mg.enable_grad(), off:
                assert not (x * 2).requires_grad
            assert not (x * 2).requires_grad
        assert (x * 2).requires_grad


def test_one_object_serves_for_several_threads():
    x, off = Tensor(1.0, requires_grad=True), mg.no_grad()
    inside, done, found = threading.Event(), threading.Event(), []

    def other():
        with mg.enable_grad(), off:
            inside.set()
            done.wait(10)
            found.append((x * 2).requires_grad)
        found.append((x * 2).requires_grad)

    thread = threading.Thread(target=other)
    with off:
        thread.start()
        inside.wait(10)
    assert (x * 2).requires_grad
    done.set()
    thread.join()
    assert found == [False, True]


def test_a_coroutine_is_refused():
    async def coroutine():
        pass

    async def steps():
        yield

    for function in (coroutine, steps):
        with pytest.raises(TypeError, match=r"no_grad on .*write `with no_grad\(\):`"):
            mg.no_grad()(function)


def test_backward_takes_one_leaf_or_several():
    w, b = Tensor([1.0, 2.0], requires_grad=True), Tensor(3.0, requires_grad=True)
    y = (w * b).sum()
    y.backward(inputs=w, retain_graph=True)
    assert w.grad.numpy().tolist() == [3, 3] and b.grad is None
    y.backward(inputs=(leaf for leaf in (w, b)))
    assert w.grad.numpy().tolist() == [6, 6] and b.grad.item() == 3
    for wrong in ([], [None], ["w"]):
        with pytest.raises(TypeError, match="inputs are empty|inputs hold a"):
            (w * b).sum().backward(inputs=wrong)


# ---- operations of a user's own


def test_a_forward_can_not_write_into_its_operands():
    @primitive(pulls=())
    def greedy(a):
        a += 1
        return a

    x = leaf(1.0)
    with pytest.raises(ValueError, match="read-only"):
        greedy(x)
    assert x.item() == 1


def test_a_forward_that_returns_its_operand_returns_a_view_of_it():
    @primitive(pulls=[lambda g, y, a: g])
    def same(a):
        return a

    x = leaf(1.0, 2.0)
    y = same(x)
    x.copy_(np.zeros(2))
    assert y.numpy().tolist() == [0, 0]
    with pytest.raises(RuntimeError, match="same.*was written"):
        y.sum().backward()


def test_a_forward_that_returns_no_array_is_told_where_pulls_go():
    @primitive(pulls=())
    def mistaken(a):
        return a * 2, lambda g, y: g * 2

    with pytest.raises(TypeError, match=r"mistaken: the forward returned object.*mistaken\.pulls"):
        mistaken(leaf(1.0))


def test_pulls_for_any_number_of_operands_are_one_function_or_say_that_the_rest_get_none():
    def total(*xs):
        return sum(xs)

    with pytest.raises(TypeError, match="total: there may be any number.*None, ..."):
        primitive(total, pulls=[lambda g, y, *xs: g])
    together = primitive(total, pulls=lambda g, y, *xs: [g] * len(xs))
    a, b, c = leaf(1.0), leaf(2.0), leaf(3.0)
    together(a, b, c).backward()
    assert [x.grad.item() for x in (a, b, c)] == [1, 1, 1]
    first = primitive(total, pulls=(lambda g, y, *xs: g, None, ...))
    assert [g and g.item() for g in grad(first(a, b), [a, b], allow_unused=True)] == [1, None]
    for wrong in (lambda g, y, *xs: g, lambda g, y, *xs: [g]):
        with pytest.raises(TypeError, match="total: the pull for all operands.*tuple of 2"):
            primitive(total, pulls=wrong)(a, b).backward()


def test_an_argument_that_is_unknown_or_given_twice_is_named():
    x = Tensor([[1.0, 2.0]])
    for call, message in (
        (lambda: mg.sum(x, dim=0), "sum: .*'dim'"),
        (lambda: mg.elu(x, beta=2), "elu: .*'beta'"),
        (lambda: mg.argmax(x), "argmax: .*'axis'"),
        (lambda: mg.sum(x, 0, axis=1), "sum: .*multiple values.*'axis'"),
        (lambda: mg.add(x), "add: .*'b'"),
        (lambda: mg.add(x, x, x), "add: too many"),
    ):
        with pytest.raises(TypeError, match=message):
            call()


# ---- observers


def test_an_observer_is_told_of_every_operation_write_and_gradient():
    """Whoever writes down a training step must see all that it does, and in order."""
    w = leaf(1.0, 2.0)
    adam, told = optim.Adam([w]), []

    def note(primitive, operands, static, results):
        told.append(primitive.name)

    with setting(observer=note):
        y = (w * w).sum()
        adam.zero_grad()
        y.backward()
        adam.step()
        with no_grad():
            w -= 0.1
    assert told == [
        "multiply", "sum", "set_grad", "ones_like", "broadcast_to", "multiply", "multiply", "add",
        "set_grad", "adam_", "subtract", "copy_",
    ]  # fmt: skip
    (w * w).sum()
    assert len(told) == 12


def test_a_program_names_the_lines_that_asked_for_its_operations():
    w = leaf(1.0, 2.0)
    with mg.trace():
        y = (w * 2).sum()
        w.grad = None
    text = str(mg.graph(y * 3))
    assert text.count("# test_engine.py:") == 2 and "y = (w * 2).sum()" in text
    assert text.splitlines()[-1] == "v3 : f64[] = multiply(v2, 3)"


def test_a_program_shows_several_results_constants_and_settings():
    w = leaf(1.0, 2.0, 3.0)
    first, second = mg.split(w * np.arange(3.0), [1, 2])
    lines = str(mg.graph(first.sum() * 0.5, second.sum(axis=0, keepdims=True))).splitlines()
    assert lines == [
        "x0 : f64[3] = leaf",
        "c0 : f64[3] = constant",
        "v1 : f64[3] = multiply(x0, c0)",
        "v2, v3 : f64[1], f64[2] = _split(v1, sizes=[1, 2], axis=0)",
        "v4 : f64[] = sum(v2)",
        "v5 : f64[] = multiply(v4, 0.5)",
        "v6 : f64[1] = sum(v3, axis=0, keepdims=True)",
    ]
    assert str(mg.graph(w)) == "x0 : f64[3] = leaf" and str(mg.graph()) == ""


# ---- graphs that meet again


def test_a_gradient_of_a_result_leaves_the_graph_behind_it():
    x = leaf(1.0, 2.0)
    h = x * x
    (g,) = grad(h.sum(), h)
    h.backward(g)
    assert x.grad.numpy().tolist() == [2, 4]


def test_leaves_own_their_gradients_where_a_sum_or_a_broadcast_keeps_the_shape():
    """Their cotangents are then one array, which several tensors show."""
    a, b = Tensor(1.0, requires_grad=True), Tensor(2.0, requires_grad=True)
    (a.sum() + b.sum()).backward()
    for p in (a, b):
        p.grad *= 0.5
    assert a.grad.item() == b.grad.item() == 0.5
    seed, c = Tensor(1.0), Tensor(1.0, requires_grad=True)
    c.sum().backward(seed)
    c.grad += 5
    assert seed.item() == 1


def test_a_seed_with_a_graph_keeps_it():
    """L = Σ x̄ z̄ with x̄ = 2 x v and z̄ = v: dL/dv = 4 x v."""
    x, z, v = leaf(1.0, 2.0), leaf(1.0, 2.0), leaf(1.0, 1.0)
    (x * x + z).backward(v, create_graph=True)
    (g,) = grad((x.grad * z.grad).sum(), v)
    assert g.numpy().tolist() == [4, 8]
    for p in (x, z):
        p.grad = None


def test_a_view_that_becomes_a_leaf_of_its_own_makes_older_graphs_stale():
    x, w = Tensor(np.arange(4.0).reshape(2, 2)), Tensor(np.ones((2, 2)), requires_grad=True)
    view = x.T
    y = (view * w).sum()
    x.copy_(np.full((2, 2), 100.0))
    view.requires_grad = True
    with pytest.raises(RuntimeError, match="was written"):
        y.backward()


def test_numbers_that_are_shared_can_not_be_written():
    """A constant 3 is one array wherever it occurs; a view of it must not change it."""
    for make in (lambda: mg.broadcast_to(3.0, ()), lambda: mg.reshape(3.0, (1,)),
                 lambda: mg.permute(3.0, ())):  # fmt: skip
        with pytest.raises(RuntimeError, match="share memory"):
            make().copy_(np.full(make().shape, 5.0))
    assert (Tensor([1.0]) * 3.0).item() == 3


def test_threads_that_share_a_leaf_lose_no_gradient():
    w, before = leaf(1.0), sys.getswitchinterval()

    def work():
        for _ in range(500):
            (w * 1.0).backward()

    sys.setswitchinterval(1e-6)
    try:
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        sys.setswitchinterval(before)
    assert w.grad.item() == 2000


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: grad([x * 2], x), TypeError, "list; it must be a Tensor"),
        (lambda x: grad(x * 2, [None]), TypeError, "hold a NoneType; each must"),
        (lambda x: (x * 2).backward(inputs=Tensor(1.0)), ValueError, "does not require"),
        (lambda x: (x * 2).backward(inputs=3), TypeError, r"int; give a tensor.*model.parameters"),
        (lambda x: mg.no_grad(False), TypeError, "False is no function"),
        (lambda x: mg.no_grad(Tensor), TypeError, "is no function"),
    ],
)
def test_what_is_no_question_to_a_graph(call, error, message):
    with pytest.raises(error, match=message):
        call(leaf(1.0))
