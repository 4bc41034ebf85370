"""What master and workers tell each other.

A message is a dictionary with its ``kind`` and plain values (numbers, text, bytes, lists,
dictionaries).  Every message about a run carries its ``run`` id, and one about another run than
the present one is not read.  Messages between two processes keep their order; any of them
may be lost when a process dies, and none is needed twice: states are cumulative.

worker to master

    hello       I am here; repeated until welcome, and while there is no run as a sign of life
                {version, host, pid, run}: the run this worker is in, or ""
    ready       prepared for the run: give me a share                        {run, warnings}
    refused     cannot take part in the run                                  {run, reason}
    pulse       several times a second                                       `worker.py`
    state       about as often: all counts so far, as JSON bytes             {run, seq, wall_s, from_s, state}
    opened      customers that the bank has opened                           {run, rows, joined}
    final       the last counts, books and balances; nothing follows         {run, state, extras}

master to worker

    welcome     {number, run}: the worker's number, and whether a run is on
    run         a run begins, or has begun: everything that a worker must know  `wire.py`
    directory   customers that others have opened                            {run, rows, joined}
    epoch       who owns what from when on                                   `epochs.py`
    clock       the clock's segments and the changes of speed                `following.py`
    ack         answers a pulse, renews the worker's lease, tells the master's time
                {run, at_s, master_s, pulse_s, state_s}
    end         offer nothing more, drain, send the final                    {run, end}
    bye         the final has arrived                                        {run}
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from banksim.run.settings import KafkaUse, Mode, RunSettings
from banksim.scenario import parse_scenario
from banksim.schedule.clock import Clock, Segment

# -- A run's settings and its clock on the wire -----------------------------------------------------
#
# The scenario travels as it was merged by the master (file, environment, command line or start
# form), so that every worker runs the same, whatever its own environment says.  It is checked
# again when it arrives, like any scenario.


def settings_to_wire(settings: RunSettings) -> dict[str, Any]:
    """Everything in it, as plain values."""
    scenario = settings.scenario
    return {
        "scenario": scenario.model_dump_json(exclude_unset=True),
        "source": str(scenario.source_path) if scenario.source_path is not None else "",
        "seed": settings.seed,
        "speed": settings.speed,
        "mode": str(settings.mode),
        "report_dir": str(settings.report_dir),
        "run_id": settings.run_id,
        "transaction_log": settings.transaction_log,
        "kafka": str(settings.kafka),
    }


def settings_from_wire(data: Mapping[str, Any]) -> RunSettings:
    """The same settings.  Raises ScenarioError for a scenario that this version does not understand."""
    source = data["source"]
    scenario = parse_scenario(data["scenario"], source or "the master's scenario")
    return RunSettings(
        scenario=scenario.with_source(Path(source) if source else None),
        seed=int(data["seed"]),
        speed=float(data["speed"]),
        mode=Mode(data["mode"]),
        report_dir=Path(data["report_dir"]),
        run_id=str(data["run_id"]),
        transaction_log=bool(data["transaction_log"]),
        kafka=KafkaUse(data["kafka"]),
    )


def segments_to_wire(clock: Clock) -> list[list[float]]:
    """[[wall_s, sim_s, speed], …]"""
    return [[segment.wall_s, segment.sim_s, segment.speed] for segment in clock.segments]


def segments_from_wire(rows: Sequence[Sequence[float]], offset_s: float) -> list[Segment]:
    """The master's segments in this process's wall time."""
    return [Segment(wall_s + offset_s, sim_s, speed) for wall_s, sim_s, speed in rows]


# -- The master's clock as a worker sees it, told from answered pulses ------------------------------
#
#     worker  ──at_s──────────────────now_s──►      offset = at_s + round trip ÷ 2 − master_s
#                  ╲              ╱
#     master  ──────────master_s────────────►
#
# The quickest of the last round trips is believed: its error is at most half of it.  On one
# machine both clocks are the same, and what is left is the noise of some 0.1 ms.


ROUND_TRIPS_KEPT = 64


class Offset:
    """``to_here`` turns a moment of the master's monotonic clock into one of this process."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, float]] = deque(maxlen=ROUND_TRIPS_KEPT)

    def add(self, at_s: float, master_s: float, now_s: float) -> None:
        """A pulse sent at ``at_s`` was answered at ``master_s`` (there) and heard of at ``now_s``."""
        round_trip_s = max(0.0, now_s - at_s)
        self._samples.append((round_trip_s, at_s + round_trip_s / 2 - master_s))

    @property
    def known(self) -> bool:
        return bool(self._samples)

    @property
    def offset_s(self) -> float:
        """What to add to the master's time; 0 before the first answer."""
        return min(self._samples)[1] if self._samples else 0.0

    @property
    def error_ms(self) -> float | None:
        """How wrong it may be, in ms; None before the first answer."""
        return min(self._samples)[0] / 2 * 1000.0 if self._samples else None

    def to_here(self, master_s: float) -> float:
        return master_s + self.offset_s


Message = dict[str, Any]

#: Wall seconds between two pulses of a worker, with few workers; with many they share a budget.
PULSE_S = 0.1
#: Wall seconds between two states of a worker, with few workers: what a worker that dies takes with it.
STATE_S = 0.25
#: Pulses and states a second that a master is asked to read from all workers together.
PULSES_A_SECOND = 200.0
STATES_A_SECOND = 80.0
#: A worker offers nothing once its last answered pulse is this old …
LEASE_S = 2.0
#: … and only later the master gives its share to others: never two for one customer.
LOST_AFTER_S = 3.0


def pulse_every_s(workers: int) -> float:
    """Wall seconds between two pulses of each of so many workers."""
    return max(PULSE_S, workers / PULSES_A_SECOND)


def state_every_s(workers: int) -> float:
    """Wall seconds between two states of each of so many workers."""
    return max(STATE_S, workers / STATES_A_SECOND)
