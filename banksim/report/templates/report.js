/* Draws the charts in the page's theme and redraws them when it changes. */
(function () {
  "use strict";
  const read = (id) => JSON.parse(document.getElementById(id).textContent);
  const specs = read("specs");
  const theme = read("theme");
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const toggle = document.getElementById("theme-toggle");

  const current = () => root.dataset.theme || (system.matches ? "dark" : "light");

  /* Figures come in light colours; another theme's are put in their place, by role. */
  function recoloured(value, swap) {
    if (typeof value === "string") return swap.get(value) || value;
    if (Array.isArray(value)) return value.map((item) => recoloured(item, swap));
    if (value && typeof value === "object") {
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, recoloured(item, swap)]));
    }
    return value;
  }

  function merged(base, extra) {
    if (!extra || typeof extra !== "object" || Array.isArray(extra)) return extra;
    const result = { ...base };
    for (const [key, value] of Object.entries(extra)) result[key] = merged(result[key], value);
    return result;
  }

  function draw() {
    const name = current();
    const roles = Object.keys(theme.colours.light);
    const swap = new Map(roles.map((role) => [theme.colours.light[role], theme.colours[name][role]]));
    for (const [key, spec] of Object.entries(specs)) {
      const figure = recoloured(spec, swap);
      const layout = merged(theme.layout[name], { ...figure.layout, autosize: true });
      layout.paper_bgcolor = theme.colours[name].surface; /* so that a saved PNG has a ground */
      const overTime = ["rate", "latency", "generator", "campaigns"].includes(key);
      const config = {
        displaylogo: false,
        responsive: true,
        displayModeBar: "hover",
        toImageButtonOptions: { filename: "banksim-" + key, scale: 2 },
        /* Named one by one: no button may send the data anywhere. */
        modeBarButtons: overTime ? [["toImage", "zoom2d", "pan2d", "resetScale2d"]] : [["toImage"]],
      };
      Plotly.react(document.getElementById("chart-" + key), figure.data, layout, config);
    }
    toggle.textContent = name === "dark" ? "Light theme" : "Dark theme";
    toggle.setAttribute("aria-pressed", String(name === "dark"));
    document.dispatchEvent(new CustomEvent("banksim:drawn"));
  }

  toggle.addEventListener("click", () => {
    root.dataset.theme = current() === "dark" ? "light" : "dark";
    try { localStorage.setItem("theme", root.dataset.theme); } catch (error) { /* storage is off */ }
    draw();
  });
  system.addEventListener("change", draw);

  let before = null;
  addEventListener("beforeprint", () => {
    before = root.dataset.theme || "";
    root.dataset.theme = "light";
    root.classList.add("printing"); /* as wide as the paper, so that the charts are drawn for it */
    draw();
    resize();
  });
  addEventListener("afterprint", () => {
    if (before) root.dataset.theme = before; else delete root.dataset.theme;
    root.classList.remove("printing");
    draw();
    resize();
  });
  function resize() {
    for (const key of Object.keys(specs)) Plotly.Plots.resize(document.getElementById("chart-" + key));
  }
  /* After the other scripts, which listen to what is drawn. */
  addEventListener("DOMContentLoaded", draw);
})();
