/* ?export=png: draws every chart into a PNG and leaves them in the page as JSON, for a
 * headless browser that only prints the page (banksim report RUN --png FOLDER). */
(function () {
  "use strict";
  if (new URLSearchParams(location.search).get("export") !== "png") return;
  document.addEventListener("banksim:drawn", async () => {
    const images = {};
    for (const plot of document.querySelectorAll(".plot")) {
      const size = { width: 1100, height: plot.offsetHeight };
      images[plot.dataset.chart] = await Plotly.toImage(plot, { format: "png", scale: 2, ...size });
    }
    const holder = document.createElement("script");
    holder.type = "application/json";
    holder.id = "exported";
    holder.textContent = JSON.stringify(images);
    document.body.append(holder);
  }, { once: true });
})();
