"""What no call changes is computed before the first replay, and what might change is not."""

import numpy as np

import minigrad as mg
from minigrad import Tensor, ops
from minigrad.core.primitive import primitive
from minigrad.program.fusion import SMALL, with_constants_known
from minigrad.program.instructions import simplified
from tests.program.helpers import same


def test_what_no_call_changes_and_is_small_is_computed_before():
    few, many = mg.constant(np.arange(3.0)), mg.constant(np.ones(SMALL + 1))
    state = Tensor(np.arange(3.0))

    def function(x):
        state.copy_(few + 1)
        y = (x * (few * 2) * mg.zeros_like(mg.exp(x)) + ops.bernoulli(few * 0.25)).sum(1).mean()
        (slope,) = mg.grad(y, x)
        return y, slope, few - 1, (many * 2).sum() - x, (-few)[1:]

    step = mg.compile(function)
    for n in range(3):
        x, found = Tensor(np.arange(12.0).reshape(4, 3) + n, requires_grad=True), []
        for f in (step, function):
            mg.random.seed(n)
            found.append([y.numpy() for y in f(x)] + [state.numpy().copy()])
        assert same(*found)
    program = with_constants_known(simplified(step._recordings[0].program))
    names = [i.primitive.name for i in program.instructions]
    assert names[:8] == "copy_ multiply multiply bernoulli add sum sum multiply".split()  # of y
    assert names[8:9] == ["multiply"]  # of its slope, which began with ones_like
    # What is handed out, large, or a view of what is handed out is computed each time.
    assert names[9:] == "subtract multiply sum subtract negative _getitem".split()


def test_a_large_view_of_what_is_computed_before_is_no_work():
    def function(x):
        y = mg.tanh(x).mean()
        return y, mg.grad(y, x)

    step, x = mg.compile(function), Tensor(np.ones((100, 100)), requires_grad=True)
    step(x), step(x)
    replay = step._recordings[0].replay
    large = [i for i in replay.program.instructions if i.primitive.name == "broadcast_to"]
    assert len(large) == 1 and large[0].views and len(replay._made[1]) == 1  # all is one call


def test_an_operation_of_the_users_own_runs_each_time():
    count, few = [0.0], mg.constant([1.0, 2.0])

    def counted(x, /):
        count[0] += 1
        return x + count[0]

    own = primitive(counted)
    own.pulls = (lambda g, y, x: g,)
    step = mg.compile(lambda x: own(few) + x)
    assert [step(Tensor([0.0, 0.0])).numpy()[0] for _ in range(4)] == [2, 3, 4, 5]
