// The live page: takes what the stream brings, keeps it, and draws at most once per frame.

import { Charts } from "./charts.js";
import { Controls } from "./controls.js";
import { byId, setHidden } from "./dom.js";
import { Feed } from "./feed.js";
import { showBands, showFreshness, showNotice, showRun, showState, startOf } from "./header.js";
import { showErrors, showLatency, showVerdicts } from "./panels.js";
import { Stream } from "./stream.js";
import { Tiles, showFunnel } from "./tiles.js";
import { Timeline } from "./timeline.js";

const settings = JSON.parse(byId("settings").textContent);

const controls = new Controls(settings);
const charts = new Charts(settings.chartLayout);
const tiles = new Tiles(byId("tiles"));
const feed = new Feed();
const timeline = new Timeline();

const held = { status: null, snapshot: {}, windows: {}, trouble: "" };
let drawing = false;

/** A hidden tab draws nothing: frames are only asked for while somebody can see them. */
function draw() {
  if (drawing) return;
  drawing = true;
  requestAnimationFrame(() => {
    drawing = false;
    render();
  });
}

function render() {
  const { status, snapshot, windows, trouble } = held;
  showNotice(status ?? {}, settings.base, trouble);
  if (!status) return;
  const idle = status.state === "idle";
  setHidden(byId("run"), idle);
  setHidden(byId("figures"), idle || status.state === "opening");
  showState(status);
  controls.show(status);
  if (idle) return;
  showRun(status);
  showBands(windows, status.duration_s);
  showVerdicts(snapshot);
  tiles.show(snapshot, timeline.points);
  showFunnel(byId("funnel"), snapshot);
  showLatency(snapshot);
  showErrors(snapshot);
  charts.show({
    points: timeline.points,
    windows,
    start: startOf(status) ?? 0,
    durationS: status.duration_s ?? 0,
    simS: status.sim_s ?? 0,
    byTypology: snapshot.fraud?.by_typology,
  });
}

function take(message) {
  held.status = message.status;
  held.snapshot = message.snapshot ?? {};
  held.trouble = "";
  draw();
}

new Stream(settings.base, settings.intervalMs, {
  onState(message) {
    held.windows = message.windows ?? {};
    timeline.replace(message.timeline);
    feed.replace(message.feed);
    take(message);
  },
  onUpdate(message) {
    timeline.extend(message.timeline);
    feed.extend(message.feed);
    take(message);
  },
  onTrouble(message) {
    held.trouble = message;
    draw();
  },
  onFreshness: showFreshness,
});

addEventListener("themechange", draw);
addEventListener("resize", draw);
addEventListener("load", draw);
