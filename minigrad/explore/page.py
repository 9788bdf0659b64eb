"""One HTML file for a Recording: graphs, panels and steps, which web/page.js only shows.

Names, docstrings and lines of code are data on the page: `fill` escapes them.
"""

import numpy as np

from minigrad.core.graph import shares
from minigrad.core.interpreter import setting
from minigrad.core.memory import array_of
from minigrad.core.tensor import owned
from minigrad.explore.layout import layered
from minigrad.explore.pictures import FEW, WEB, Markup, fill, text, word
from minigrad.explore.record import Box


def page(recording, title) -> str:
    """Return the whole page as text: a graph of the function, and one of its gradient besides."""
    forward, both = recording.forward, recording.forward + recording.backward
    nodes = dict.fromkeys([v.op for op in both for v in op.operands if not v.inline] + both)
    return fill(
        "page", title=title, style=Markup(WEB["style.css"]), script=Markup(WEB["page.js"]),
        function=graph(forward, "function"), function_steps=steps(forward) + steps_back(recording),
        gradient=graph(both, "gradient"), gradient_steps=steps(both),
        panels=[fill("panel", op=op, terms="\n".join(terms(op))) for op in nodes],
    )  # fmt: skip


def graph(ops, view) -> list[Markup]:
    """Return nodes in boxes, and edges. view: the beginning of the nodes' ids"""
    uses = [(v, op, i) for op in ops for i, v in enumerate(op.operands) if not v.inline]
    paths: dict = {}  # leaves stand in the boxes that are around all of their uses
    for v, op, _ in uses:
        if v.op.at <= 0:
            around = zip(paths.get(v.op, op.boxes), op.boxes, strict=False)
            paths[v.op] = [a for a, b in around if a == b and v.op.sort != "input"]
    paths |= {op: op.boxes for op in ops}
    nodes = {op: [*boxes, op] for op, boxes in paths.items()}
    return [grid(nodes, [(v.op, op) for v, op, _ in uses], view), *(edge(*use) for use in uses)]


def grid(paths, edges, view) -> Markup:
    """Return a grid of nodes and boxes. paths: {operation: its boxes, from outside, and itself}"""
    inside: dict = {}  # what is in each child
    for op, (child, *rest) in paths.items():
        inside.setdefault(child, {})[op] = rest
    number = {op: i for i, ops in enumerate(inside.values()) for op in ops}
    pairs = [(number[a], number[b]) for a, b in edges if number[a] != number[b]]
    places, routes = layered(len(inside), dict.fromkeys(pairs))
    parts = []
    for (child, below), place in zip(inside.items(), places, strict=True):
        op = max(below, key=lambda op: op.at)
        v, title = op.results[0], op.text if len(op.text) <= 24 else op.name
        common = {"v": v, "view": view, "place": place}
        if isinstance(child, Box):
            within = [(a, b) for a, b in edges if a in below and b in below]
            inner, title, about = grid(below, within, view), child.name, f"{child.kind} · "
            parts.append(fill("box", title=title, about=about, grid=inner, **common))
        else:
            about = " = ".join([*v.gradient_of, v.name]) + " : " if op.at > 0 else ""
            parts.append(fill("node", title=title, about=about, **common))
    bends = [(edge, *bend) for edge, way in routes.items() for bend in way]
    return fill("grid", children=parts, bends=bends)


def edge(v, op, i) -> Markup:
    """Return the edge from a value to an operation, whose i-th operand it is."""
    shift = 24 * sum(other.op is v.op for other in op.operands[:i])
    pulled, share = (op.pulled, word(op.sent[i].array)) if i in op.sent else (None, "")
    return fill("edge", v=v, op=op, pulled=pulled, share=share * (v.array.size == 1), shift=shift)


def steps(ops) -> list[tuple]:
    """Return the steps that compute operations: (node, title, sentence, hue)."""
    told = [("", "Before the first step", "inputs and parameters have values.", "forward")]
    for op in ops:
        title = f"{'Forward' if op.sort == 'forward' else 'Gradient'}, {op.at} of {len(ops)}"
        made = [", ".join([word(v.array), *v.gradient_of]) for v in op.results]
        told.append((op.at, title, f"{op.call}, which is {' and '.join(made)}.", op.sort))
    return told


def steps_back(recording) -> list[tuple]:
    """Return the step that seeds the loss, and those that pull operations back."""
    loss = recording.loss
    sentence = f"it is {word(loss.array)}. Backpropagation begins with {loss.bar} = 1."
    told = [(loss.op.at, "The loss", sentence, "back")]
    for i, op in enumerate(recording.pulled, 1):
        words = [f"{word(x.array)} to {x.value.name}" for x in op.sent.values()]
        sentence = f"{op.name} sends {' and '.join(words) or 'nothing'}."
        for v in dict.fromkeys(x.value for x in op.sent.values() if len(x.value.shares) > 1):
            came = [word(x.array) for x in v.shares if x.op.pulled <= op.pulled]
            end = f"= {word(v.g)}" if op.pulled == v.arrived else "+ … so far"
            sentence += f" {v.bar} = {' + '.join(came)} {end}."
        told.append((op.at, f"Back, {i} of {len(recording.pulled)}", sentence, "back"))
    return told


def terms(op) -> list[str]:
    """Return, for each share that is small, its largest element written out with numbers.

    The pull is linear in the cotangent. So a cotangent that is 1 at one element and 0 elsewhere
    gives that element's derivatives, and the share is the sum of cotangent times derivative.
    """
    y, found, sent = op.results[0], [], op.sent.values()
    small = all(0 < array.size <= FEW for array in (y.array, *(x.array for x in sent)))
    if not sent or not small or len(op.results) > 1:
        return []
    with setting(records=False):
        ones = np.eye(y.g.size, dtype=y.g.dtype).reshape(-1, *y.g.shape)
        rows = [shares(op.node, owned(one), None) for one in ones]
    sigma, j = ("Σⱼ ", "[j]") if y.g.shape else ("", "")
    for k, (_, value, share) in enumerate(sent):
        at = np.unravel_index(np.nan_to_num(np.abs(share)).argmax(), share.shape)
        place = f"[{', '.join(map(str, at))}]" * (share.ndim > 0)
        products = zip(y.g.flat, (array_of(row[k][1])[at] for row in rows), strict=True)
        words = [f"{text(a)} · {text(b)}" for a, b in products if b != 0] or ["0"]
        total = " + ".join(words[:6] + ["…"] * (len(words) > 6))
        formula = f"{sigma}{y.bar}{j} · ∂{y.name}{j}/∂{value.name}{place}"
        found.append(f"{formula} = {total} = {text(share[at])}")
    return found
