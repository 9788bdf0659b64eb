"""What the README and the docstrings show is run, and what they name exists."""

import doctest
import importlib
import pkgutil
import re

import numpy as np
import pytest

import minigrad
import train_vae
from minigrad import random
from tests import ROOT

README = (ROOT / "README.md").read_text()
MODULES = [m.name for m in pkgutil.walk_packages(minigrad.__path__, "minigrad.")]


def run_examples(text, name):
    """How many examples there were; they must give what the text shows."""
    text = text.replace("```python", "").replace("```", "")  # a fence is no expected output
    test = doctest.DocTestParser().get_doctest(text, {"__name__": name}, name, name, 0)
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    runner.run(test)
    assert runner.failures == 0
    return len(test.examples)


def test_readme_examples():
    assert run_examples(README, "README.md") >= 15


@pytest.mark.usefixtures("torch")
def test_weights_go_to_pytorch_and_back_as_the_docs_show():
    assert run_examples((ROOT / "docs/runs.md").read_text(), "runs.md") >= 9


def test_each_line_of_the_derivation_holds():
    assert run_examples((ROOT / "docs/vanishing_gradient.md").read_text(), "vanishing") >= 18


def test_the_figures_of_the_derivation_are_drawn(tmp_path, capsys):
    """And what they show follows line 6: D believes in all images alike before it has learnt."""
    from docs import vanishing_gradient

    with random.fork(0):
        vanishing_gradient.main(["--warmup", "0", "--steps", "1", "--out", str(tmp_path)])
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[1:]]
    assert [row[0] for row in rows] == ["0", "1"]
    belief, minimax, other, ratio = map(float, rows[0][1:])
    assert ratio == pytest.approx(belief / (1 - belief), rel=0.05)
    assert ratio == pytest.approx(minimax / other, rel=0.06)  # two printed digits
    assert sorted(p.name for p in tmp_path.iterdir()) == ["slopes.png", "starvation.png"]


def test_the_slopes_in_the_figure_are_those_of_the_derivation():
    from docs import vanishing_gradient

    h = np.linspace(-12.0, 6.0, 50)
    minimax, other = vanishing_gradient.slopes(h).values()
    np.testing.assert_allclose(minimax, 1 / (1 + np.exp(-h)), rtol=1e-9)
    np.testing.assert_allclose(other, 1 / (1 + np.exp(h)), rtol=1e-9)


@pytest.mark.parametrize("page", sorted((ROOT / "docs").glob("*.md"), key=str))
def test_the_docs_link_to_what_exists(page):
    for target in re.findall(r"\]\(([^)#:]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("name", MODULES)
def test_docstring_examples(name):
    assert doctest.testmod(importlib.import_module(name)).failed == 0


def test_docstrings_have_examples():
    finder = doctest.DocTestFinder()
    modules = [importlib.import_module(name) for name in MODULES]
    assert sum(len(test.examples) for m in modules for test in finder.find(m)) >= 10


def test_the_readme_quotes_the_results():
    """Rows of its table stand in docs/results.md to the letter."""
    named = r"\| (static subset|full test set|subset, IWAE)"
    rows = [line for line in README.splitlines() if re.match(named, line)]
    results = (ROOT / "docs/results.md").read_text()
    assert len(rows) >= 4 and all(row in results for row in rows)


def test_make_targets_in_the_readme_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert {"train", "test"} <= set(re.findall(r"\bmake (\w+)", README)) <= targets


def test_files_in_the_readme_exist():
    named = re.findall(r"`(?:minigrad/|models/|tests/)?[\w/]+\.(?:py|png)`", README)
    assert len(named) > 15
    folders = ["", *(path.relative_to(ROOT) for path in ROOT.glob("m*/**/") if path.is_dir())]
    for name in (n.strip("`") for n in named):
        assert any((ROOT / folder / name).exists() for folder in folders), name


def test_every_module_is_in_the_reading_order():
    order = README[README.index("## Read it") : README.index("## Add an operation")]
    for name in MODULES:
        folder, _, leaf = name.rpartition(".")
        if leaf != "__main__" and folder not in (
            "minigrad.kernels",
            "minigrad.nn",
            "minigrad.training",
        ):
            package = hasattr(importlib.import_module(name), "__path__")
            assert f"{leaf}/" in order if package else f"{leaf}.py" in order, name


def test_the_backend_is_documented():
    assert train_vae.parse(["--iter_max", "1"]).iter_max == 1
    assert "MINIGRAD_BACKEND=numpy" in README


def test_every_operation_says_its_formula_and_its_vjp():
    from minigrad.core.primitive import OPERATIONS, Primitive

    for name, f in OPERATIONS.items():
        if f.__module__.startswith("minigrad."):
            assert f.__doc__, name
            if isinstance(f, Primitive) and f.writes:
                assert "←" in f.__doc__, name
            elif isinstance(f, Primitive):
                assert re.match(r"([yh]s? (=|has|~)|μ and)", f.__doc__), name
                assert "VJP" in f.__doc__, name
