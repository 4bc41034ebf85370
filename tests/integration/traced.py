"""The shipped locustfile, with a note of which of our files each genuine transaction passes.

Locust loads it in place of the shipped one; when the process ends, the medians are in the file that
JOURNEY_FILE names.  A journey is everything that is called in the dispatcher's greenlet from one
arrival to the next, and in the user's greenlet from taking the arrival until it asks for another.
"""

from __future__ import annotations

import atexit
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

import gevent
from locust import User

from locustfiles.banking import *  # noqa: F403  Locust finds users and shape by looking at the names here

PRODUCT = str(Path(__file__).resolve().parents[2])
QUEUES = "banksim/run/queues.py"
#: The first transactions also build what later ones find made.
WARM_UP = 30

passing: dict[gevent.Greenlet, set[str]] = {}
taken: dict[gevent.Greenlet, Any] = {}
planned: dict[int, set[str]] = {}
journeys: list[set[str]] = []


def note(frame: FrameType, event: str, value: Any) -> None:
    code = frame.f_code
    if event not in ("call", "return") or not code.co_filename.startswith(PRODUCT):
        return
    file, who = code.co_filename[len(PRODUCT) + 1 :], gevent.getcurrent()
    if file.startswith((".venv", "tests")):
        return
    files = passing.setdefault(who, set())
    if event == "call":
        files.add(file)
    if file != QUEUES:
        return
    if code.co_name == "put" and event == "call":
        arrival = next(v for v in frame.f_locals.values() if type(v).__name__ == "Arrival")
        planned[id(arrival)] = passing.pop(who)
    elif code.co_name == "take":
        if event == "return":
            passing[who], taken[who] = {file}, value
        elif (arrival := taken.pop(who, None)) is not None and not arrival.planned.truth.campaign_id:
            journeys.append(planned.pop(id(arrival), set()) | passing.pop(who))


def noting(work: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        sys.setprofile(note)
        return work(*args, **kwargs)

    return run


def report() -> None:
    sys.setprofile(None)
    found = sorted(journeys[WARM_UP:], key=len)
    median = found[len(found) // 2] if found else set()
    sizes = [len(files) for files in found]
    told = {"transactions": len(found), "files": sorted(median), "median": statistics.median(sizes or [0])}
    Path(os.environ["JOURNEY_FILE"]).write_text(json.dumps(told), "utf-8")


spawn = gevent.spawn
gevent.spawn = lambda work, *args, **kwargs: spawn(noting(work), *args, **kwargs)
User.run = noting(User.run)
atexit.register(report)
