"""One run on many workers: who makes what part of the load, and the one result of it all.

    master                                     worker (as many as there are)
    ──────                                     ───────────────────────────────
    members   who is there, since when         hello ──► gets a number
    epochs    who owns which customers         makes the load of its share
    clock     simulated time, for everybody    follows it
    merging   everybody's counts, added up     counts, and reports what it counted

Nothing here knows how a message travels; `messages` says what is in them.
"""

from __future__ import annotations

from banksim.run.workers.members import Members
from banksim.run.workers.remote_load import MasterRun
from banksim.run.workers.worker import WorkerRun

__all__ = ["MasterRun", "Members", "WorkerRun"]
