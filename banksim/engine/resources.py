"""What this process uses, about once a second: CPU, memory, network.

Reading them costs some tens of microseconds and never waits, so it happens in the greenlet
that tells the run's points.  CPU is the process's own in % of one core; network bytes are
those of the whole machine in both directions, loopback included.  A system that does not tell one of
them (a locked-down container) gives 0 there, never an error.
"""

from __future__ import annotations

import time

import psutil


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
