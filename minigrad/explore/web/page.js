"use strict";
/* What has a data-at is there from that step on. Edges are drawn between what is seen. */

const find = (id) => document.getElementById(id), slider = find("slider");
const every = (selector) => [...document.querySelectorAll(selector)];
let view = find("function"), timer = null; // the view is the function's graph, or the gradient's

/* Let one element alone have an attribute. */
function only(attribute, element) {
  for (const other of every(`[${attribute}]`)) other.removeAttribute(attribute);
  element?.setAttribute(attribute, "true");
}

function go(step) {
  slider.value = step; // it goes no further than its ends
  const told = find(`${view.id}-steps`).children[slider.value], { op } = told.dataset;
  find("says").replaceChildren(...told.cloneNode(true).childNodes);
  find("count").textContent = `${slider.value} of ${slider.max}`;
  slider.ariaValueText = `${slider.value} of ${slider.max}: ${told.textContent}`;
  only("aria-current", op ? find(view.id + op) : null);
  choose(op ? find(view.id + op) : null);
}
function choose(node) {
  const panel = node && find("panels").content.getElementById(`about${node.dataset.op}`);
  find("told").replaceChildren(...(panel ? [panel.cloneNode(true)] : []));
  for (const part of every("[data-at]")) {
    part.classList.toggle("there", Number(part.dataset.at) <= slider.value);
    part.classList.toggle("now", part.dataset.at === slider.value);
  }
  only("data-chosen", node);
  if (node) seen(node).scrollIntoView({ block: "nearest", inline: "nearest" });
}
function play() {
  clearInterval(timer);
  const next = () => (slider.value === slider.max ? play() : go(slider.valueAsNumber + 1));
  timer = timer ? null : setInterval(next, 900);
  find("play").textContent = timer ? "pause" : "play";
  if (timer && slider.value === slider.max) go(0);
}

function fold(open) {
  for (const box of view.querySelectorAll("details")) box.open = open;
  fit();
}

/* All lengths of a graph are in em: its letters become as large as there is room for. */
function fit() {
  const graph = view.firstElementChild, { style } = graph;
  style.fontSize = "1em";
  const room = [view.clientWidth / graph.offsetWidth, view.clientHeight / graph.offsetHeight];
  style.fontSize = `${Math.max(0.7, Math.min(1.4, ...room))}em`;
}

/* Show the function from its beginning, or the gradient at its end. */
function change() {
  view.hidden = true;
  view = find(find("switch").checked ? "gradient" : "function");
  view.hidden = false;
  slider.max = find(`${view.id}-steps`).children.length - 1;
  fold(slider.max < 40); // a large graph is folded in the beginning
  go(view.id === "gradient" ? slider.max : 0);
}

/* What is seen of a node: the outermost folded box around it, or itself. */
function seen(node) {
  const folded = node.parentElement.closest("details:not([open])");
  return folded ? seen(folded) : node;
}

/* Which child an element is in, of the innermost box around it and another. */
function branch(element, other) {
  const outer = element.parentElement;
  return outer.contains(other) ? element : branch(outer, other);
}

/* Return a curve from an element to another, through the bends on its way, and a label's place. */
function curve(from, to, shift) {
  const { x: left, y: top } = view.firstElementChild.getBoundingClientRect();
  const at = (element, side, aside) => {
    const rect = element.getBoundingClientRect();
    return [rect.x + rect.width / 2 + aside - left, rect[side] - top];
  };
  const [a, b] = [branch(from, to), branch(to, from)], siblings = [...a.parentElement.children];
  const way = `${siblings.indexOf(a)} ${siblings.indexOf(b)}`;
  const bends = siblings.filter(({ dataset }) => dataset.way === way);
  const points = bends.flatMap((bend) => [at(bend, "top", 0), at(bend, "bottom", 0)]);
  let [x, y] = at(from, "bottom", shift), d = `M${x} ${y}`, middle;
  const room = 0.3 * to.offsetWidth, lean = (x - at(to, "top", 0)[0]) / 2;
  points.push(at(to, "top", Math.max(-room, Math.min(room, lean)) + shift));
  for (const [nextX, nextY] of points) {
    middle = [(x + nextX) / 2, (y + nextY) / 2];
    d += `C${x} ${middle[1]} ${nextX} ${middle[1]} ${nextX} ${nextY}`;
    [x, y] = [nextX, nextY];
  }
  return [d, `--x: ${middle[0] + 12}px; --y: ${middle[1] + 4}px`];
}

/* Draw the edges of the view, but those inside a folded box. All are measured before one changes. */
function connect() {
  const curves = [...view.querySelectorAll(".edge")].map((edge) => {
    const [from, to] = [edge.dataset.from, edge.dataset.to].map((op) => seen(find(view.id + op)));
    return [edge, from === to ? ["", ""] : curve(from, to, Number(edge.dataset.shift))];
  });
  for (const [edge, [d, place]] of curves) {
    for (const path of edge.querySelectorAll("path")) path.setAttribute("d", d);
    edge.style = place;
  }
}

const BUTTONS = {
  first: () => go(0), previous: () => go(slider.valueAsNumber - 1), play,
  next: () => go(slider.valueAsNumber + 1), last: () => go(slider.max),
  fold: () => fold(view.querySelector("details:not([open])") !== null),
};
for (const [name, action] of Object.entries(BUTTONS)) find(name).onclick = action;
for (const node of every("button.node")) node.onclick = () => choose(node);
slider.oninput = () => go(slider.value);
find("switch").onchange = change;
addEventListener("keydown", (event) => {
  const { key, target, ctrlKey, metaKey, altKey } = event;
  const button = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
  if (!button || ctrlKey || metaKey || altKey) return;
  if (key === " " && target.matches("button, summary, [type=checkbox]")) return; // it presses that
  event.preventDefault();
  button.click();
});
const watch = new ResizeObserver(connect); // a box that folds changes its size
for (const part of document.querySelectorAll("details, .grid")) watch.observe(part);
change();
