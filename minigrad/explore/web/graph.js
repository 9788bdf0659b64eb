"use strict";
/* Where everything stands, and its drawing. Each box is laid out by itself, from inside to outside,
   with the layers and orders that layout.py found, for the boxes that are unfolded now. */

const GAP = 20, DOWN = 28, HEAD = 24, CELL = 46, HEIGHT = 38;
let chips, holder, edges; // nodes and folded boxes as they are seen; who stands for a node; edges

/* List all boxes, and give each a path, by which it is known, and the nodes inside it. */
function boxes(box, path) {
  const listed = ([child], i) => (child.children ? boxes(child, `${path}.${i}`) : []);
  const below = box.children.flatMap(listed);
  Object.assign(box, { path, inner: box.children.flatMap(([child]) => child.inner ?? [child]) });
  return [box, ...below];
}
for (const [i, graph] of page.graphs.entries()) graph.boxes = boxes(graph, `${i}`).slice(1);

const cell = (picture) => (picture.number ? picture.word.length * 7 + 14 : CELL);

/* The size and the words of a node, or of a folded box, which shows its last result. */
function chip(child) {
  const box = child.inner && child, inner = box ? box.inner : [child];
  const node = inner.reduce((a, b) => (nodes[b].at >= nodes[a].at ? b : a)), v = nodes[node].out[0];
  const { kind, picture, g } = values[v], pictures = [["value", picture]];
  if (g && !state.graph) pictures.unshift(["g", g]);
  const title = box ? `+ ${box.name}` : nodes[node].title;
  const sub = box ? `${box.sort} · ${kind}` : values[v].sub;
  let w = Math.max(title.length * 7.6, sub.length * 6.4) + 22;
  for (const [, shown] of pictures) w += cell(shown);
  return { w, h: HEIGHT, title, sub, v, box, node, inner, pictures };
}

/* Place what is in a box, whose corner is at 0, 0. */
function place(box) {
  if (!box.inner || state.folded.has(box.path)) return chip(box);
  const items = box.children.map(([child, at, layer]) => ({ ...place(child), at, layer }));
  const bend = ([at, layer]) => ({ at, layer, w: 6, h: 0 });
  const routes = box.routes.map(([a, b, points]) => ({ a, b, points: points.map(bend) }));
  const all = [...items, ...routes.flatMap((route) => route.points)];
  const framed = box.name !== undefined, side = framed ? 12 : 0;
  const heights = [], tops = [], right = []; // of layers
  for (const { layer, h } of all) heights[layer] = Math.max(heights[layer] ?? 0, h);
  let y = framed ? HEAD + 10 : 0;
  for (const [layer, height] of heights.entries()) { tops[layer] = y; y += height + DOWN; }
  // What has one x in the layout stays in one column, as far left as every layer allows.
  let x = 0, before = 0;
  for (const at of [...new Set(all.map((item) => item.at))].sort((a, b) => a - b)) {
    const column = all.filter((item) => item.at === at);
    x = Math.max(x + (at - before) * 16,
      ...column.map(({ layer, w }) => (right[layer] ?? -GAP) + GAP + w / 2));
    before = at;
    for (const { layer, w } of column) right[layer] = x + w / 2;
    for (const item of column) item.x = x - item.w / 2;
  }
  const left = Math.min(...all.map((item) => item.x)) - side;
  for (const item of all) {
    [item.top, item.bottom] = [tops[item.layer], tops[item.layer] + heights[item.layer]];
    [item.x, item.y] = [item.x - left, (item.top + item.bottom - item.h) / 2];
  }
  const head = framed ? `${box.name} ${box.sort}`.length * 7 + 40 : 0;
  const w = Math.max(...all.map((item) => item.x + item.w + side), head);
  return { w, h: y - DOWN + side, items, routes, box };
}

function draw() {
  const [under, between, over] = [make("g", {}), make("g", {}), make("g", {})];
  [chips, edges, holder] = [[], [], new Map()];
  const visit = (item, x, y, trail) => { // trail: the boxes around it, and its number in each
    const rect = { ...item, x, y, trail };
    if (item.items && trail.length) under.append(framed(rect));
    for (const [i, child] of item.items?.entries() ?? [])
      visit(child, x + child.x, y + child.y, [...trail, [rect, i]]);
    if (item.items) return;
    chips.push(rect);
    for (const node of item.inner) holder.set(node, rect);
  };
  const whole = place(page.graphs[state.graph]);
  visit(whole, 0, 0, []);
  chips.sort((a, b) => a.y - b.y || a.x - b.x); // so Tab goes down
  for (const rect of chips) over.append(rect.group = drawn(rect));
  for (const [node, to] of holder) {
    const seen = []; // operands
    for (const v of nodes[node].in) {
      const from = holder.get(values[v].node), k = seen.filter((other) => other === v).length;
      seen.push(v);
      if (!from || from === to) continue;
      const others = edges.filter((edge) => edge.from === from && edge.to === to);
      if (others.length && (from.box || to.box)) others[0].uses.push({ v, node, k });
      else edges.push(edge(from, to, 26 * others.length, { v, node, k }));
    }
  }
  for (const { line, flow, label } of edges) between.append(line, flow, label);
  find("graph").size = [whole.w + 32, whole.h + 32];
  find("graph").setAttribute("viewBox", `-16 -16 ${whole.w + 32} ${whole.h + 32}`);
  find("world").replaceChildren(under, between, over);
}

/* A curve down from one to the other, through the points that the layout has where the two part,
   once for the value and once for the cotangent, whose number stands beside its last stretch. */
function edge(from, to, shift, use) {
  const depth = from.trail.findIndex(([, child], i) => child !== to.trail[i][1]);
  const [outer, a] = from.trail[depth], [, b] = to.trail[depth];
  const points = [[from.x + from.w / 2 + shift, from.y + from.h]];
  const route = outer.routes.find((other) => other.a === a && other.b === b);
  for (const { x, top, bottom } of route?.points ?? [])
    points.push([outer.x + x + 3, outer.y + top], [outer.x + x + 3, outer.y + bottom]);
  const lean = (from.x + from.w / 2 - to.x - to.w / 2) / (2 * to.w);
  points.push([to.x + to.w * (0.5 + Math.max(-0.3, Math.min(0.3, lean))) + shift, to.y]);
  let d = `M${points[0]}`, middle;
  for (const [i, [x, y]] of points.slice(1).entries()) {
    const [x0, y0] = points[i];
    middle = [(x0 + x) / 2, (y0 + y) / 2];
    d += `C${x0} ${middle[1]} ${x} ${middle[1]} ${x} ${y}`;
  }
  const line = make("path", { d, class: "edge" });
  const flow = make("path", { d, class: "edge flow", transform: "translate(6 0)" });
  const label = make("text", { class: "share", x: middle[0] + 12, y: middle[1] + 4 });
  return { from, to, uses: [use], line, flow, label };
}

const rectangle = ({ x, y, w, h }, rx) => make("rect", { x, y, width: w, height: h, rx });
const button = (about, ...parts) => make("g", { role: "button", tabindex: 0, ...about }, ...parts);

/* The frame of an unfolded box; its head folds it. */
function framed(rect) {
  const { x, y, box } = rect, text = `${box.name} · ${box.sort}`;
  return make("g", { class: "box" }, rectangle(rect, 10), button(
    { class: "head", "aria-expanded": true, "aria-label": text, "data-box": box.path },
    rectangle({ ...rect, h: HEAD + 6 }, 8), make("text", { x: x + 12, y: y + 19 }, `− ${text}`)));
}

/* A node, or a folded box: two lines of text, the value and the cotangent. */
function drawn(rect) {
  const { x, y, w, h, box, node, title, sub, pictures } = rect, leaf = !box && !nodes[node].at;
  const about = box ? { "aria-expanded": false, "data-box": box.path } : { "data-node": node };
  const group = button({ class: `node ${nodes[node].sort} ${box ? "folded" : ""}`, ...about },
    rectangle(rect, leaf ? h / 2 : box ? 8 : 5), make("text", { x: x + 11, y: y + 16 }, title),
    make("text", { x: x + 11, y: y + 30, class: "sub" }, sub));
  let right = x + w - 6;
  for (const [name, picture] of pictures) {
    const spot = { class: name, x: right - CELL + 4, y: y + 5, width: CELL - 6, height: h - 10 };
    group.append(picture.number
      ? make("text", { x: right - 2, y: y + h / 2 + 4, class: `${name} number` }, picture.word)
      : make("image", { ...spot, preserveAspectRatio: "none" }));
    right -= cell(picture);
  }
  return group;
}

/* Set everything to the state. */
function show() {
  const [now, title, text, hue] = page.graphs[state.graph].steps[state.step];
  const back = !state.graph && hue === "back", toggle = (part, classes) => {
    for (const [name, on] of Object.entries(classes)) part.classList.toggle(name, on);
  };
  for (const { group, inner, node, v, pictures, title } of chips) {
    const there = { value: hasRun(node), g: hasArrived(v) }, words = [title];
    toggle(group, {
      done: there.value && inner.some((other) => nodes[other].at), came: there.g,
      now: inner.includes(now), chosen: inner.includes(state.chosen),
    });
    for (const [name, picture] of pictures) {
      const part = group.querySelector(`.${name}`);
      part.style.opacity = Number(there[name]);
      if (there[name] && !picture.number) part.setAttribute("href", thumbnail(picture));
      if (there[name]) words.push(`${name === "g" ? "cotangent" : "value"} ${picture.word}`);
    }
    group.setAttribute("aria-label", words.join(", "));
    group.setAttribute("aria-current", inner.includes(now) ? "step" : "false");
  }
  for (const { uses, line, flow, label } of edges) {
    const sent = uses.flatMap(({ v, node, k }) =>
      sharesOf(v).filter(([, sender]) => sender === node).slice(k, k + 1));
    toggle(line, {
      done: uses.some(({ node }) => hasRun(node)), pull: nodes[uses[0].node].sort === "backward",
      now: !back && uses.some(({ node }) => node === now),
    });
    toggle(flow, { done: sent.length > 0, now: sent.some(([step]) => step === state.step) });
    label.textContent = sent.length === 1 && sent[0][2].number ? sent[0][2].word : "";
  }
  find("says").replaceChildren(make("b", { class: hue }, title), `: ${text}`);
  Object.assign(find("slider"), { max: steps(), value: state.step });
  find("slider").setAttribute("aria-valuetext", `${state.step} of ${steps()}: ${title}`);
  find("count").textContent = `${state.step} of ${steps()}`;
  panel();
}
