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
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from gevent.event import AsyncResult
from gevent.threadpool import ThreadPool

from banksim.measure import fate_of
from banksim.measure.results import LogFile
from banksim.model import Outcome, Planned, ReportFolderError
from banksim.report.write import cell, check_folder

logger = logging.getLogger(__name__)

# -- The columns of the transaction log: what each transaction was, what it really was, what became of it ---
#
# One table, from which the log takes its header and the reference in docs/transaction-log.md
# its rows.  Amounts are whole cents; times named ``_s`` are seconds, ``_ms`` milliseconds.
# Floats that a figure is made of are written so that reading them back gives the same value.
#
# A spreadsheet runs a cell that begins with = + - @ as a formula.  Texts that may come from
# outside (answers of the bank, names of shops) get an apostrophe in front when they begin so.


DROPPED = "dropped"


@dataclass(frozen=True, slots=True)
class Entry:
    """One line.  ``outcome`` is None for an arrival that was never sent; ``reason`` then says why."""

    planned: Planned
    outcome: Outcome | None
    wall_s: float
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Column:
    name: str
    meaning: str
    read: Callable[[Entry], Any]


def _answered(read: Callable[[Outcome], Any]) -> Callable[[Entry], Any]:
    """A cell of the outcome; empty when the transaction was never sent."""
    return lambda entry: "" if entry.outcome is None else read(entry.outcome)


def _merchant(name: str) -> Callable[[Entry], Any]:
    def read(entry: Entry) -> Any:
        merchant = entry.planned.transaction.merchant
        return "" if merchant is None else cell(getattr(merchant, name))

    return read


def _counterparty(name: str) -> Callable[[Entry], Any]:
    def read(entry: Entry) -> Any:
        other = entry.planned.transaction.counterparty
        return "" if other is None else getattr(other, name)

    return read


def _timestamp(entry: Entry) -> str:
    moment = datetime.fromtimestamp(entry.planned.transaction.timestamp_s, UTC)
    return moment.replace(tzinfo=None).isoformat(timespec="milliseconds")


def _fate(entry: Entry) -> str:
    return DROPPED if entry.outcome is None else str(fate_of(entry.outcome))


COLUMNS: tuple[Column, ...] = (
    Column(
        "transaction_id", "the id that bank and detector saw", lambda e: e.planned.transaction.transaction_id
    ),
    Column("timestamp", "intended simulated moment, without time zone", _timestamp),
    Column("sim_s", "the same in simulated seconds since the run's start", lambda e: e.planned.sim_s),
    Column(
        "ended_wall_s", "wall second since the run's start at which it ended", lambda e: f"{e.wall_s:.3f}"
    ),
    Column(
        "kind",
        "purchase, withdrawal, deposit, salary, transfer or bill_payment",
        lambda e: e.planned.transaction.kind.value,
    ),
    Column(
        "channel",
        "where the customer was: pos, web, atm, branch, online, mobile, wire or ach",
        lambda e: e.planned.transaction.channel.value,
    ),
    Column(
        "customer",
        "number of the account's holder in the population, from 0",
        lambda e: e.planned.transaction.account.customer_index,
    ),
    Column(
        "account", "which of the customer's accounts, from 0", lambda e: e.planned.transaction.account.slot
    ),
    Column(
        "counterparty",
        "number of the customer on the other side of a transfer; empty when there is none",
        _counterparty("customer_index"),
    ),
    Column("counterparty_account", "which of the counterparty's accounts", _counterparty("slot")),
    Column(
        "amount_cents", "amount in the currency's smallest unit", lambda e: e.planned.transaction.amount_cents
    ),
    Column("currency", "three letters", lambda e: e.planned.transaction.currency),
    Column("merchant_id", "the shop; empty when there is none", _merchant("merchant_id")),
    Column("merchant_name", "its name", _merchant("name")),
    Column("merchant_category", "its kind of business", _merchant("category")),
    Column("city", "where it happened", lambda e: cell(e.planned.transaction.place.city)),
    Column("country", "two letters", lambda e: cell(e.planned.transaction.place.country)),
    Column("device_id", "the customer's device", lambda e: cell(e.planned.transaction.device_id)),
    Column(
        "persona", "truth: the account holder's kind of customer", lambda e: cell(e.planned.truth.persona)
    ),
    Column(
        "label",
        "truth: genuine, fraud, or decoy (genuine, looks like fraud)",
        lambda e: e.planned.truth.label.value,
    ),
    Column(
        "typology",
        "truth: the kind of fraud or decoy; empty for genuine",
        lambda e: cell(e.planned.truth.typology),
    ),
    Column("campaign_id", "truth: the attack it belongs to", lambda e: cell(e.planned.truth.campaign_id)),
    Column("role", "truth: whose transaction it is in the attack", lambda e: cell(e.planned.truth.role)),
    Column(
        "stage",
        "truth: preparation, harm or laundering; empty when it is not fraud",
        lambda e: e.planned.truth.stage.value,
    ),
    Column("fate", "completed, refused, failed, unknown, or dropped (never sent)", _fate),
    Column("drop_reason", "why it was never sent", lambda e: cell(e.reason)),
    Column(
        "bank_status",
        "posted, refused, failed, unknown, or skipped (the bank was not asked)",
        _answered(lambda o: o.bank.status.value),
    ),
    Column("bank_detail", "the bank's refusal or error", _answered(lambda o: cell(o.bank.detail))),
    Column(
        "bank_ms",
        "how long the bank took, all tries together",
        _answered(lambda o: f"{o.bank.latency_ms:.3f}"),
    ),
    Column(
        "score",
        "fraud score from 0 to 1; empty without a usable answer",
        _answered(lambda o: "" if o.detector.score is None else o.detector.score),
    ),
    Column(
        "decision",
        "approve, review, block, or n/a; review and block are alerts",
        _answered(lambda o: o.detector.decision.value),
    ),
    Column("reasons", "what the detector named as reasons", _answered(lambda o: cell(o.detector.reasons))),
    Column(
        "detector_error",
        "why there is no usable answer; empty with n/a: the detector was not asked",
        _answered(lambda o: cell(o.detector.error)),
    ),
    Column("detector_ms", "how long the detector took", _answered(lambda o: f"{o.detector.latency_ms:.3f}")),
    Column("lag_ms", "from the intended start to the actual one", _answered(lambda o: o.lag_ms)),
    Column("service_ms", "from the actual start to the last answer", _answered(lambda o: o.service_ms)),
)

HEADER: tuple[str, ...] = tuple(column.name for column in COLUMNS)
_READERS = tuple(column.read for column in COLUMNS)


def cells(entry: Entry) -> list[Any]:
    """The line's cells in the order of `HEADER`."""
    return [read(entry) for read in _READERS]


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

    def summary(self) -> LogFile:
        return LogFile(self.path.name, self.lines, self.lost)

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
