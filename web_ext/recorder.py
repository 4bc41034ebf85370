"""Keeps a record of every run, whether or not a page is open.

    view ──look, four times a second──▶ Recorder ──at each interval──▶ reports/<run>/record.jsonl.gz

Locust's events also report a run's end (`look` is called), so that the last figures are in the
record before the next run or the end of the process.  An error of the disk costs the record, never
the run: it is logged once, and the run goes on.
"""

from __future__ import annotations

import gzip
import logging
import threading
import time
from pathlib import Path
from typing import Any, Final

from web_ext.messages import to_json
from web_ext.plan_view import Schedule
from web_ext.run_view import RunView, Status
from web_ext.stream import Reader, spawn

logger = logging.getLogger(__name__)

# -- The record of a run: the messages that the pages got, one JSON object a line, compressed -------
#
#     {"event": "record", "at_ms": 0, "data": {"version": 1, "run_id": …, "started_ms": …}}
#     {"event": "state",  "at_ms": 0, "data": …}      everything a page needs, once, at the beginning
#     {"event": "plan",   "at_ms": 0, "data": …}      the scenario on simulated time, when it has changed
#     {"event": "update", "at_ms": 1000, "data": …}   what is new: status, measures, points, transactions
#     {"event": "end",    "at_ms": …, "data": {"frames": …, "left_out": …, "cut": …}}
#
# ``at_ms`` is wall time since the record began.  Schemas: schemas/record.json.
#
# Bounds: updates come at the pages' own pace in the first minutes and ever less often later (see
# `interval_s`), so a day costs some five thousand of them; from MAX_BYTES on, before compression,
# only the last state is written, and the end line says how many updates were left out.  What was
# written is on the disk after FLUSH_S at the latest: a crash costs seconds, not the record.


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

    def add(self, event: str, data: object, *, last: bool = False) -> None:
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

    def _line(self, event: str, data: object) -> None:
        line = to_json({"event": event, "at_ms": round(self.elapsed_s * 1000), "data": data}) + b"\n"
        self._size += len(line)
        self._file.write(line)


LOOK_EVERY_S: Final = 0.5
#: The plan is written again after this many updates, when it has changed: its campaigns go on.
UPDATES_PER_PLAN: Final = 5

UNDER_WAY: Final = frozenset(("running", "paused", "draining"))
OVER: Final = frozenset(("finished", "failed"))


class Recorder:
    """Watches a view for runs that begin, and writes each into its folder below ``reports``."""

    def __init__(self, view: RunView, reports: Path) -> None:
        self._view = view
        self._reports = reports
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._record: Record | None = None
        self._reader = Reader(view)
        self._due_s = 0.0
        self._updates = 0
        self._plan: Schedule | None = None
        self._refused: Any = None  # the run whose record was given up, or switched off

    def start(self) -> None:
        spawn(self._run)

    def close(self) -> None:
        """Look a last time, and end the record that is open."""
        self._ended.set()
        self.look()
        with self._looking:
            self._finish()

    def look(self) -> None:
        """Write what is due.  Never raises: a record is not worth a run."""
        with self._looking:
            try:
                self._look(self._view.status())
            except Exception as error:
                reason = error.strerror if isinstance(error, OSError) else None
                logger.warning("The run is not recorded: %s", reason or repr(error))
                self._give_up()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            self.look()

    def _look(self, status: Status) -> None:
        run_id, state = status.run_id, status.state
        if self._record is not None and self._record.run_id != run_id:
            self._finish()
        if self._record is None and state in UNDER_WAY and run_id is not None and run_id != self._refused:
            self._begin(run_id, status)
        record = self._record
        if record is None:
            return
        if state in OVER:
            self._write(record, status, last=True)
            self._finish()
        elif self._reader.changed(status) or record.elapsed_s >= self._due_s:
            self._write(record, status)

    def _begin(self, run_id: str, status: Status) -> None:
        if not status.dashboard.record:
            self._refused = run_id
            return
        self._reader, self._updates, self._plan, self._due_s = Reader(self._view), 0, None, 0.0
        self._refused = run_id  # unless it can be written
        self._record = Record(self._reports / run_id, run_id)
        self._refused = None

    def _write(self, record: Record, status: Status, last: bool = False) -> None:
        if not record.frames:
            record.add(*self._reader.read(status))
        else:
            # A page gets the whole state when it changes; here all that came before is in the file.
            windows = {"windows": self._view.windows()} if self._reader.changed(status) else {}
            record.add("update", self._reader.news(status) | windows, last=last)
        self._updates += 1
        if last or self._updates % UPDATES_PER_PLAN == 1:
            plan = self._view.schedule()
            if plan != self._plan:
                self._plan = plan
                record.add("plan", plan, last=last)
        self._due_s = record.elapsed_s + interval_s(status.refresh_s, record.elapsed_s)

    def _finish(self) -> None:
        record, self._record = self._record, None
        if record is not None:
            record.close(self._reader.cut)

    def _give_up(self) -> None:
        record, self._record = self._record, None
        if record is not None:
            self._refused = record.run_id
            try:
                record.abandon()
            except OSError:
                logger.debug("The record could not be closed either")
