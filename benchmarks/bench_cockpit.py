"""How long an event takes to the screen, and what showing it costs the process that makes the load.

One Locust process in a dry run at 1,000 transactions a second, steered by nothing.  In turns: nobody
watches; ten clients watch (WebSocket and server-sent events, in a process of their own); nine watch
and a real Chromium shows the feed page.  Every transaction of the feed carries the wall time at which
its last answer came; all processes are on one machine, so the clock that reads it is the same.

    wire     from that moment to the message parsed in a client
    pixels   from that moment to the first task after the browser painted the row
    CPU      of the Locust process (user + system) for each wall second, with and without watchers
    memory   resident size of the Locust process, before, between and after
    engine   99th percentile, each second, of the engine's own response time (the stand-ins answer at
             once): how long its process was kept from running, whoever watches

    python benchmarks/bench_cockpit.py [--seconds N] [--rounds N] [--minutes N]

``--minutes`` adds a long look at memory: minutes without and with ten clients, in turns.  The stand-in bank
keeps its ledger in the same process, which grows with every transaction; so the difference counts.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
from kit import ROOT, child_environment, cpu_s, free_port, locust, machine

CLIENTS = 10
ENGINE = "engine's own p99 of each second"
START_S = 60.0
SETTLE_S = 4.0

#: Runs in the page before anything of it: learns when each transaction ended, and notes when its row was painted.
WATCHER = """
    const ended = new Map();
    window.paintedAfterMs = [];
    const now = () => performance.timeOrigin + performance.now();
    const Native = EventSource;
    window.EventSource = class extends Native {
      addEventListener(type, listener) {
        super.addEventListener(type, (event) => {
          const feed = event.data && type !== "state" ? JSON.parse(event.data).feed : null;
          for (const item of feed?.items ?? []) ended.set(item.transaction_id, item.ended_at_ms);
          listener(event);
        });
      }
    };
    addEventListener("DOMContentLoaded", () => {
      new MutationObserver((changes) => {
        const rows = changes.flatMap(({ addedNodes }) => [...addedNodes]);
        const moments = rows.map((row) => ended.get(row.title.split(" ")[0])).filter(Boolean);
        ended.clear();
        requestAnimationFrame(() => {
          // The first task after the frame: its pixels are out.
          const painted = new MessageChannel();
          painted.port1.onmessage = () => window.paintedAfterMs.push(...moments.map((moment) => now() - moment));
          painted.port2.postMessage(0);
        });
      }).observe(document.getElementById("feed"), { childList: true });
    });
"""


@dataclass
class Look:
    """One window: CPU seconds a wall second, transactions a second, resident MB, latencies in ms by way."""

    cpu: float
    tps: float
    rss_mb: float
    latencies_ms: dict[str, list[float]] = field(default_factory=dict)


class Served:
    """The Locust process under load."""

    def __init__(self, folder: Path) -> None:
        port = free_port()
        self.address = f"127.0.0.1:{port}"
        flags = ["--scenario", "stress_1000", "--dry-run", "--autostart", "--seed", "7"]
        command = locust("-f", str(ROOT / "locustfiles" / "banking.py"), *flags, "--web-port", str(port))
        self._child = subprocess.Popen(
            [*command, "--report-dir", str(folder)],
            env=child_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self.process = psutil.Process(self._child.pid)
        until_s = time.monotonic() + START_S
        while not self._runs():
            if time.monotonic() > until_s or self._child.poll() is not None:
                raise RuntimeError("the run did not start")
            time.sleep(0.3)
        time.sleep(SETTLE_S)

    def sent(self) -> int:
        return int(self._get("/api/metrics")["transactions"]["sent"])

    def look(self, seconds: float) -> Look:
        cpu, sent, began_s = cpu_s(self.process), self.sent(), time.monotonic()
        time.sleep(seconds)
        wall_s = time.monotonic() - began_s
        used, made = cpu_s(self.process) - cpu, self.sent() - sent
        points = self._get("/api/metrics")["timeline_tail"][-round(wall_s) :]
        own = [point["p99_ms"] for point in points if point["p99_ms"] is not None]
        return Look(used / wall_s, made / wall_s, self.rss_mb(), {ENGINE: own})

    def rss_mb(self) -> float:
        return float(self.process.memory_info().rss) / 1e6

    def stop(self) -> None:
        self._child.kill()
        self._child.wait()

    def _runs(self) -> bool:
        try:
            return bool(self._get("/api/status")["state"] == "running")
        except OSError:
            return False

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"http://{self.address}{path}", timeout=10) as answer:
            return json.load(answer)


# -- clients, in a process of their own ---------------------------------------------------


def listen_websocket(address: str, until_s: float, found_ms: list[float]) -> None:
    import websocket

    client = websocket.create_connection(f"ws://{address}/ws", timeout=10)
    joined_ms = time.time() * 1000.0
    while time.monotonic() < until_s:
        message = json.loads(client.recv())
        # What is told on joining happened before, and is no news.
        if message["type"] == "transaction_feed" and message["data"]["ended_at_ms"] > joined_ms:
            found_ms.append(time.time() * 1000.0 - message["data"]["ended_at_ms"])
    client.close()


def listen_events(address: str, until_s: float, found_ms: list[float]) -> None:
    connection = http.client.HTTPConnection(address, timeout=10)
    connection.request("GET", "/banksim/events")
    answer, event, following = connection.getresponse(), "", 0
    while time.monotonic() < until_s:
        line = answer.readline().decode()
        if line.startswith("event: "):
            event = line[7:].strip()
        elif line.startswith("data: "):
            now_ms, feed = time.time() * 1000.0, json.loads(line[6:])["feed"]
            if event != "state":  # which tells what happened before this client joined
                items = [item for item in feed["items"] if item["seq"] >= following]
                found_ms.extend(now_ms - item["ended_at_ms"] for item in items)
            following = feed["next"]
    connection.close()


def be_clients(address: str, seconds: float, number: int) -> None:
    """Half of them over WebSocket, half over server-sent events; what they found, as JSON."""
    until_s = time.monotonic() + seconds
    ways = (("WebSocket", listen_websocket), ("server-sent events", listen_events))
    found: dict[str, list[float]] = {name: [] for name, _ in ways}
    work = [ways[n % 2] for n in range(number)]
    threads = [threading.Thread(target=listen, args=(address, until_s, found[name])) for name, listen in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    json.dump(found, sys.stdout)


@contextmanager
def clients(address: str, seconds: float, number: int) -> Iterator[subprocess.Popen[str]]:
    me = [sys.executable, __file__, "--be-clients", address, "--clients", str(number)]
    child = subprocess.Popen([*me, "--seconds", str(seconds)], stdout=subprocess.PIPE, text=True)
    try:
        yield child
    finally:
        child.kill()
        child.wait()


# -- the measurement ----------------------------------------------------------------------


def watched(served: Served, seconds: float, number: int = CLIENTS) -> Look:
    with clients(served.address, seconds + 2.0, number) as child:
        time.sleep(1.0)  # joining is not what is measured
        look = served.look(seconds)
        look.latencies_ms |= json.loads(child.communicate(timeout=60)[0])
    return look


def shown(served: Served, browser: Any, seconds: float) -> Look:
    page = browser.new_page(viewport={"width": 1400, "height": 1000})
    page.add_init_script(WATCHER)
    page.goto(f"http://{served.address}/banksim/feed", wait_until="domcontentloaded")
    page.wait_for_selector("#feed tr")
    page.evaluate("window.paintedAfterMs.length = 0")
    look = watched(served, seconds, CLIENTS - 1)
    look.latencies_ms["pixels in Chromium"] = page.evaluate("window.paintedAfterMs")
    page.close()
    return look


def tell(name: str, looks: list[Look], base: float) -> None:
    cpu = statistics.median(look.cpu for look in looks)
    extra = "" if name == "nobody watches" else f", {100 * (cpu - base):+.1f} points"
    rates = " ".join(f"{look.tps:.0f}" for look in looks)
    print(f"{name}: CPU {100 * cpu:.1f} % of a core{extra}; {rates} tx/s; {looks[-1].rss_mb:.0f} MB")
    ways = {way for look in looks for way in look.latencies_ms}
    for way in sorted(ways):
        found = [value for look in looks for value in look.latencies_ms[way]]
        if not found:
            print(f"    {way}: nothing came")
            continue
        p50, p95, p99, top = (percentile(found, share) for share in (0.5, 0.95, 0.99, 1.0))
        rounds = " ".join(f"{percentile(look.latencies_ms[way], 0.99):.0f}" for look in looks)
        print(
            f"    {way}: p50 {p50:.0f}, p95 {p95:.0f}, p99 {p99:.0f} (by round: {rounds}), max {top:.0f} ms of {len(found):,}"
        )


def percentile(values: list[float], share: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def main() -> None:
    from playwright.sync_api import sync_playwright

    from tests.browser.conftest import CHROMIUM
    from tests.browser.server import BROWSER_ARGS

    print(machine())
    looks: dict[str, list[Look]] = {
        "nobody watches": [],
        "ten clients": [],
        "nine clients and a Chromium": [],
    }
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        served = Served(Path(folder))
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=BROWSER_ARGS)
        try:
            for _ in range(ARGUMENTS.rounds):
                looks["nobody watches"].append(served.look(ARGUMENTS.seconds))
                looks["ten clients"].append(watched(served, ARGUMENTS.seconds))
                looks["nine clients and a Chromium"].append(shown(served, browser, ARGUMENTS.seconds))
            base = statistics.median(look.cpu for look in looks["nobody watches"])
            for name, found in looks.items():
                tell(name, found, base)
            browser.close()
            for minute in range(ARGUMENTS.minutes):
                before_mb, alone = served.rss_mb(), minute % 2 == 0
                look = served.look(58.0) if alone else watched(served, 56.0)
                print(
                    f"minute {minute + 1}, {'nobody watches' if alone else 'ten clients'}: "
                    f"{look.rss_mb - before_mb:+.1f} MB to {look.rss_mb:.0f} MB at {look.tps:.0f} tx/s",
                    flush=True,
                )
        finally:
            served.stop()
    print(machine())


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=15.0, help="length of one look")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--minutes", type=int, default=0, help="a long look for memory, at the end")
    parser.add_argument("--be-clients", metavar="ADDRESS", help=argparse.SUPPRESS)
    parser.add_argument("--clients", type=int, default=CLIENTS, help=argparse.SUPPRESS)
    return parser.parse_args()


ARGUMENTS = parsed()

if __name__ == "__main__":
    if ARGUMENTS.be_clients:
        be_clients(ARGUMENTS.be_clients, ARGUMENTS.seconds, ARGUMENTS.clients)
    else:
        sys.path.insert(0, str(ROOT))
        main()
