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

from typing import Any

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
