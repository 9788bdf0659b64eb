"""What CONTRIBUTING.md shows is run, gives PyTorch's numbers, and names what exists."""

import doctest
import re
from pathlib import Path

import numpy as np
import pytest

import minigrad as mg
from minigrad import Tensor, kernels
from minigrad.core.primitive import OPERATIONS

ROOT = Path(__file__).resolve()
ROOT = next(folder for folder in ROOT.parents if (folder / "CONTRIBUTING.md").exists())
PAGE = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
RECIPES = ["An operation", "A layer", "A kernel", "An optimiser"]


@pytest.fixture(scope="module")
def shown():
    """The names that the page's examples define. The table of operations is as before afterwards,
    for other tests go through it."""
    before = dict(OPERATIONS)
    text = re.sub(r"```(python)?", "", PAGE)  # a fence is no expected output
    test = doctest.DocTestParser().get_doctest(text, {"__name__": "shown"}, "page", None, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    try:
        runner.run(test, clear_globs=False)
        assert OPERATIONS.keys() - before.keys() == {"logaddexp", "rmsprop_"}
    finally:
        for name in OPERATIONS.keys() - before.keys():
            del OPERATIONS[name]
    assert runner.failures == 0
    return test.globs


def test_each_recipe_is_an_example_that_holds(shown):
    sections = dict(re.findall(r"^## (.*)\n((?:(?!## ).*\n)*)", PAGE, re.MULTILINE))
    assert list(sections)[-4:] == RECIPES
    assert len(PAGE.splitlines()) < 200
    for name in RECIPES:
        assert len(doctest.DocTestParser().get_examples(sections[name])) >= 6, name


def test_the_table_of_operations_is_left_as_it_was(shown):
    assert not {"logaddexp", "rmsprop_"} & OPERATIONS.keys()


@pytest.mark.parametrize("backend", ["numba", "numpy"])
def test_the_operation_is_pytorchs(shown, torch, backend):
    """To a few roundings of float32, at infinities and NaN, and where an operand is broadcast."""
    a = np.array([0, 1, -3, 100, 1e4, -1e4, np.inf, -np.inf, np.nan], np.float32)
    with kernels.backend(backend):
        for left, right in [(a, a[::-1].copy()), (a, a), (a[:, None], a)]:
            want = torch.logaddexp(torch.from_numpy(left), torch.from_numpy(right))
            got = shown["logaddexp"](Tensor(left), Tensor(right))
            np.testing.assert_allclose(got.numpy(), want, rtol=1e-6)
            assert got.dtype == np.float32
        ours = [Tensor(x, requires_grad=True) for x in (a[:6], a[:6, None])]
        theirs = [torch.tensor(x.numpy(), requires_grad=True) for x in ours]
        shown["logaddexp"](*ours).sum().backward()
        torch.logaddexp(*theirs).sum().backward()
        for x, t in zip(ours, theirs, strict=True):
            np.testing.assert_allclose(x.grad.numpy(), t.grad, rtol=1e-5, atol=1e-6)


def test_the_kernel_takes_one_shape_and_leaves_the_rest_to_the_forward(shown):
    kernel, x = shown["logaddexp"].kernel, np.ones((2, 3), np.float32)
    assert kernel.run.__wrapped__ is shown["logaddexp_kernel"]
    assert kernel.results(x, x) == (((2, 3), np.float32),) and kernel.results(x, x[0]) is None


@pytest.mark.parametrize("bias", [True, False])
def test_the_layer_is_pytorchs(shown, torch, bias):
    """In float64, to a few roundings; printed alike, and started within the same bounds."""
    theirs = torch.nn.Bilinear(3, 4, 2, bias=bias)
    ours = shown["Bilinear"](3, 4, 2, bias=bias)
    assert repr(ours) == repr(theirs)
    assert all(abs(p.numpy()).max() <= 3**-0.5 for p in ours.parameters())
    theirs, ours = theirs.double(), ours.double()
    ours.load_state_dict(theirs.state_dict())
    first, second = np.random.default_rng(0).normal(size=(2, 5, 4))
    first = first[:, :3]
    x, y = Tensor(first, requires_grad=True), Tensor(second, requires_grad=True)
    s, t = (torch.tensor(z.numpy(), requires_grad=True) for z in (x, y))
    got, want = ours(x, y), theirs(s, t)
    np.testing.assert_allclose(got.numpy(), want.detach(), rtol=1e-12, atol=1e-13)
    (got**2).sum().backward()
    (want**2).sum().backward()
    pairs = [(x, s), (y, t), *zip(ours.parameters(), theirs.parameters(), strict=True)]
    for one, other in pairs:
        np.testing.assert_allclose(one.grad.numpy(), other.grad, rtol=1e-12, atol=1e-13)


def test_the_optimiser_is_pytorchs(shown, torch):
    """Twenty steps in float64, with settings of its own; a state that is taken over goes on."""
    start = np.random.default_rng(0).normal(size=7)
    w, v = mg.nn.Parameter(start), torch.tensor(start, requires_grad=True)
    settings = {"lr": 0.05, "alpha": 0.9, "eps": 1e-6}
    ours = shown["RMSprop"]([w], **settings)
    theirs = torch.optim.RMSprop([v], **settings)
    for step in range(20):
        if step == 10:
            state, ours = ours.state_dict(), shown["RMSprop"]([w], **settings)
            ours.load_state_dict(state)
        for optimiser, loss in ((ours, ((w - 1) ** 4).sum()), (theirs, ((v - 1) ** 4).sum())):
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    np.testing.assert_allclose(w.numpy(), v.detach(), rtol=1e-12)
    defaults = torch.optim.RMSprop([v]).defaults
    fresh = shown["RMSprop"]([w])
    assert all(getattr(fresh, name) == defaults[name] for name in settings)


@pytest.mark.parametrize("setting", [{"alpha": 2}, {"eps": -1}, {"lr": 0}])
def test_the_optimiser_refuses_settings_that_make_no_sense(shown, setting):
    with pytest.raises(ValueError, match=f"RMSprop: {next(iter(setting))} = "):
        shown["RMSprop"]([mg.nn.Parameter([1.0])], **setting)


def test_what_is_overwritten_is_not_used(shown):
    w = mg.nn.Parameter([3.0])
    loss = (w * w).sum()
    loss.backward()
    shown["RMSprop"]([w]).step()
    with pytest.raises(RuntimeError):
        loss.backward()


def test_what_the_page_names_exists():
    named = re.findall(r"`(\w+/[\w/]*(?:\.py)?)`|\]\(([^)#:]+)\)", PAGE)
    assert len(named) >= 9
    for name in map("".join, named):
        assert (ROOT / name).exists(), name
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"test", "format"} <= set(re.findall(r"(?:`|^ {4})make (\w+)", PAGE, re.M)) <= targets
