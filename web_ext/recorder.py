"""Keeps a record of every run, whether anybody watches it or not.

    cockpit ──look, four times a second──▶ Recorder ──at each interval──▶ reports/<run>/record.jsonl.gz

A run's end is also told by Locust's events (`look` is called), so that the last figures are in the
record before the next run or the end of the process.  A disk that refuses costs the record, never
the run: one warning, and the run goes on.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any, Final

from web_ext.cockpit import Cockpit, refresh_s
from web_ext.hub import spawn
from web_ext.reader import Reader
from web_ext.record import Record, interval_s

logger = logging.getLogger(__name__)

LOOK_EVERY_S: Final = 0.25
#: The plan is written again after so many updates, when it has changed: its campaigns go on.
UPDATES_PER_PLAN: Final = 5

UNDER_WAY: Final = frozenset(("running", "paused", "draining"))
OVER: Final = frozenset(("finished", "failed"))


class Recorder:
    """Watches a cockpit for runs that begin, and writes each into its folder below ``reports``."""

    def __init__(self, cockpit: Cockpit, reports: Path) -> None:
        self._cockpit = cockpit
        self._reports = reports
        self._looking = threading.Lock()
        self._ended = threading.Event()
        self._record: Record | None = None
        self._reader = Reader(cockpit)
        self._due_s = 0.0
        self._updates = 0
        self._plan: dict[str, Any] | None = None
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
                self._look(self._cockpit.status())
            except Exception as error:
                reason = error.strerror if isinstance(error, OSError) else None
                logger.warning("The run is not recorded: %s", reason or repr(error))
                self._give_up()

    def _run(self) -> None:
        while not self._ended.wait(LOOK_EVERY_S):
            self.look()

    def _look(self, status: dict[str, Any]) -> None:
        run_id, state = status.get("run_id"), status.get("state")
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

    def _begin(self, run_id: str, status: dict[str, Any]) -> None:
        if not (status.get("dashboard") or {}).get("record", True):
            self._refused = run_id
            return
        self._reader, self._updates, self._plan, self._due_s = Reader(self._cockpit), 0, None, 0.0
        self._refused = run_id  # unless it can be written
        self._record = Record(self._reports / run_id, run_id)
        self._refused = None

    def _write(self, record: Record, status: dict[str, Any], last: bool = False) -> None:
        if not record.frames:
            record.add(*self._reader.read(status))
        else:
            # A page gets the whole state when it changes; here all that came before is in the file.
            windows = {"windows": self._cockpit.windows()} if self._reader.changed(status) else {}
            record.add("update", self._reader.news(status) | windows, last=last)
        self._updates += 1
        if last or self._updates % UPDATES_PER_PLAN == 1:
            plan = self._cockpit.schedule()
            if plan != self._plan:
                self._plan = plan
                record.add("plan", plan, last=last)
        self._due_s = record.elapsed_s + interval_s(refresh_s(status), record.elapsed_s)

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
