"""The file that is written: whole, small, harmless; and what is said where there is none."""

import base64
import io
import re

import numpy as np
import pytest
from PIL import Image

import minigrad as mg
from minigrad import nn, random
from minigrad.explore import explore, layout
from minigrad.explore.__main__ import made
from minigrad.explore.pictures import figure, picture
from tests.explore.evil import function_named
from tests.explore.parsed import panel, parsed, text, texts

GRAPHS = ("function", "gradient")


@pytest.mark.parametrize(("name", "most"), [("vae", 5), ("gan", 15)])
def test_pages_of_the_models_are_small(name, most, tmp_path, request):
    request.getfixturevalue("mnist" if name == "vae" else "fashion")
    f, inputs = made(name)
    path = explore(f, *inputs, path=tmp_path / "page.html")
    assert path.stat().st_size < most * 1e6
    page = parsed(path)
    forward, both = (len(page.findall(f".//ol[@id='{x}-steps']/li")) for x in GRAPHS)
    assert forward > 50 and both > 65


def test_a_page_asks_nobody_for_anything(tmp_path):
    text = explore(lambda x: x * x, 3.0, path=tmp_path / "page.html").read_text(encoding="utf-8")
    assert "default-src 'none'" in text
    assert not re.search(r"(src|href)\s*=\s*[\"'](?!data:)", text) and "@import" not in text
    assert "innerHTML" not in text and not re.search(r"[^$]\{\w+[.:}]\w*\}", text)


def test_names_docstrings_and_code_end_no_script(tmp_path):
    evil = "</script><script>window.hacked = 1</script><!--"
    path = explore(function_named(evil), 3.0, path=tmp_path / "page.html")
    content, page = path.read_text(encoding="utf-8"), parsed(path)
    assert content.count("</script>") == 1 and "<script>window" not in content
    assert text(page.find(".//title")).startswith(evil)
    assert evil in texts(page, ".//p[@class='doc']")
    assert any("window.hacked = 2" in line for line in texts(page, ".//article/code"))


def test_numbers_are_those_of_minigrad_infinities_and_nan_too(tmp_path):
    path = explore(lambda x: mg.log(x).sum(), [0.1, 0.0, -1.0], path=tmp_path / "page.html")
    shown = [texts(row, "td") for row in parsed(path).iter("tr")]
    assert ["0.1", "0", "-1"] in shown and ["-2.3025851", "-inf", "nan"] in shown
    assert ["10", "inf", "-1"] in shown  # the gradient, 1 / x


def test_every_share_has_a_picture_and_the_derivative_is_written_out(tmp_path):
    page = parsed(explore(lambda x: x * x + x, 3.0, path=tmp_path / "page.html"))
    add, multiply, x = (panel(page, name) for name in (ADD, MULTIPLY, "x"))
    assert text(multiply.find(".//pre")).split("\n") == 2 * ["v̄1 · ∂v1/∂x = 1 · 3 = 3"]
    assert text(add.find(".//pre")) == "v̄2 · ∂v2/∂v1 = 1 · 1 = 1\nv̄2 · ∂v2/∂x = 1 · 1 = 1"
    assert [text(head) for head in x.iter("h3")][:2] == ["x : f32[]", "x̄ : f32[]"]
    shares = x.findall(".//div[@class='shares']/div")
    assert texts(x, ".//div[@class='shares']/div/p") == [f"{n} from {call}" for n, call in SENT]
    assert [texts(share, ".//td") for share in shares] == [["1"], ["3"], ["3"]]


ADD, MULTIPLY = "v2 = add(v1, x)", "v1 = multiply(x, x)"
SENT = [(1, ADD), (3, MULTIPLY), (3, MULTIPLY)]


def test_everything_comes_at_its_step(tmp_path):
    page = parsed(explore(lambda x: x * x + x, 3.0, path=tmp_path / "page.html"))
    graph = page.find(".//div[@id='function']")
    when = [
        (x.get("class"), text(x), x.get("data-at")) for x in graph.iter("span") if x.get("data-at")
    ]
    assert when == [
        ("value", "3", "0"), ("g", "7", "5"), ("value", "9", "1"), ("g", "1", "4"),
        ("value", "12", "2"), ("g", "1", "3"),
    ]  # fmt: skip
    edges = [
        [edge.get(f"data-{key}") for key in ("from", "to", "shift")]
        + [(x.get("class"), text(x), x.get("data-at")) for x in edge]
        for edge in graph.iter("svg")
    ]
    line, flow = "line forward", "flow"
    assert edges == [
        ["0", "1", "0", (line, "", "1"), (flow, "", "5"), (None, "3", "5")],
        ["0", "1", "24", (line, "", "1"), (flow, "", "5"), (None, "3", "5")],
        ["1", "2", "0", (line, "", "2"), (flow, "", "4"), (None, "1", "4")],
        ["0", "2", "0", (line, "", "2"), (flow, "", "4"), (None, "1", "4")],
    ]
    shares = panel(page, "x").findall(".//div[@class='shares']/div")
    assert [share.get("data-at") for share in shares] == ["4", "5", "5"]


def pulled(page):
    """The terms of the nodes that were pulled back, in that order."""
    found = page.findall(".//article/div[@class='cotangent']")
    steps = [
        (x.get("data-at", "None"), text(x.find("pre"))) for x in found if x.find("pre") is not None
    ]
    found = sorted((int(at), terms) for at, terms in steps if at != "None")
    return [terms.split("\n") for _, terms in found]


def test_a_sum_of_products_is_written_out_with_numbers(tmp_path):
    w = mg.Tensor([[1.0, 2.0], [3.0, -4.0]], requires_grad=True)
    x = mg.Tensor([[5.0, 6.0]])
    page = parsed(explore(lambda x: (x @ w).sum(), x, path=tmp_path / "page.html"))
    assert pulled(page)[-1] == ["Σⱼ v̄1[j] · ∂v1[j]/∂w[1, 0] = 1 · 6 = 6"]
    a, b = [2.0, 3.0], [[5.0], [-7.0]]
    page = parsed(explore(lambda a, b: (a * b).sum(), a, b, path=tmp_path / "page.html"))
    assert pulled(page)[1] == [
        "Σⱼ v̄1[j] · ∂v1[j]/∂a[0] = 1 · 5 + 1 · -7 = -2",
        "Σⱼ v̄1[j] · ∂v1[j]/∂b[0, 0] = 1 · 2 + 1 · 3 = 5",
    ]


def area(element):
    """The first layer, and the first of the two columns, at which an element is in its grid."""
    return cells(element)[0]


def cells(element):
    """Where an element is in its grid: nodes and boxes in one layer, bends perhaps in several."""
    style = r"grid-area: (\d+) / (\d+) / (\d+|auto) / span 2"
    first, column, after = re.fullmatch(style, element.get("style")).groups()
    assert element.tag == "i" or after == "auto"
    after = int(first) + 1 if after == "auto" else int(after)
    assert after > int(first)
    return [(y, x) for y in range(int(first), after) for x in (int(column), int(column) + 1)]


def test_every_node_stands_once_and_below_what_it_uses(tmp_path):
    random.seed(0)
    net = nn.Sequential(nn.Linear(2, 3), nn.Tanh(), nn.Linear(3, 1))
    x = random.normal((4, 2))

    def loss(x):  # in which x.sum() is far from where it is used
        return mg.tanh(net(x) * net(-x)).mean() + x.sum()

    page = parsed(explore(loss, x, path=tmp_path / "page.html"))
    for name in GRAPHS:
        graph, places, longest = page.find(f".//div[@id='{name}']/div"), {}, []

        def walk(grid, trail, places=places, longest=longest):
            stand = [cell for child in grid for cell in cells(child)]
            assert len({*stand}) == len(stand), "two stand on one another"
            ways = {}
            for bend in grid.findall("i"):
                ways.setdefault(bend.get("data-way"), []).extend(cells(bend)[::2])
            for way, passed in ways.items():  # a long edge has a place in each layer between
                a, b = (area(grid[int(child)])[0] for child in way.split())
                assert sorted(layer for layer, _ in passed) == [*range(a + 1, b)]
            longest.append(max(map(len, ways.values()), default=0))
            for child in grid:
                if child.tag == "details":
                    walk(child.find("div"), (*trail, area(child)))
                elif child.tag == "button":
                    assert child.get("data-op") not in places
                    places[child.get("data-op")] = (*trail, area(child))

        walk(graph.find("div"), ())
        assert len(set(places.values())) == len(places) > 10 and max(longest) > 1
        edges = [(edge.get("data-from"), edge.get("data-to")) for edge in graph.iter("svg")]
        assert {op for edge in edges for op in edge} == places.keys()
        for source, target in edges:
            pairs = zip(places[source], places[target], strict=False)
            layers = [(a, b) for (a, _), (b, _) in pairs if a != b]
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
    assert len(figure(np.asarray(array))) < 20_000


def pixels(array):
    """The colours of an array's picture, and what it says of it."""
    found, note = picture(array)
    (png,) = re.findall(r"base64,([^\"]*)", found)
    image = Image.open(io.BytesIO(base64.b64decode(png))).convert("RGBA")
    return np.array(image), note


def test_a_picture_has_the_right_pixels():
    array = np.array([[0.0, 1.0, 2.0], [np.nan, np.inf, -np.inf]], np.float32)
    found = pixels(array)[0].reshape(6, 4)
    dark, none = found[2], found[0]
    assert [*dark] == [34, 38, 43, 255] and none[3] == 0
    assert abs(int(found[1, 3]) - 128) < 2 and [*found[1, :3]] == [34, 38, 43]
    assert [*found[3]] == [255, 0, 200, 255] and [*found[4]] == [*dark] and [*found[5]] == [*none]
    signed = pixels(np.array([[-2.0, 0.0, 4.0]]))[0].reshape(3, 4)
    assert [*signed[2]] == [194, 65, 12, 255] and signed[1, 3] < 2
    assert [*signed[0, :3]] == [31, 98, 176] and abs(int(signed[0, 3]) - 128) < 2
    stats = re.findall("<dt>(.*?)</dt><dd>(.*?)</dd>", figure(array))
    assert dict(stats) == {
        "min": "-inf", "mean": "nan", "max": "inf", "zeros": "16.7 %", "NaN": "1",
    }  # fmt: skip
    assert re.findall("<td>(.*?)</td>", figure(np.ones((1, 1, 1)))) == ["1"]
    wide, note = pixels(np.arange(10_000.0).reshape(100, 100))
    assert wide.shape[:2] == (34, 34) and note == "1 of 3 rows, 1 of 3 columns"


def test_images_stand_side_by_side_a_pixel_apart():
    digits = np.zeros((3, 784), np.float32)
    digits[1] = 1
    found, note = pixels(digits)
    assert found.shape[:2] == (28, 86) and note == "3 of 3 rows as 28 × 28 pixels"
    dark = np.argwhere(found[..., 3] == 255)
    assert dark.min(axis=0).tolist() == [0, 29] and dark.max(axis=0).tolist() == [27, 56]
    channels = pixels(np.ones((2, 5, 4, 4)))[1]
    assert channels == "5 of 5 channels of the first image"
    counts, note = pixels(np.repeat([0.0, 1.0], (100, 50)))
    assert note == "histogram of 150 numbers" and counts.shape[:2] == (32, 32)
    assert (counts[..., 3] == 255).sum(axis=0)[[0, 1, 31]].tolist() == [32, 0, 16]


def test_inputs_of_any_sort_are_passed_on_and_have_names(tmp_path):
    pair = [mg.Tensor(2.0, requires_grad=True), mg.Tensor(3.0, requires_grad=True)]
    page = tmp_path / "page.html"
    explore(lambda pair, words, ragged: pair[0] * pair[1], pair, ["a"], [[1.0], []], path=page)
    found = texts(parsed(explore(lambda *xs: xs[0] * xs[1], 2.0, 3.0, path=page)), ".//h2")
    assert found[:3] == ["input0", "input1", "v1 = multiply(input0, input1)"]


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
