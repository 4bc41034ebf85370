"""The shipped locustfile, with a note of which of our files each genuine transaction passes.

Locust loads it in place of the shipped one; when the process ends, the medians are in the file that
JOURNEY_FILE names.  A journey ends with a flush that counts a row: it is everything that was called since the
flush before by the dispatcher, by the hub for lanes and by the carrier.  Steps of campaigns, Kafka and what
other greenlets do are left out; what is done once for a whole block (planning, making requests) is apart.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import Any

from banksim.run.dispatcher import Dispatcher
from banksim.targets.carrier import Carrier
from banksim.targets.http.lanes import Lanes
from locustfiles.banking import *  # noqa: F403  Locust finds users and shape by looking at the names here

PRODUCT = str(Path(__file__).resolve().parents[2])
EXECUTOR = "banksim/run/executor.py"
#: Called once for many rows of a block.
BY_THE_BLOCK = {
    ("banksim/activity/planner.py", "_plan_ahead"),
    (EXECUTOR, "_keep"),
    (EXECUTOR, "make_until"),
}
#: What a campaign's step does in the same greenlet is not a genuine transaction's way.
STEPS = {
    ("banksim/run/dispatcher.py", "_hand_out"),
    ("banksim/schedule/simulation.py", "take_dated"),
    ("banksim/schedule/simulation.py", "answered"),
}
#: The run has Kafka for the names of what is published; a transaction does without.
KAFKA = "banksim/run/kafka.py"
#: Other greenlets are traced too, and are nobody's way.
ROOT = ("tests/integration/traced.py", "run")
#: The first transactions also build what later ones find made.
WARM_UP = 30

since: set[str] = set()
by_the_block: set[str] = set()
journeys: list[set[str]] = []


def note(frame: FrameType, event: str, value: Any) -> None:
    code = frame.f_code
    if event not in ("call", "return") or not code.co_filename.startswith(PRODUCT):
        return
    file = code.co_filename[len(PRODUCT) + 1 :]
    if file.startswith((".venv", "tests")):
        return
    if event == "call" and file not in since:
        callers = set(above(frame))
        if ROOT in callers and not STEPS & callers and KAFKA not in {place for place, _ in callers}:
            (by_the_block if BY_THE_BLOCK & callers else since).add(file)
    elif event == "return" and (file, code.co_name) == (EXECUTOR, "_report"):
        journeys.append(set(since))
        since.clear()


def above(frame: FrameType | None) -> Iterator[tuple[str, str]]:
    """(file, function) of a frame and of all that it was called by."""
    while frame is not None:
        yield frame.f_code.co_filename.removeprefix(f"{PRODUCT}/"), frame.f_code.co_name
        frame = frame.f_back


def noting(work: Callable[..., Any]) -> Callable[..., Any]:
    def run(*args: Any, **kwargs: Any) -> Any:
        sys.setprofile(note)
        return work(*args, **kwargs)

    return run


def report() -> None:
    sys.setprofile(None)
    found = sorted(journeys[WARM_UP:], key=len)
    median = found[len(found) // 2] if found else set()
    told = {"transactions": len(found), "files": sorted(median), "by_the_block": sorted(by_the_block)}
    Path(os.environ["JOURNEY_FILE"]).write_text(json.dumps(told), "utf-8")


for owner, name in ((Dispatcher, "run"), (Carrier, "_tick"), (Lanes, "_ready"), (Lanes, "_open")):
    setattr(owner, name, noting(getattr(owner, name)))
atexit.register(report)
