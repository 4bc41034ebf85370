"""The record of a run: the messages that the pages got, one JSON object a line, compressed.

    {"event": "record", "at_ms": 0, "data": {"version": 1, "run_id": …, "started_ms": …}}
    {"event": "state",  "at_ms": 0, "data": …}      everything a page needs, once, at the beginning
    {"event": "plan",   "at_ms": 0, "data": …}      the scenario on simulated time, when it has changed
    {"event": "update", "at_ms": 1000, "data": …}   what is new: status, measures, points, transactions
    {"event": "end",    "at_ms": …, "data": {"frames": …, "left_out": …, "cut": …}}

``at_ms`` is wall time since the record began.  Schemas: schemas/record.json.

Bounds: updates come at the pages' own pace in the first minutes and ever less often later (see
`interval_s`), so a day costs some five thousand of them; from MAX_BYTES on, before compression,
only the last state is written, and the end line says how many updates were left out.  What was
written is on the disk after FLUSH_S at the latest: a crash costs seconds, not the record.
"""

from __future__ import annotations

import gzip
import time
from pathlib import Path
from typing import Any, Final

from web_ext.wire import to_json

FILE_NAME: Final = "record.jsonl.gz"
VERSION: Final = 1
MAX_BYTES: Final = 64_000_000
FLUSH_S: Final = 5.0
#: A run of this length has updates at the pages' own pace of a second throughout.
FULL_PACE_S: Final = 900.0
_LEVEL: Final = 4


def interval_s(refresh_s: float, elapsed_s: float) -> float:
    """Wall seconds from one update to the next: the refresh of the pages, more the longer it goes on."""
    return max(refresh_s, 1.0, elapsed_s / FULL_PACE_S)


class Record:
    """One file being written.  Raises OSError when the disk refuses."""

    def __init__(self, folder: Path, run_id: str, max_bytes: int = MAX_BYTES) -> None:
        self.run_id = run_id
        self.frames = 0
        self.left_out = 0
        self._max_bytes = max_bytes
        self._size = 0
        self._began_s = self._flushed_s = time.monotonic()
        folder.mkdir(parents=True, exist_ok=True)
        self._file = gzip.open(folder / FILE_NAME, "wb", compresslevel=_LEVEL)  # noqa: SIM115  open for a run
        self._line("record", {"version": VERSION, "run_id": run_id, "started_ms": time.time() * 1000.0})

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._began_s

    def add(self, event: str, data: dict[str, Any], *, last: bool = False) -> None:
        """One message; beyond the bound only the ``last`` one is kept."""
        if self._size > self._max_bytes and not last:
            self.left_out += 1
            return
        self.frames += event != "plan"
        self._line(event, data)
        if time.monotonic() - self._flushed_s > FLUSH_S:
            self._file.flush()
            self._flushed_s = time.monotonic()

    def close(self, cut: int) -> None:
        """``cut``: transactions of the feed that did not fit their message."""
        self._line("end", {"frames": self.frames, "left_out": self.left_out, "cut": cut})
        self._file.close()

    def abandon(self) -> None:
        self._file.close()

    def _line(self, event: str, data: dict[str, Any]) -> None:
        line = to_json({"event": event, "at_ms": round(self.elapsed_s * 1000), "data": data}) + b"\n"
        self._size += len(line)
        self._file.write(line)
