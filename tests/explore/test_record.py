"""A Recording has what ran, and every share and sum of cotangents is what minigrad computes."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, ops, optim, primitive, random
from minigrad.explore import recorded
from models import gan
from models.vae import VAE


def calls(things):
    return [op.call for op in things]


def leaf(recording, name):
    (found,) = (value for value in recording.gradients if value.name == name)
    return found


def test_the_example_of_the_core_is_told_in_full():
    x = mg.Tensor(3.0, requires_grad=True)
    r = recorded(lambda x: x * x + x, [x])
    assert calls(r.forward) == ["v1 = multiply(x, x)", "v2 = add(v1, x)"]
    told = [
        (op.name, [(x.value.name, x.array.item()) for x in op.sent.values()]) for op in r.pulled
    ]
    assert told == [("add", [("v1", 1), ("x", 1)]), ("multiply", [("x", 3), ("x", 3)])]
    assert [share.array.item() for share in leaf(r, "x").shares] == [1, 3, 3]
    assert leaf(r, "x").g.item() == 7
    pull = [op for op in r.backward if op.boxes and op.boxes[-1].name == "pull of multiply"]
    assert calls(pull) == ["g2 = multiply(g1, x)", "g3 = multiply(g1, x)"]
    assert r.loss.g.item() == 1 and x.grad is None
    assert r.forward[0].line.startswith("test_record.py:")
    assert "x * x + x" in r.forward[0].line


def small_vae():
    random.seed(0)
    vae = VAE(z_dim=2, x_dim=12, hidden=6)
    x = mg.Tensor((random.uniform((5, 12), 0, 1) < 0.5).astype(np.float32))
    return vae, lambda x: vae.negative_elbo_bound(x)[0], x


def small_critic():
    random.seed(0)
    g = nn.Sequential(nn.Linear(gan.Z_DIM, 6), nn.BatchNorm1d(6), nn.Tanh(), nn.Linear(6, 9))
    d = nn.Sequential(nn.Linear(9, 4), nn.Tanh(), nn.Linear(4, 1))
    x = mg.Tensor(random.normal((3, 9)))
    return nn.Sequential({"g": g, "d": d}), lambda x: gan.critic_loss(g, d, x), x


@pytest.mark.parametrize("made", [small_vae, small_critic])
def test_values_and_cotangents_are_those_of_the_engine_to_the_bit(made):
    model, f, x = made()
    with random.fork(7):
        r = recorded(f, [x])
    with random.fork(7):
        loss = f(x)
    nodes = mg.graph(loss).nodes
    recorded_nodes = [*reversed(r.pulled)]
    assert [op.name for op in recorded_nodes] == [node.primitive.name for node in nodes]
    results = [node.result(0) for node in nodes]
    cotangents = mg.grad(loss, results, retain_graph=True, allow_unused=True)
    assert len(nodes) > 20
    for op, node, g in zip(recorded_nodes, nodes, cotangents, strict=True):
        for value, (array, _) in zip(op.results, node.results, strict=True):
            assert np.array_equal(value.array, array)
        if g is not None:
            assert np.array_equal(op.results[0].g.data, g.data), op.call
    loss.backward()
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    found = {value.name: value.g for value in r.gradients if value.name in grads}
    assert found.keys() == grads.keys()
    for name, g in found.items():
        assert np.array_equal(g.data, grads[name].data), name


def test_a_whole_training_step_is_shown_as_it_was_before_the_update():
    random.seed(0)
    net, x = nn.Sequential(nn.Linear(3, 2), nn.Tanh(), nn.Linear(2, 1)), random.normal((4, 3))
    adam = optim.Adam(net.parameters(), lr=0.1)
    before = net.state_dict()

    def step(x):
        loss = (net(x) ** 2).mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
        return {"loss": loss}

    r = recorded(step, [mg.Tensor(x)])
    names = dict(net.named_parameters())
    assert {value.name for value in r.gradients} == names.keys()
    for value in r.gradients:
        assert np.array_equal(value.array, before[value.name])
        assert not np.array_equal(names[value.name].data, before[value.name])  # f has run
        assert np.array_equal(value.g.data, names[value.name].grad.data)
    assert not {"adam_", "ones_like"} & {op.name for op in r.forward}


def test_what_the_function_returned_can_still_be_differentiated():
    w, kept = mg.Tensor([2.0, 3.0], requires_grad=True), []
    recorded(lambda: kept.append((w * w).sum()) or kept[0], [])
    kept[0].backward()
    assert w.grad.data.tolist() == [4, 6]


def test_backward_alone_says_what_the_loss_is():
    w = mg.Tensor([2.0, 3.0], requires_grad=True)
    r = recorded(lambda: (w * w).sum().backward(), [])
    assert calls(r.forward) == ["v1 = multiply(w, w)", "v2 = sum(v1)"]
    assert leaf(r, "w").g.data.tolist() == [4, 6]


def test_no_gradient_goes_through_detach_and_no_grad():
    def f(x):
        with mg.no_grad():
            three = x * 3
        y = x * x
        return three * y + y.detach()

    r = recorded(f, [mg.Tensor(2.0, requires_grad=True)])
    assert calls(r.forward) == [
        "v1 = multiply(x, 3)", "v2 = multiply(x, x)", "v3 = multiply(v1, v2)", "v4 = add(v3, v2)",
    ]  # fmt: skip
    assert leaf(r, "x").g.item() == 24  # 6 · 2x, and nothing from 3x or from the detached x²


def test_a_detached_use_that_comes_first_stops_no_gradient_of_another():
    x = mg.Tensor([2.0, 3.0], requires_grad=True)
    r = recorded(lambda x: (x.detach() * x).sum(), [x])
    assert leaf(r, "x").g.data.tolist() == [2, 3] and len(leaf(r, "x").shares) == 1


def test_modules_composites_and_pulls_are_boxes():
    random.seed(0)
    net = nn.Sequential(nn.Linear(3, 2), nn.Tanh())

    def f(x):
        return ops.logsigmoid(net(x) + net(x)).mean()

    r = recorded(f, [mg.Tensor(random.normal((4, 3)))])
    paths = [[(box.name, box.kind) for box in op.boxes] for op in r.forward]
    assert paths[0] == [("net", "Sequential"), ("0", "Linear")]
    linears = [op.boxes for op in r.forward if op.name == "linear"]
    assert len(linears) == 2 and linears[0][0].call != linears[1][0].call  # two calls, two boxes
    assert [("logsigmoid", "composite")] in paths and [("mean", "composite")] in paths
    back = [[box.name for box in op.boxes] for op in r.backward]
    assert ["net, back", "0, back", "pull of linear"] in back


def test_a_broadcast_operand_gets_the_sum_of_its_repeats():
    b = mg.Tensor([1.0, 2.0], requires_grad=True)
    r = recorded(lambda x: (x * b).sum(), [mg.Tensor(np.ones((3, 2), np.float32))])
    pull = [op for op in r.backward if any(box.name == "pull of multiply" for box in op.boxes)]
    inside = [op.name for op in pull if any(box.name == "unbroadcast" for box in op.boxes)]
    assert inside == ["sum", "reshape"] and leaf(r, "b").g.data.tolist() == [3, 3]


def test_operations_with_several_results_have_a_cotangent_for_each():
    x = mg.Tensor([1.0, 2.0, 3.0], requires_grad=True)

    def f(x):
        a, b = ops.split(x, [1, 2])
        return (a * 5).sum() + (b * b).sum()

    r = recorded(f, [x])
    (split,) = (op for op in r.forward if len(op.results) == 2)
    assert [v.g.data.tolist() for v in split.results] == [[5], [4, 6]]
    assert leaf(r, "x").g.data.tolist() == [5, 4, 6]


def test_a_gradient_inside_the_function_is_part_of_the_forward_pass():
    def f(x):
        (slope,) = mg.grad(x**3, x, create_graph=True)
        return slope * slope

    r = recorded(f, [mg.Tensor(2.0, requires_grad=True)])
    assert r.loss.array == 144 and leaf(r, "x").g.item() == 288  # (3x²)² = 9x⁴, and 36x³
    boxes = {box.name for op in r.forward for box in op.boxes}
    assert {"gradient", "pull of power"} <= boxes


def test_a_compiled_step_is_explored_as_it_is_written():
    from minigrad.explore import explore

    step = mg.compile(lambda x: (x * x).sum())
    with pytest.raises(ValueError, match="returned a NoneType, and no loss"):
        explore(lambda: step(mg.Tensor([1.0])) and None, path="never.html")


def test_an_operation_of_the_users_without_a_docstring():
    twice = primitive(lambda a: 2 * a, pulls=[lambda g, y, a: 2 * g])
    r = recorded(lambda x: twice(x), [mg.Tensor(2.0, requires_grad=True)])
    assert r.forward[0].doc == "" and leaf(r, "x").g.item() == 2


def test_a_write_makes_another_value_for_whoever_sees_the_memory():
    w = mg.Tensor([1.0, 2.0], requires_grad=True)

    def f():
        seen = w.detach()
        before = (w * seen).sum()
        with mg.no_grad():
            w.copy_(np.array([3.0, 5.0], np.float32))
        return (w * seen).sum() + before.detach()

    def view():
        loss = (w.reshape(1, 2) * 2.0).sum()
        with mg.no_grad():
            w.copy_(np.array([7.0, 8.0], np.float32))
        return loss

    r = recorded(f, [])
    used = [v.array.tolist() for op in r.forward if op.name == "multiply" for v in op.operands]
    assert used == [[1, 2], [1, 2], [3, 5], [3, 5]]
    assert r.loss.array == 39 and [g.g.data.tolist() for g in r.gradients] == [[3, 5]]
    reshaped = recorded(view, []).forward[0].results[0]
    assert reshaped.array.tolist() == [[3, 5]]  # not what w, whose memory it shared, is now
