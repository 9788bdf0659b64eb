"""One HTML file for a Recording: its data as JSON, and what lies in web/.

Names, docstrings and lines of code are data on the page. In the JSON every < is escaped, so that a
`</script>` in a name ends nothing, and the scripts set text, never HTML.
"""

import json
import re
from html import escape
from importlib.resources import files

import numpy as np

from minigrad.core.graph import shares
from minigrad.core.interpreter import setting
from minigrad.core.memory import array_of
from minigrad.core.show import kind
from minigrad.core.tensor import owned
from minigrad.explore.layout import nested
from minigrad.explore.pictures import FEW, picture, text, word

SCRIPTS = ("panel.js", "graph.js", "page.js")


def page(recording, title) -> str:
    """Return the whole page as text."""
    folder = files("minigrad.explore") / "web"
    scripts = [(folder / name).read_text(encoding="utf-8") for name in SCRIPTS]
    data = json.dumps({"title": title, **contents(recording)}, allow_nan=False)
    texts = {
        "TITLE": escape(title), "CSS": (folder / "style.css").read_text(encoding="utf-8"),
        "DATA": data.replace("<", "\\u003c"), "JS": "\n".join(scripts),
    }  # fmt: skip
    frame = (folder / "page.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: texts[found[1]], frame)


def contents(recording) -> dict:
    """Return what the page shows, as values for JSON. Nodes and values are known by numbers.

    There are two graphs, of the function and, besides, of its gradient. Each has a layout and
    steps: [node, title, sentence, hue].
    """
    forward, both = recording.forward, recording.forward + recording.backward
    leaves = [v.op for op in both for v in op.operands if not (v.op.at or v.inline)]
    nodes = [*dict.fromkeys(leaves + both)]
    values = [v for op in nodes for v in op.results]
    number = {thing: i for things in (nodes, values) for i, thing in enumerate(things)}
    graphs = [{**_graph(ops, number), "steps": _steps(ops, number)} for ops in (forward, both)]
    graphs[0]["steps"] += _steps_back(recording, number)
    return {
        "nodes": [_node(op, number) for op in nodes],
        "values": [_value(v, number) for v in values],
        "graphs": graphs,
    }


def _node(op, number):
    repeats = {op for op in op.pull if any(box.name == "unbroadcast" for box in op.boxes)}
    about, *rest = op.doc.split("\n\n")  # and the paragraph with the VJP, on a line of its own
    doc = re.sub(r"\s+", " ", " ".join([about, *(part for part in rest if "VJP" in part)]))
    return {
        "sort": op.sort, "call": op.call, "line": op.line, "doc": doc.replace(" VJP", "\nVJP"),
        "title": op.text if len(op.text) <= 24 else op.name, "at": op.at, "pulled": op.pulled,
        "pull": [x.call + "    # for what was broadcast" * (x in repeats) for x in op.pull],
        "terms": terms(op), "out": [number[v] for v in op.results],
        "in": [number[v] for v in op.operands if not v.inline],
    }  # fmt: skip


def _value(v, number):
    names = " = ".join([*map(bar, v.gradient_of), v.name])
    return {
        "name": v.name, "bar": bar(v.name), "kind": kind(v.array), "node": number[v.op],
        "sub": f"{names} : {kind(v.array)}" if v.op.at else kind(v.array),
        "picture": picture(v.array), "g": None if v.g is None else picture(array_of(v.g)),
        "arrived": v.arrived,
        "shares": [[step, number[op], picture(array_of(share))] for step, op, share in v.shares],
    }  # fmt: skip


def _graph(ops, number):
    """Return the layout of operations, and of leaves: they stand in the boxes around their uses."""
    uses: dict = {}
    for op in ops:
        for operand in op.operands:
            if not operand.inline:
                uses.setdefault(operand.op, {})[op] = None
    paths = {}
    for leaf in (op for op in uses if not op.at):
        boxes = zip(*(op.boxes for op in uses[leaf] if leaf.sort != "input"), strict=False)
        paths[number[leaf]] = tuple(box[0] for box in boxes if len({*box}) == 1)
    paths |= {number[op]: op.boxes for op in ops}
    return nested(paths, [(number[op], number[user]) for op in uses for user in uses[op]])


def _steps(ops, number):
    """Return the steps that compute operations, one after another."""
    steps = [[None, "Before the first step", "inputs and parameters have values.", "forward"]]
    for op in ops:
        part, hue = ("Forward", op.sort) if op.sort == "forward" else ("Gradient", "back")
        made = [", ".join([word(v.array), *map(bar, v.gradient_of)]) for v in op.results]
        sentence = f"{op.call}, which is {' and '.join(made)}."
        steps.append([number[op], f"{part}, {op.at} of {len(ops)}", sentence, hue])
    return steps


def _steps_back(recording, number):
    """Return the step that seeds the loss, and those that pull operations back."""
    loss = recording.loss
    sentence = f"it is {word(loss.array)}. Backpropagation begins with {bar(loss.name)} = 1."
    steps = [[number[loss.op], "The loss", sentence, "back"]]
    for i, op in enumerate(recording.pulled, 1):
        words = [f"{word(array_of(share))} to {value.name}" for value, share in op.sent]
        sentence = f"{op.name} sends {' and '.join(words) or 'nothing'}."
        for value in dict.fromkeys(value for value, _ in op.sent):
            came = [word(array_of(share)) for step, _, share in value.shares if step <= op.pulled]
            end = f"= {word(array_of(value.g))}" if op.pulled == value.arrived else "+ … so far"
            if len(value.shares) > 1:
                sentence += f" {bar(value.name)} = {' + '.join(came)} {end}."
        steps.append([number[op], f"Back, {i} of {len(recording.pulled)}", sentence, "back"])
    return steps


def bar(name) -> str:
    """Return the name of a value's cotangent.

    >>> bar("x"), bar("v12"), bar("encoder.0.bias")
    ('x̄', 'v̄12', '∂L/∂encoder.0.bias')
    """
    short = len(name.rstrip("0123456789")) == 1
    return f"{name[0]}\u0304{name[1:]}" if short else f"∂L/∂{name}"


def terms(op) -> list[str]:
    """Return, for each share that is small, its largest element written out with numbers.

    The pull is linear in the cotangent. So a cotangent that is 1 at one element and 0 elsewhere
    gives that element's derivatives, and the share is the sum of cotangent times derivative.
    """
    y, found = op.results[0], []
    arrays = [array_of(share) for _, share in op.sent]
    if len(op.results) > 1 or y.g is None or any(not 0 < a.size <= FEW for a in [y.array, *arrays]):
        return []
    g = array_of(y.g)
    with setting(observer=None, records=False):
        ones = np.eye(g.size, dtype=g.dtype).reshape(g.size, *g.shape)
        rows = [shares(op.node, owned(one), None) for one in ones] if op.sent else []
    sigma, j = ("Σⱼ ", "[j]") if g.shape else ("", "")
    for k, ((value, _), array) in enumerate(zip(op.sent, arrays, strict=True)):
        at = np.unravel_index(np.nan_to_num(np.abs(array)).argmax(), array.shape)
        place = f"[{', '.join(map(str, at))}]" * (array.ndim > 0)
        products = zip(g.flat, (array_of(row[k][1])[at] for row in rows), strict=True)
        words = [f"{text(a)} · {text(b)}" for a, b in products if b != 0] or ["0"]
        total = " + ".join(words[:6] + ["…"] * (len(words) > 6))
        formula = f"{sigma}{bar(y.name)}{j} · ∂{y.name}{j}/∂{value.name}{place}"
        found.append(f"{formula} = {total} = {text(array[at])}")
    return found
