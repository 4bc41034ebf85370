// The key figures and the way of a transaction, as the server words and judges them: this only draws.

import { drawSparkline, element, icon, kindIcon, setIcon, setText, sparkline } from "./dom.js";

const SPARK_POINTS = 90;
const SPARKS = { rate: "achieved_tps", response: "p99_ms" };
export class Tiles {
  constructor(root) {
    this.root = root;
    this.built = [];
  }

  show(tiles = [], points = []) {
    if (this.built.length !== tiles.length) {
      this.built = tiles.map(build);
      this.root.replaceChildren(...this.built.map(({ node }) => node));
    }
    const recent = points.slice(-SPARK_POINTS);
    tiles.forEach((tile, index) => {
      const { node, value, note, word, mark, spark, goal } = this.built[index];
      if (node.dataset.kind !== tile.kind) node.dataset.kind = tile.kind;
      setText(value, tile.value);
      setText(note, tile.note);
      setText(goal, tile.goal && `goal: ${tile.goal}`);
      setText(word, tile.word);
      setIcon(mark, kindIcon(tile.kind));
      mark.style.visibility = tile.word ? "" : "hidden";
      if (spark) drawSparkline(spark, recent.map((point) => point[SPARKS[tile.key]] ?? null));
    });
  }
}

function build({ key, label }) {
  const value = element("div", "tile-value");
  const note = element("div", "tile-note");
  const goal = element("div", "tile-note tile-goal");
  const word = element("span");
  const mark = icon("wait");
  const spark = SPARKS[key] ? sparkline([]) : null;
  const node = element(
    "div",
    "tile",
    element("div", "tile-label", label),
    value,
    element("div", "tile-word", mark, word),
    spark,
    element("div", "tile-print", note, goal),
  );
  node.id = `tile-${key}`;
  node.tabIndex = 0; // its small print opens on focus, too
  return { node, value, note, word, mark, spark, goal };
}

const RESULTS = { caught: ["caught", "pass"], missed: ["missed", "fail"], false_positives: ["false-positive", "warn"] };

/** From offered to caught, left to right. */
export function showFunnel(root, steps = []) {
  if (root.children.length !== steps.length) root.replaceChildren(...steps.map(step));
  steps.forEach(({ value, note }, index) => {
    const item = root.children[index];
    setText(item.querySelector(".funnel-number"), value);
    setText(item.querySelector(".funnel-note"), note);
  });
}

function step({ key, label }) {
  const [role, mark] = RESULTS[key] ?? [];
  return element(
    "li",
    role ? `funnel-step result ${role}` : "funnel-step",
    element("div", "funnel-label", role ? icon(mark) : null, label),
    element("div", "funnel-number"),
    element("div", "funnel-note"),
  );
}
