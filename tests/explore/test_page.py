"""The file that is written: whole, small, harmless; and what is said where there is none."""

import json
import re
import time

import numpy as np
import pytest

import minigrad as mg
from minigrad import nn, random
from minigrad.explore import explore, layout
from minigrad.explore.examples import made
from minigrad.explore.pictures import picture
from tests.explore.evil import function_named


def contents(path):
    """The page's data."""
    text = path.read_text(encoding="utf-8")
    (data,) = re.findall(r'<script type="application/json" id="data">(.*?)</script>', text)
    return json.loads(data, parse_constant=lambda word: pytest.fail(f"{word} is no JSON"))


@pytest.mark.parametrize(("name", "most"), [("vae", 5), ("gan", 15)])
def test_pages_of_the_models_are_small_and_soon_made(name, most, tmp_path, request):
    request.getfixturevalue("mnist" if name == "vae" else "fashion")
    begun = time.perf_counter()
    f, inputs = made(name)
    path = explore(f, *inputs, path=tmp_path / "page.html")
    assert time.perf_counter() - begun < 10
    assert path.stat().st_size < most * 1e6
    data = contents(path)
    forward, both = (len(graph["steps"]) for graph in data["graphs"])
    assert forward > 50 and both > 65


def test_a_page_asks_nobody_for_anything(tmp_path):
    text = explore(lambda x: x * x, 3.0, path=tmp_path / "page.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", text) and "@import" not in text
    assert "innerHTML" not in text and "{{" not in text


def test_names_docstrings_and_code_end_no_script(tmp_path):
    evil = "</script><script>window.hacked = 1</script><!--"
    path = explore(function_named(evil), 3.0, path=tmp_path / "page.html")
    text = path.read_text(encoding="utf-8")
    assert text.count("</script>") == 2 and "<script>window" not in text
    assert contents(path)["title"] == evil
    assert any(node.get("doc") == evil for node in contents(path)["nodes"])


def test_numbers_are_those_of_minigrad_infinities_and_nan_too(tmp_path):
    path = explore(lambda x: mg.log(x).sum(), [0.1, 0.0, -1.0], path=tmp_path / "page.html")
    shown = [v[k].get("rows") for v in contents(path)["values"] for k in ("picture", "g") if v[k]]
    assert [["0.1", "0", "-1"]] in shown and [["-2.3025851", "-inf", "nan"]] in shown
    assert [["10", "inf", "-1"]] in shown  # the gradient, 1 / x


def pulled(data):
    """The nodes that were pulled back, in that order."""
    return sorted((n for n in data["nodes"] if n["pulled"]), key=lambda node: node["pulled"])


def test_every_share_has_a_picture_and_the_derivative_is_written_out(tmp_path):
    data = contents(explore(lambda x: x * x + x, 3.0, path=tmp_path / "page.html"))
    add, multiply = pulled(data)
    assert multiply["terms"] == 2 * ["v̄1 · ∂v1/∂x = 1 · 3 = 3"]
    assert add["terms"] == ["v̄2 · ∂v2/∂v1 = 1 · 1 = 1", "v̄2 · ∂v2/∂x = 1 · 1 = 1"]
    (x,) = (value for value in data["values"] if value["name"] == "x")
    assert x["bar"] == "x̄" and [share["word"] for _, _, share in x["shares"]] == [
        "1",
        "3",
        "3",
    ]


def test_a_sum_of_products_is_written_out_with_numbers(tmp_path):
    w = mg.Tensor([[1.0, 2.0], [3.0, -4.0]], requires_grad=True)
    x = mg.Tensor([[5.0, 6.0]])
    data = contents(explore(lambda x: (x @ w).sum(), x, path=tmp_path / "page.html"))
    *_, last = pulled(data)
    assert last["terms"] == ["Σⱼ v̄1[j] · ∂v1[j]/∂w[1, 0] = 1 · 6 = 6"]
    a, b = [2.0, 3.0], [[5.0], [-7.0]]
    data = contents(explore(lambda a, b: (a * b).sum(), a, b, path=tmp_path / "page.html"))
    assert pulled(data)[1]["terms"] == [
        "Σⱼ v̄1[j] · ∂v1[j]/∂a[0] = 1 · 5 + 1 · -7 = -2",
        "Σⱼ v̄1[j] · ∂v1[j]/∂b[0, 0] = 1 · 2 + 1 · 3 = 5",
    ]


def test_every_node_stands_once_and_below_what_it_uses(tmp_path):
    random.seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x = random.normal((4, 2))
    data = contents(explore(lambda x: (net(x) * net(-x)).mean(), x, path=tmp_path / "page.html"))
    for graph in data["graphs"]:
        places = {}

        def walk(box, trail, places=places):
            for child, x, layer in box["children"]:
                if isinstance(child, dict):
                    walk(child, (*trail, (layer, x)))
                else:
                    assert child not in places
                    places[child] = (*trail, (layer, x))

        walk(graph, ())
        assert len(set(places.values())) == len(places) > 10
        for child, place in places.items():
            for v in data["nodes"][child]["in"]:
                above = places[data["values"][v]["node"]]
                layers = [(a, b) for (a, _), (b, _) in zip(above, place, strict=False) if a != b]
                assert layers and layers[0][0] < layers[0][1]


@pytest.mark.parametrize(
    "array",
    [
        np.float64(2.0), np.zeros((0, 3)), np.zeros((3, 0, 2)), np.array([1e308, -1e308] * 50),
        np.full((70, 70), np.nan), np.array([1, 1 + 2e-16] * 64), np.arange(5000) > 7,
        np.full((2, 3, 5, 5), np.inf), np.ones((2, 784)), np.ones((3, 3)) * 1j,
        np.zeros((0, 2, 3, 3)), np.ones((1, 1, 100, 60)), np.zeros((100, 1000), np.uint8),
    ],
    ids=lambda array: f"{array.dtype}{list(array.shape)}",
)  # fmt: skip
def test_any_array_has_a_picture_which_is_small(array):
    found = json.dumps(picture(np.asarray(array)), allow_nan=False)
    assert len(found) < 20_000


def test_a_picture_has_the_right_pixels():
    import base64

    array = np.array([[0.0, 1.0, 2.0], [np.nan, np.inf, -np.inf]], np.float32)
    found = picture(array)
    assert list(base64.b64decode(found["pixels"])) == [1, 128, 255, 0, 255, 1]
    assert found["stats"] == {
        "min": "-inf", "mean": "nan", "max": "inf", "zeros": "16.7 %", "NaN": "1",
    }  # fmt: skip
    assert picture(np.ones((1, 1, 1)))["rows"] == [["1"]]
    wide = picture(np.arange(10_000.0).reshape(100, 100))
    assert wide["shape"] == (34, 34) and wide["note"] == "1 of 3 rows, 1 of 3 columns"


def test_inputs_of_any_sort_are_passed_on_and_have_names(tmp_path):
    pair = [mg.Tensor(2.0, requires_grad=True), mg.Tensor(3.0, requires_grad=True)]
    page = tmp_path / "page.html"
    explore(lambda pair, words, ragged: pair[0] * pair[1], pair, ["a"], [[1.0], []], path=page)
    data = contents(explore(lambda *xs: xs[0] * xs[1], 2.0, 3.0, path=page))
    assert [node["call"] for node in data["nodes"]][:3] == [
        "input0", "input1", "v1 = multiply(input0, input1)",
    ]  # fmt: skip


# ---- what can go wrong


def test_igraph_is_asked_for_before_anything_runs(monkeypatch, tmp_path):
    monkeypatch.setattr(layout, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"explore: .*\n  pip install 'minigrad\[explore\]'"):
        explore(lambda x: pytest.fail("it ran"), 3.0, path=tmp_path / "page.html")
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("f", "error", "said"),
    [
        (3, TypeError, "3 is no function"),
        (lambda x: None, ValueError, "returned a NoneType, and no loss"),
        (lambda x: x * mg.Tensor([1.0, 2.0]), ValueError, r"shape \(2,\).* end in .sum\(\)"),
        (lambda x: x, ValueError, "no gradient goes back"),
        (lambda x: mg.Tensor(1.0) * 2, ValueError, "no gradient goes back"),
        (lambda x: 1 / 0, ZeroDivisionError, "division"),
    ],
)
def test_what_is_no_loss_is_refused_and_the_old_page_stays(f, error, said, tmp_path):
    path = tmp_path / "page.html"
    path.write_text("old", encoding="utf-8")
    with pytest.raises(error, match=said):
        explore(f, 3.0, path=path)
    assert path.read_text(encoding="utf-8") == "old" and [*tmp_path.iterdir()] == [path]


def test_a_place_where_no_page_can_be_is_refused_before_anything_runs(tmp_path):
    def f(x):
        pytest.fail("it ran")

    with pytest.raises(FileNotFoundError, match="there is no folder .*nowhere"):
        explore(f, 3.0, path=tmp_path / "nowhere" / "page.html")
    with pytest.raises(IsADirectoryError, match="is a folder; name a file in it"):
        explore(f, 3.0, path=tmp_path)
