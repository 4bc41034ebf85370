"""What this process uses, about once a second: CPU, memory, network.

Reading them costs some tens of microseconds and never waits, so it happens in the greenlet
that records the run's points.  CPU is the process's own in % of one core; network bytes are
those of the whole machine in both directions, loopback included.  A system that does not tell one of
them (a locked-down container) gives 0 there, never an error.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import gevent
import psutil

# -- CPU work next to the event loop, in gevent's pool of native threads -----------------------------
#
# gevent prints the traceback of whatever a thread raises, also when the caller handles it;
# a full disk would then look like a crash.  So errors travel back as values and are raised
# here, where they belong.


Result = TypeVar("Result")


def in_thread(work: Callable[[], Result]) -> Result:
    """Run ``work`` in a native thread while other greenlets go on; returns or raises what it does.

    ``work`` must not touch anything of gevent's.  A thread cannot be stopped: a caller that is killed
    (or times out) meanwhile ends only when ``work`` has, so nothing goes on writing behind its back.
    """

    def guarded() -> tuple[Result | None, BaseException | None]:
        try:
            return work(), None
        except Exception as error:
            return None, error

    task = gevent.get_hub().threadpool.spawn(guarded)
    try:
        result, error = task.get()
    finally:
        task.wait()
    if error is not None:
        raise error
    return result  # type: ignore[no-any-return]


# -- Fewer collections of cyclic garbage while a run goes on -----------------------------------------
#
# Python looks for cycles after every 700 new containers, and now and then through everything
# there is.  A transaction makes some fifty containers and no cycle, so under load a seventh
# of the CPU went into looking (measured, see docs/performance.md).  While a run goes on
# what was built for it is left alone, and the looks are rare; they are not given up, since
# greenlets that fail do leave cycles.


#: New containers between two looks at the young ones; a look at this many takes some milliseconds.
YOUNG = 50_000
#: Looks at one generation before the next older one is looked at too.
OLDER = 20


@contextmanager
def rare_collections() -> Iterator[None]:
    """Inside, what exists now is not looked at, and new objects are looked at rarely."""
    before = gc.get_threshold()
    gc.freeze()
    gc.set_threshold(YOUNG, OLDER, OLDER)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


# -- How much of the time this thread had something to do -------------------------------------------
#
# Linux counts for each thread how long it ran and how long it was ready to run while others had
# the core.  Elsewhere only the first is known: a process that shares its core then seems to rest.


_SCHEDSTAT = Path("/proc/self/schedstat")


class BusyMeter:
    """Reads the main thread's busy time."""

    def __init__(self) -> None:
        self._counted = _SCHEDSTAT.exists()

    def busy_s(self) -> float:
        """Seconds in which the thread ran or was ready to run, from an arbitrary start."""
        if self._counted:
            try:
                ran_ns, ready_ns, *_ = _SCHEDSTAT.read_bytes().split()
                return (int(ran_ns) + int(ready_ns)) / 1e9
            except (OSError, ValueError):
                self._counted = False
        return time.thread_time()


class ResourceMeter:
    """Differences since the last reading; the first reading after `__init__` counts from there."""

    def __init__(self) -> None:
        self._process = psutil.Process()
        self._read_s = time.monotonic()
        self._network_bytes = _network_bytes()
        self._process.cpu_percent()  # psutil measures from one call to the next

    def read(self) -> tuple[float, float, float]:
        """CPU in % of one core, resident memory in bytes, network bytes per wall second."""
        now_s, network_bytes = time.monotonic(), _network_bytes()
        elapsed_s = max(now_s - self._read_s, 1e-6)
        network_bytes_s = max(0, network_bytes - self._network_bytes) / elapsed_s
        self._read_s, self._network_bytes = now_s, network_bytes
        try:
            return self._process.cpu_percent(), float(self._process.memory_info().rss), network_bytes_s
        except (psutil.Error, OSError):
            return 0.0, 0.0, network_bytes_s


def _network_bytes() -> int:
    try:
        counters = psutil.net_io_counters()
    except (psutil.Error, OSError):
        return 0
    return counters.bytes_sent + counters.bytes_recv if counters is not None else 0
