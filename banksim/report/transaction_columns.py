"""The columns of the transaction log: what each transaction was, what it really was, what became of it.

One table, from which the log takes its header and the reference in docs/transaction-log.md
its rows.  Amounts are whole cents; times named ``_s`` are seconds, ``_ms`` milliseconds.
Floats that a figure is made of are written so that reading them back gives the same value.

A spreadsheet runs a cell that begins with = + - @ as a formula.  Texts that may come from
outside (answers of the bank, names of shops) get an apostrophe in front when they begin so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from banksim.domain import Outcome, Planned
from banksim.measure import fate_of
from banksim.report.tables import cell

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
        "truth: genuine, fraud, or decoy (honest, looks like fraud)",
        lambda e: e.planned.truth.label.value,
    ),
    Column(
        "typology",
        "truth: the kind of fraud or decoy; empty for genuine",
        lambda e: cell(e.planned.truth.typology),
    ),
    Column("campaign_id", "truth: the attack it belongs to", lambda e: cell(e.planned.truth.campaign_id)),
    Column("role", "truth: whose transaction it is in the attack", lambda e: cell(e.planned.truth.role)),
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
