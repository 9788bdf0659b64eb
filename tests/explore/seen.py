"""Scripts that tell what is seen on a page: of the chosen node, and of the edges."""

# of each heading: its text, its hue, and the numbers of the figures below it
PANEL = """
return [...document.querySelectorAll("#told h3")].filter((e) => e.checkVisibility()).map(
  (head) => {
    const figures = [];
    const ends = (e) => !e || e.matches("h3, :has(h3)");
    for (let e = head.nextElementSibling; !ends(e); e = e.nextElementSibling)
      for (const figure of e.querySelectorAll("figure")) figure.checkVisibility() && figures.push({
        cells: [...figure.querySelectorAll("td")].map((cell) => cell.textContent),
        stats: Object.fromEntries([...figure.querySelectorAll("dl div")].map(
          (pair) => [...pair.children].map((x) => x.textContent))),
      });
    return [head.textContent, head.className, figures];
  })"""

# of each edge: how far its ends are from the nodes or folded boxes, and whether they are at them
EDGES = """
const [done] = arguments, rect = (op) => {
  const seen = (e) => {
    const folded = e.parentElement.closest("details:not([open])");
    return folded ? seen(folded) : e;
  };
  return seen(view.querySelector(`[data-op="${op}"]`)).getBoundingClientRect();
};
requestAnimationFrame(() => requestAnimationFrame(() => {
  const { x, y } = view.firstElementChild.getBoundingClientRect();
  done([...view.querySelectorAll(".edge")].filter((e) => e.checkVisibility()).map((edge) => {
    const line = edge.querySelector(".line"), [a, b] = [edge.dataset.from, edge.dataset.to];
    const ends = [line.getPointAtLength(0), line.getPointAtLength(line.getTotalLength())];
    const [from, to] = [rect(a), rect(b)], within = (box, at) => box.left <= at && at <= box.right;
    return [Math.abs(y + ends[0].y - from.bottom), Math.abs(y + ends[1].y - to.top),
      within(from, x + ends[0].x), within(to, x + ends[1].x)];
  }));
}));"""
