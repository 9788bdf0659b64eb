"use strict";
/* What the page knows, values as pictures, and the panel that tells all of one node. */

const find = (id) => document.getElementById(id), root = document.documentElement;
const page = JSON.parse(find("data").textContent), { values, nodes } = page;
const state = { graph: 0, step: 0, chosen: null, folded: new Set(), zoom: 1, timer: null };

/* Make an element. Text goes in as text, never as HTML: names and docstrings are data. */
function make(tag, attributes, ...children) {
  const svg = ["g", "rect", "path", "text", "image"].includes(tag);
  const space = `http://www.w3.org/${svg ? "2000/svg" : "1999/xhtml"}`;
  const made = document.createElementNS(space, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

/* What is there at this step. In the graph of the gradient, cotangents are results of nodes. */
const steps = () => page.graphs[state.graph].steps.length - 1;
const current = () => page.graphs[state.graph].steps[state.step][0];
const hasRun = (node) => nodes[node].at <= state.step;
const hasArrived = (v) => !state.graph && (values[v].arrived ?? Infinity) <= state.step;
const sharesOf = (v) => values[v].shares.filter(([step]) => !state.graph && step <= state.step);

/* Below 0 is blue and above it orange. Numbers of one sign are as dark as they are large. */
function palette({ low, high }) {
  const [ink, below, above] = ["--ink", "--forward", "--back"].map((name) =>
    getComputedStyle(root).getPropertyValue(name).match(/\w\w/g).map((hex) => parseInt(hex, 16)));
  return (code) => {
    if (code === 0) return [255, 0, 200, 255]; // NaN
    const t = low === high ? 0.5 * (low !== 0) : (code - 1) / 254, x = low + (high - low) * t;
    if (low >= 0 || high <= 0) return [...ink, Math.round(255 * t)];
    return [...(x < 0 ? below : above), Math.round(255 * Math.abs(x) / Math.max(-low, high))];
  };
}
const coloured = (picture) => // four bytes for each number
  Array.from(atob(picture.pixels ?? ""), (letter) => letter.charCodeAt(0)).map(palette(picture));

/* Draw a picture into a new canvas, a pixel for a number; the style sheet enlarges it. */
function canvas(picture) {
  const made = make("canvas", {}), context = made.getContext("2d");
  const [count, rows, columns] = [1, ...picture.shape].slice(-3);
  const across = Math.min(count, Math.ceil(Math.sqrt(count * rows / columns * 1.5)));
  made.width = across * (columns + 1) - 1;
  made.height = Math.ceil(count / across) * (rows + 1) - 1;
  const image = context.createImageData(made.width, made.height);
  for (const [i, colour] of coloured(picture).entries()) {
    const tile = Math.floor(i / rows / columns), x = (tile % across) * (columns + 1) + i % columns;
    const y = Math.floor(tile / across) * (rows + 1) + Math.floor(i / columns) % rows;
    image.data.set(colour, 4 * (y * made.width + x));
  }
  context.putImageData(image, 0, 0);
  made.style.width = `${Math.min(320, 16 * made.width)}px`;
  return made;
}
const thumbnail = (picture) => (picture[root.dataset.theme] ??= canvas(picture).toDataURL());

/* The numbers themselves where they are few, else a picture; and statistics. */
function figure(picture, name) {
  const stats = Object.entries(picture.stats), colours = picture.rows && coloured(picture);
  const cell = (x) => {
    const [r, g, b, ink] = colours.shift(), paper = ink > 127 ? "paper" : "ink";
    const style = `background: rgb(${r} ${g} ${b} / ${ink / 255}); color: var(--${paper})`;
    return make("td", picture.number ? {} : { style }, x);
  };
  const shown = picture.rows ? make("table", {}) : canvas(picture);
  for (const row of picture.rows ?? []) shown.append(make("tr", {}, ...row.map(cell)));
  const label = `${name}: ${stats.map((pair) => pair.join(" ")).join(", ")}`;
  const pairs = stats.map(([k, x]) => make("div", {}, make("dt", {}, k), make("dd", {}, x)));
  return make("figure", { "aria-label": label }, shown, make("figcaption", {}, picture.note),
    ...(picture.number ? [] : [make("dl", {}, ...pairs)]));
}

const soft = (text) => make("p", { class: "soft" }, text);
const head = (hue, text) => make("h3", { class: hue }, text);
const lines = (texts) => make("pre", {}, texts.join("\n"));

function panel() {
  const node = nodes[state.chosen], parts = [];
  find("help").hidden = Boolean(node);
  if (node) {
    parts.push(make("h2", {}, node.call), make("code", {}, node.line || node.sort));
    if (node.doc) parts.push(make("p", { class: "doc" }, node.doc));
    for (const v of node.out) parts.push(...about(v));
  }
  if (!state.graph && node?.pulled && node.pulled <= state.step) {
    const pull = node.pull.length ? node.pull : ["The cotangent is sent on as it is."];
    parts.push(head("back", "How it is pulled back"), lines(pull));
    if (node.terms.length) parts.push(soft("One element of each share:"), lines(node.terms));
  }
  find("told").replaceChildren(...parts);
}

/* A value, its cotangent's shares as they come, and their sum. */
function about(v) {
  const { name, bar, kind, node, picture, g, shares } = values[v], came = sharesOf(v);
  const parts = [head(nodes[node].sort === "backward" ? "back" : "forward", `${name} : ${kind}`)];
  parts.push(hasRun(node) ? figure(picture, name) : soft("not computed yet"));
  if (state.graph || !g) return parts;
  parts.push(head("back", `${bar} : ${kind}`));
  if (!came.length) parts.push(soft(hasArrived(v) ? "the loss by itself" : "not there yet"));
  for (const [, sender, share] of came) {
    parts.push(soft(`${share.number ? share.word : "a share"} from ${nodes[sender].call}`));
    if (shares.length > 1 && !g.number) parts.push(figure(share, "share"));
  }
  if (hasArrived(v) && shares.length > 1) parts.push(make("p", { class: "back" }, "their sum:"));
  if (hasArrived(v)) parts.push(figure(g, bar));
  return parts;
}
