// The only ways this page writes: text nodes and attributes.  Text from a target or a
// scenario can therefore never become markup.

const SVG = "http://www.w3.org/2000/svg";

export const byId = (id) => document.getElementById(id);

export function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

export function setHidden(node, hidden) {
  if (node.hidden !== hidden) node.hidden = hidden;
}

/** An element with a class, and children that are nodes or plain text. */
export function element(tag, className = "", ...children) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  node.append(...children.filter((child) => child !== null && child !== undefined));
  return node;
}

/** Children made from rows by `make`, and made again only when a row has changed. */
export function fillOnce(node, rows, make) {
  const key = JSON.stringify(rows);
  if (filled.get(node) === key) return;
  filled.set(node, key);
  node.replaceChildren(...rows.map(make));
}

const filled = new WeakMap();

/** An icon of the sprite; decorative, the word beside it says the same. */
export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}

/** The icon of a verdict's kind. */
export const kindIcon = (kind) => (kind === "none" ? "wait" : kind);

export function setIcon(svg, name) {
  const use = svg.querySelector("use");
  if (use.getAttribute("href") !== `#i-${name}`) use.setAttribute("href", `#i-${name}`);
}

/** A header row; an empty corner is no header. */
export const headRow = (heads) => element("tr", "", ...heads.map((text) => element(text ? "th" : "td", "", text)));

/** Fill a table; cells are text, the first of each row is its header. */
export function fillTable(table, heads, rows) {
  const body = element("tbody");
  for (const [first, ...rest] of rows) {
    const rowHead = element("th", "", first);
    rowHead.scope = "row";
    body.append(element("tr", "", rowHead, ...rest.map((text) => element("td", "", text))));
  }
  table.replaceChildren(element("thead", "", headRow(heads)), body);
}

/** A line through numbers, as one SVG path; nulls leave gaps. */
export function sparkline(values, width = 100, height = 24) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", "spark");
  const path = document.createElementNS(SVG, "path");
  svg.append(path);
  drawSparkline(svg, values, width, height);
  return svg;
}

export function drawSparkline(svg, values, width = 100, height = 24) {
  const known = values.filter((value) => value !== null && value !== undefined);
  if (known.length < 2) {
    svg.firstChild.setAttribute("d", "");
    return;
  }
  const top = Math.max(...known) || 1;
  let pen = "M";
  let path = "";
  values.forEach((value, index) => {
    if (value === null || value === undefined) {
      pen = "M";
      return;
    }
    const x = (index / (values.length - 1)) * width;
    const y = height - 1 - (value / top) * (height - 2);
    path += `${pen}${x.toFixed(1)} ${y.toFixed(1)}`;
    pen = "L";
  });
  svg.firstChild.setAttribute("d", path);
}
