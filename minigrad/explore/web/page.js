"use strict";
/* Stepping, folding, zooming, keys; and the beginning. Panning is the scrolling of the view. */

const view = find("view");

function go(step) {
  state.step = Math.max(0, Math.min(steps(), step));
  choose(current() ?? state.chosen);
}
function choose(node) {
  state.chosen = node;
  show();
  holder.get(node)?.group.scrollIntoView({ block: "nearest", inline: "nearest" });
}
function play() {
  clearInterval(state.timer);
  const on = !state.timer, next = () => (state.step < steps() ? go(state.step + 1) : play());
  state.timer = on && setInterval(next, 900);
  find("play").textContent = on ? "pause" : "play";
  if (on && state.step === steps()) go(0);
}

function redraw() {
  find("fold").textContent = state.folded.size ? "unfold all" : "fold all";
  find("fold").hidden = !page.graphs[state.graph].boxes.length;
  draw();
  show();
  zoom(1);
}
function fold(all) {
  state.folded = new Set(all ? page.graphs[state.graph].boxes.map((box) => box.path) : []);
  redraw();
  fit();
}
function toggle(path) {
  const head = () => document.querySelector(`[data-box="${path}"]`);
  const was = head().getBoundingClientRect();
  if (!state.folded.delete(path)) state.folded.add(path);
  redraw();
  const now = head().getBoundingClientRect();
  view.scrollBy(now.x - was.x, now.y - was.y); // it stays where it was
  head().focus({ preventScroll: true });
}
function change(graph) {
  Object.assign(state, { graph, chosen: null });
  state.step = graph ? steps() : 0;
  find("switch").checked = graph === 1;
  fold(page.graphs[graph].inner.length > 40);
}

/* The point of the view at x, y stays where it is. */
function zoom(factor, x = view.clientWidth / 2, y = view.clientHeight / 2) {
  const was = state.zoom, [w, h] = find("graph").size;
  state.zoom = Math.max(0.05, Math.min(4, was * factor));
  const [left, top] = [view.scrollLeft + x, view.scrollTop + y].map((at) => at * state.zoom / was);
  find("graph").setAttribute("width", w * state.zoom);
  find("graph").setAttribute("height", h * state.zoom);
  view.scrollTo(left - x, top - y);
}
function fit() {
  const [w, h] = find("graph").size, least = Math.min(view.clientWidth / w, view.clientHeight / h);
  zoom(Math.max(0.68, Math.min(1.5, least)) / state.zoom);
}
function theme(name) {
  root.dataset.theme = name;
  show();
}

const press = ({ box, node }) => (box ? toggle(box) : choose(Number(node)));
const BUTTONS = {
  first: () => go(0), previous: () => go(state.step - 1), play, next: () => go(state.step + 1),
  last: () => go(steps()), fold: () => fold(!state.folded.size), fit,
  theme: () => theme(root.dataset.theme === "dark" ? "light" : "dark"),
};
const KEYS = {
  Home: "first", ArrowLeft: "previous", " ": "play", ArrowRight: "next", End: "last", f: "fold",
  g: "switch", t: "theme", 0: "fit",
};
for (const [name, action] of Object.entries(BUTTONS)) find(name).onclick = action;
find("slider").oninput = () => go(Number(find("slider").value));
find("switch").onchange = () => change(Number(find("switch").checked));
addEventListener("resize", fit);
addEventListener("keydown", (event) => {
  const { key, target } = event, chip = target.closest("[data-node], [data-box]");
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (key === " " && ["checkbox", "submit"].includes(target.type)) return; // it presses the button
  if (chip && (key === "Enter" || key === " ")) press(chip.dataset);
  else if (KEYS[key]) find(KEYS[key]).click();
  else return;
  event.preventDefault();
});
view.addEventListener("click", ({ target }) => {
  const chip = target.closest("[data-node], [data-box]");
  if (chip) press(chip.dataset);
});
view.addEventListener("pointermove", (event) => { // a finger scrolls by itself, a mouse by this
  if (event.buttons !== 1 || event.pointerType !== "mouse") return;
  if (Math.hypot(event.movementX, event.movementY) > 2) view.setPointerCapture(event.pointerId);
  view.scrollBy(-event.movementX, -event.movementY);
});
view.addEventListener("wheel", (event) => {
  if (!event.ctrlKey) return;
  event.preventDefault();
  const { left, top } = view.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY / 500), event.clientX - left, event.clientY - top);
}, { passive: false });

const wants = matchMedia("(prefers-color-scheme: dark)");
root.dataset.theme = wants.matches ? "dark" : "light";
wants.onchange = () => theme(wants.matches ? "dark" : "light");
find("title").prepend(page.title);
change(0);
