// "PNG" buttons: the chart beside the button as an image file, twice as sharp as on the screen.

import { colour } from "./axis.js";
import { element } from "./dom.js";

const SCALE = 2;

export function listenForPng(runId) {
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-png]");
    if (!button || typeof Plotly === "undefined") return;
    const chart = document.getElementById(button.dataset.png);
    if (!chart?.data) return;
    button.disabled = true;
    try {
      const { width, height } = chart.getBoundingClientRect();
      // A page behind it, or the texts of the dark theme would stand on nothing.
      const figure = { data: chart.data, layout: { ...chart.layout, paper_bgcolor: colour("surface") } };
      const url = await Plotly.toImage(figure, { format: "png", width, height, scale: SCALE });
      const link = element("a");
      link.href = url;
      link.download = `banksim-${runId() ?? "run"}-${button.dataset.png.replace("-chart", "")}.png`;
      link.click();
    } finally {
      button.disabled = false;
    }
  });
}
