"""One run on many workers: who makes what part of the load, and the one result of it all.

    master                                         worker (any number of them)
    ──────                                         ───────────────────────────
    members      which workers, and since when     hello ──► gets a number
    assignment   who owns which customers          makes the load of its share
    remote_load  one clock, one plan, one report   follows the clock
    intake       all counts, added up              counts, and reports its counts

Nothing here knows how a message travels; `messages` defines what is in them.
"""

from __future__ import annotations

from banksim.run.workers.members import Members
from banksim.run.workers.remote_load import RemoteSource
from banksim.run.workers.worker import WorkerRun
