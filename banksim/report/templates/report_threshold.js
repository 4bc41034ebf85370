/* The movable threshold: drag it on the score chart or use the slider, and the matrix follows.
 *
 * threshold.js works out the counts; pages and report share it.
 */
(function () {
  "use strict";
  const data = whatIf(JSON.parse(document.getElementById("results").textContent));
  const slider = document.getElementById("threshold");
  const plot = document.getElementById("chart-scores");
  const matrix = document.getElementById("confusion");
  if (!slider || !plot || !matrix) return;
  if (!data) {
    slider.closest(".slider").hidden = true;
    return;
  }
  const shown = document.getElementById("threshold-value");
  const reset = document.getElementById("threshold-reset");
  const title = document.getElementById("confusion-of");
  const cells = new Map();
  for (const cell of document.querySelectorAll("[data-cell]")) cells.set(cell.dataset.cell, cell);
  const own = { title: title.textContent };
  for (const [name, cell] of cells) own[name] = cell.textContent;

  const THIN = "\u202f";
  const count = (value) => Math.round(value).toString().replace(/\B(?=(\d{3})+$)/g, THIN);
  const digits = (value) => (value === 0 ? "0" : Number(value.toPrecision(3)).toString());
  const percent = (part, whole) => (whole ? digits((part / whole) * 100) + THIN + "%" : "n/a");

  const { currency, minorDigits } = matrix.dataset;
  function money(cents) {
    const units = Math.abs(cents) / 10 ** minorDigits;
    const fixed = units.toFixed(units >= 10000 ? 0 : minorDigits).split(".");
    const text = [count(Number(fixed[0])), ...fixed.slice(1)].join(".");
    return currency + THIN + (cents < 0 ? "\u2212" : "") + text;
  }

  let threshold = data.start;
  let moved = false;

  function line() {
    const accent = getComputedStyle(document.documentElement).getPropertyValue("--text").trim();
    const onPaper = document.documentElement.classList.contains("printing");
    const hint = onPaper ? "" : "drag to move the threshold";
    const name = moved ? "threshold " + threshold.toFixed(3) : hint;
    Plotly.relayout(plot, {
      dragmode: false,
      shapes: [
        { type: "line", x0: threshold, x1: threshold, yref: "paper", y0: 0, y1: 1,
          line: { color: accent, width: 2, dash: moved ? "solid" : "dot" } },
      ],
      annotations: [
        { x: threshold, y: 0.98, yref: "paper", text: name, showarrow: false, yanchor: "top",
          xanchor: threshold > 0.6 ? "right" : "left", xshift: threshold > 0.6 ? -6 : 6,
          font: { color: accent, size: 12 } },
      ],
    });
  }

  function show() {
    slider.value = String(threshold);
    shown.textContent = threshold.toFixed(3);
    reset.hidden = !moved;
    matrix.classList.toggle("moved", moved);
    if (!moved) {
      title.textContent = own.title;
      for (const [name, cell] of cells) cell.textContent = own[name];
    } else {
      const now = countsAt(data, threshold);
      title.textContent = "What a threshold of " + threshold.toFixed(3) + " on the score would have done.";
      for (const name of ["tp", "fp", "fn", "tn"]) cells.get(name).textContent = count(now[name]);
      cells.get("recall").textContent = percent(now.tp, now.tp + now.fn);
      cells.get("precision").textContent = percent(now.tp, now.tp + now.fp);
      const genuine = now.fp + now.tn;
      cells.get("per10000").textContent = genuine ? digits((now.fp / genuine) * 10000) : "n/a";
      cells.get("savings").textContent = money(now.caughtCents - now.fp * data.falsePositiveCents);
    }
    line();
  }

  function moveTo(value) {
    threshold = Math.min(1, Math.max(0, value));
    moved = true;
    show();
  }

  slider.addEventListener("input", () => moveTo(Number(slider.value)));
  reset.addEventListener("click", () => {
    threshold = data.start;
    moved = false;
    show();
    slider.focus();
  });

  function scoreAt(event) {
    const axis = plot._fullLayout.xaxis;
    return axis.p2d(event.clientX - plot.getBoundingClientRect().left - axis._offset);
  }
  plot.addEventListener("pointerdown", (event) => {
    const score = scoreAt(event);
    if (event.button || score < 0 || score > 1 || event.target.closest(".legend, .modebar")) return;
    plot.setPointerCapture(event.pointerId);
    moveTo(score);
  });
  plot.addEventListener("pointermove", (event) => {
    if (plot.hasPointerCapture(event.pointerId)) moveTo(scoreAt(event));
  });
  document.addEventListener("banksim:drawn", show);
})();
