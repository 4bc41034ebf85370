"""transactions.csv: every transaction of a run with its truth and its outcome, as they end.

The event loop must not wait for a disk.  A line becomes text where the transaction ends
(some 20 µs); full blocks go to one native thread, which does nothing but write them:

    add ──► block (64 KB) ──► pending blocks ──► thread: write ──► file
                              at most 64 MB

Only one write is under way at a time, so lines keep their order.  When the disk is so slow
that pending blocks reach their bound, or when it refuses, further lines are left out and
counted in ``lost``: the run goes on, and the log says that it is not whole.

One file per process.  Not handled: compression, and rotation.
"""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any, BinaryIO

from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from banksim.domain import Outcome, Planned, ReportFolderError
from banksim.report.folder import check_folder
from banksim.report.transaction_columns import HEADER, Entry, cells

logger = logging.getLogger(__name__)

FILE_NAME = "transactions.csv"
BLOCK_CHARACTERS = 64 * 1024
MAX_PENDING_BYTES = 64 * 1024 * 1024
#: Wall seconds after which a block that is not full is written too.
FLUSH_EVERY_S = 1.0


def open_transaction_log(folder: Path, name: str = FILE_NAME) -> TransactionLog:
    """A new log in a run's folder, which is made.  Raises ReportFolderError with one sentence."""
    check_folder(folder)
    try:
        return TransactionLog(folder / name)
    except OSError as error:
        why = error.strerror or type(error).__name__
        raise ReportFolderError(f"cannot write {folder / name}: {why}") from error


class _Block:
    """What csv.writer writes into: finished lines, and how long they are."""

    __slots__ = ("characters", "lines")

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.characters = 0

    def write(self, line: str) -> None:
        self.lines.append(line)
        self.characters += len(line)

    def take(self) -> tuple[bytes, int]:
        """The block and its number of lines; it is empty afterwards."""
        taken = "".join(self.lines).encode(errors="backslashreplace"), len(self.lines)
        self.lines.clear()
        self.characters = 0
        return taken


class TransactionLog:
    """An open log.  Belongs to one event loop; `close` it to have everything on disk.

    ``lines`` were taken in, ``lost`` were left out or could not be written, ``error`` says why.
    """

    def __init__(self, path: Path, max_pending_bytes: int = MAX_PENDING_BYTES) -> None:
        """Raises OSError when the file cannot be made."""
        self.path = path
        self.lines = 0
        self.lost = 0
        self.error = ""
        self._max_pending_bytes = max_pending_bytes
        self._file: BinaryIO = path.open("wb", buffering=0)
        self._pool = ThreadPool(1)
        self._task: AsyncResult | None = None
        self._under_way = (0, 0)
        self._pending: list[tuple[bytes, int]] = []
        self._pending_bytes = 0
        self._flushed_s = 0.0
        self._block = _Block()
        self._csv = csv.writer(self._block, lineterminator="\n")
        self._csv.writerow(HEADER)
        self._header_lines = 1

    def add(self, planned: Planned, outcome: Outcome, wall_s: float) -> None:
        """One transaction ended at this wall second of the run."""
        self._add(Entry(planned, outcome, wall_s))

    def add_dropped(self, planned: Planned, reason: str, wall_s: float) -> None:
        """One transaction will not be sent."""
        self._add(Entry(planned, None, wall_s, reason))

    def flush(self) -> None:
        """Hand what there is to the writing thread; does not wait for it."""
        if self._block.lines:
            block, lines = self._block.take()
            self._pending.append((block, lines - self._header_lines))
            self._pending_bytes += len(block)
            self._header_lines = 0
        if self._task is not None:
            if not self._task.ready():
                return
            self._written(self._task.get())
        if self._pending:
            blocks = [block for block, _ in self._pending]
            self._under_way = (self._pending_bytes, sum(lines for _, lines in self._pending))
            self._pending = []
            self._task = self._pool.spawn(self._write, blocks)

    def close(self) -> None:
        """Write the rest and close the file; other greenlets run meanwhile.  A second time does nothing."""
        if self._file.closed:
            return
        self.flush()
        while self._task is not None:
            self._task.wait()
            self.flush()
        self._pool.kill()
        self._file.close()
        if self.lost:
            why = self.error or "the disk was too slow"
            logger.warning("%s lacks %s transactions: %s", self.path, f"{self.lost:,}", why)

    def summary(self) -> dict[str, Any]:
        """For results.json: file, lines, lost."""
        return {"file": self.path.name, "lines": self.lines, "lost": self.lost}

    def _add(self, entry: Entry) -> None:
        if self._file.closed:  # ended after everybody stopped waiting for it
            self.lost += 1
            return
        if self.error or self._pending_bytes >= self._max_pending_bytes:
            self.lost += 1
            self.flush()  # so that lines are taken again once the disk has caught up
            return
        self._csv.writerow(cells(entry))
        self.lines += 1
        if self._block.characters >= BLOCK_CHARACTERS or entry.wall_s - self._flushed_s >= FLUSH_EVERY_S:
            self._flushed_s = entry.wall_s
            self.flush()

    def _write(self, blocks: list[bytes]) -> str:
        """In the thread.  Returns what went wrong, if anything."""
        try:
            for block in blocks:
                rest = memoryview(block)
                while rest:
                    rest = rest[self._file.write(rest) :]
        except OSError as error:
            return error.strerror or type(error).__name__
        return ""

    def _written(self, error: str) -> None:
        self._task = None
        size, lines = self._under_way
        self._pending_bytes -= size
        if error:
            self.error = error
            self.lines -= lines
            self.lost += lines
