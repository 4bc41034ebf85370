// The control page: start and steer a run, and see at a glance how it goes.

import { Charts } from "./charts.js";
import { Controls } from "./controls.js";
import { byId, setHidden } from "./dom.js";
import { Feed } from "./feed.js";
import { showBands, showRun, startOf } from "./header.js";
import { showErrors, showFraudRate, showLadder, showLatency, showRanges, showStory, showVerdicts } from "./panels.js";
import { Picker } from "./picker.js";
import { Shell, settings } from "./shell.js";
import { Tiles, showFunnel } from "./tiles.js";

const controls = new Controls(settings);
const picker = new Picker(settings.base);
const charts = new Charts(settings.chartLayout);
const tiles = new Tiles(byId("tiles"));

function render({ status, snapshot, windows, timeline }) {
  const idle = status.state === "idle";
  setHidden(byId("run"), idle);
  setHidden(byId("figures"), idle || status.state === "opening");
  controls.show(status);
  if (!settings.replay) picker.show(status);
  if (idle) return;
  showRun(status, snapshot);
  showBands(windows, status.duration_s);
  const over = status.state === "finished" || status.state === "failed";
  byId("run").classList.toggle("over", over);
  showVerdicts(snapshot.verdict);
  showLadder(snapshot.capacity);
  showStory(status.story, over);
  showFraudRate(snapshot);
  tiles.show(snapshot.tiles, timeline.points);
  showFunnel(byId("funnel"), snapshot.funnel);
  showLatency(snapshot);
  showRanges(snapshot);
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

new Shell({ render, feed: new Feed(), ownEmptyState: true });
