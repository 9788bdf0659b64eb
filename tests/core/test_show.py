"""A graph that is printed, and an observer that is told of all that happens."""

import numpy as np

import minigrad as mg
from minigrad import no_grad, optim
from minigrad.core.interpreter import setting
from minigrad.core.show import aligned
from tests.core.helpers import leaf


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


def test_observers_of_nested_blocks_are_all_told_the_outer_first():
    w, told = leaf(1.0, 2.0), []
    first, second = (setting(observer=lambda *event, i=i: told.append(i)) for i in range(2))
    with first, second, mg.trace():
        y = w * 2
    with second:
        w.sum()
        with setting(observer=None):
            w.sum()
    w.sum()
    assert told == [0, 1, 1] and "y = w * 2" in str(mg.graph(y))


def test_a_program_names_the_lines_that_asked_for_its_operations():
    w = leaf(1.0, 2.0)
    with mg.trace():
        y = (w * 2).sum()
        w.grad = None
    text = str(mg.graph(y * 3))
    assert text.count("# test_show.py:") == 2 and "y = (w * 2).sum()" in text
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


def test_a_long_line_is_wrapped_beside_its_note_and_loses_nothing():
    text = f"v41 : f32[40] = concatenate({', '.join([f'v{n}' for n in range(1, 41)])})"
    first, *rest, last = aligned([(text, "here"), ("v42 : f32[] = sum(v41)", "there")]).splitlines()
    first, note = first.split("  # ")
    assert note == "here" and last.index("# there") == len(first) + 2 <= 98
    assert rest and " ".join([first.strip(), *[line.strip() for line in rest]]) == text
    assert max(map(len, rest)) <= 96
