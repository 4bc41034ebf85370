"""A locustfile to load next to banksim's: how long the process's own work keeps its greenlets from running.

A greenlet wakes every millisecond.  What it is late by may be the neighbours' doing, so a stall counts with
the CPU time that this thread used meanwhile, at most.  Written as JSON to the file STALLS when Locust quits.
"""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import gevent
from locust import events

TICK_S = 0.001
#: Import, start-up and opening are over by then.
SETTLE_S = float(os.environ.get("STALLS_AFTER_S", "5"))
stalls_ms: list[float] = []


def watch() -> None:
    gevent.sleep(SETTLE_S)
    while True:
        wall_s, cpu_s = time.perf_counter(), time.thread_time()
        gevent.sleep(TICK_S)
        late_s = time.perf_counter() - wall_s - TICK_S
        stalls_ms.append(1000.0 * max(0.0, min(late_s, time.thread_time() - cpu_s)))


@events.init.add_listener
def start(environment: Any, **_: Any) -> None:
    gevent.spawn(watch)


@events.quitting.add_listener
def report(environment: Any, **_: Any) -> None:
    ordered = sorted(stalls_ms) or [0.0]
    found = {"n": len(ordered), "p99": ordered[int(0.99 * (len(ordered) - 1))], "max": ordered[-1]}
    Path(os.environ["STALLS"]).write_text(json.dumps(found))
