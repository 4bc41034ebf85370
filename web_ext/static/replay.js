// The bar above a page that plays a record: play and pause, where it is, how fast.

import { byId, setHidden, setIcon, setText } from "./dom.js";
import { stopwatch } from "./format.js";
import { Player } from "./player.js";

const KEY = "banksim.replay";

/** A player with its bar; where it was stays known from page to page. */
export function replay(base, run, handlers) {
  const player = new Player(base, run, { ...handlers, onMove: show });
  Object.assign(player, remembered(run));
  byId("replay-speed").value = String(player.speed);
  byId("replay-play").addEventListener("click", () => player.play(!player.playing));
  byId("replay-seek").addEventListener("input", (event) => player.seek(Number(event.target.value)));
  byId("replay-speed").addEventListener("change", (event) => player.setSpeed(Number(event.target.value)));
  addEventListener("pagehide", () => remember(player));
  return player;
}

function show(player) {
  const { position, lengthMs, playing, note } = player;
  const button = byId("replay-play");
  const seek = byId("replay-seek");
  button.disabled = seek.disabled = lengthMs === 0;
  setIcon(button.querySelector("svg"), playing ? "pause" : "play");
  setText(byId("replay-word"), playing ? "Pause" : position >= lengthMs ? "Again" : "Play");
  seek.max = String(lengthMs);
  if (document.activeElement !== seek || playing || Number(seek.value) !== position) seek.value = String(position);
  const moment = `${stopwatch(position / 1000)} of ${stopwatch(lengthMs / 1000)}`;
  seek.setAttribute("aria-valuetext", moment);
  setText(byId("replay-moment"), moment);
  setText(byId("replay-note"), note);
  setHidden(byId("replay-note"), !note);
}

function remembered(run) {
  try {
    const kept = JSON.parse(sessionStorage.getItem(KEY));
    if (kept?.run === run) return { position: kept.position, speed: kept.speed, playing: kept.playing };
  } catch {
    // storage may be forbidden; the record then begins anew on each page
  }
  return { position: 0, speed: 1, playing: true };
}

function remember({ run, position, speed, playing }) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify({ run, position, speed, playing }));
  } catch {
    // as above
  }
}
