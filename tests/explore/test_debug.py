"""A graph as a still picture."""

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, random
from minigrad.debug import draw
from minigrad.explore import layout


def labels(picture):
    return [text.get_text() for text in picture.axes[0].texts]


def test_a_drawing_has_calls_and_small_values(tmp_path):
    random.seed(0)
    net, x = nn.Sequential(nn.Linear(2, 3), nn.Tanh()), mg.Tensor([[0.0, 1.0]])
    y = (mg.concatenate([net(x) * 0.5] * 3)).sum()
    linear, tanh = (
        np.array2string(net[:k](x).numpy(), precision=4, separator=", ") for k in (1, 2)
    )
    picture = draw(y)
    found = labels(picture)
    assert found[0] == "c0\n[[0., 1.]]" and found[1] == "x0\nf32[3,2]"
    assert found[3:5] == [f"v1 = linear(c0, x0, x1)\n{linear}", f"v2 = tanh(v1)\n{tanh}"]
    assert found[6].endswith("axis=0)\nf32[3,3]") and found[7] == f"v5 = sum(v4)\n{y.data!s}"
    assert len(picture.axes[0].lines) == 7  # the edges
    picture.savefig(tmp_path / "graph.png")


def test_a_graph_shows_itself_in_a_notebook(monkeypatch):
    x = mg.Tensor(3.0, requires_grad=True)
    graph = mg.graph(x * x)
    svg = graph._repr_svg_()
    assert svg.startswith("<?xml") and svg == svg.strip() + "\n"
    assert labels(draw(graph)) == labels(draw(x * x)) == ["x0\n3", "v1 = multiply(x0, x0)\n9"]
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    assert graph._repr_svg_() is None and "multiply" in repr(graph)
    with pytest.raises(ImportError, match=r"draw: .*\n.*minigrad\[explore\]"):
        draw(graph)


def test_a_long_graph_is_printed_in_a_notebook():
    y = mg.Tensor(3.0, requires_grad=True)
    for _ in range(101):
        y = y + 1
    assert mg.graph(y)._repr_svg_() is None and len(labels(draw(y))) == 102


def test_a_graph_that_was_freed_is_not_drawn_without_its_edges():
    x = mg.Tensor(3.0, requires_grad=True)
    y = x * x
    graph = mg.graph(y)
    y.backward()
    for freed in (y, graph):
        with pytest.raises(RuntimeError, match="was freed by an earlier backward or grad"):
            draw(freed)
    assert graph._repr_svg_() is None


def test_two_results_are_drawn_in_one_picture():
    x = mg.Tensor(3.0, requires_grad=True)
    a, b = x * x, x + 1
    assert labels(draw(a, b)) == ["x0\n3", "v1 = multiply(x0, x0)\n9", "v2 = add(x0, 1)\n4"]
