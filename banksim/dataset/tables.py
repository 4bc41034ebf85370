"""Further tables of a data set, made from its transactions as they are written, and its metadata.

Bound: a table keeps one entry per campaign, account, shop, device, edge or event that occurs.
"""

from __future__ import annotations

import hashlib
import json
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Protocol

import banksim
from banksim.dataset.files import Column, cell
from banksim.dataset.public_forms import Row, ends
from banksim.dataset.sinks import ending_of
from banksim.world.random import Draws, unit

Cells = tuple[str, ...]


class Table(Protocol):
    """Collects rows in order of time; ``finish`` gives what is in the table."""

    @property
    def columns(self) -> Sequence[Column]: ...

    def add(self, row: Row) -> None: ...
    def finish(self) -> Iterator[Cells]: ...


class Campaigns:
    """One row per attack or decoy."""

    columns = (
        Column("campaign_id", "text", "", "key, as in the transactions"),
        Column("typology", "text", "", "kind of fraud or decoy"),
        Column("is_fraud", "integer", "", "0 for a decoy"),
        Column("first_at", "time", "UTC", "its first transaction"),
        Column("last_at", "time", "UTC", "its last one"),
        Column("transactions", "integer", "", "how many it has"),
        Column("refused", "integer", "", "of those, refused by the bank"),
        Column("posted_amount", "money", "currency", "sum of those that were posted, counted at every hop"),
        Column("accounts", "integer", "", "own accounts that act in it or are paid by it"),
    )

    def __init__(self) -> None:
        self._found: dict[str, list[Row]] = {}

    def add(self, row: Row) -> None:
        if row["campaign_id"]:
            self._found.setdefault(row["campaign_id"], []).append(row)

    def finish(self) -> Iterator[Cells]:
        for name, rows in self._found.items():
            posted = [Decimal(row["amount"]) for row in rows if row["status"] == "posted"]
            accounts = {row[key] for row in rows for key in ("account_id", "counterparty_account_id")} - {""}
            yield (
                name,
                rows[0]["typology"],
                rows[0]["is_fraud"],
                rows[0]["timestamp"],
                rows[-1]["timestamp"],
                str(len(rows)),
                str(len(rows) - len(posted)),
                str(sum(posted, Decimal("0.00"))),
                str(len(accounts)),
            )


class Labels:
    """One row per account that has to do with fraud, and the customer who holds it."""

    columns = (
        Column("account_id", "text", "", "key"),
        Column("customer_id", "text", "", "holder"),
        Column("roles", "text", "", "roles in which it acted in fraud, or paid; with spaces between"),
        Column("typologies", "text", "", "kinds of fraud, with spaces between"),
        Column("first_fraud_at", "time", "UTC", "when fraud first touched it"),
        Column("fraud_transactions", "integer", "", "fraud in which it acted or was paid"),
    )

    def __init__(self) -> None:
        self._found: dict[str, list[tuple[str, Row]]] = {}

    def add(self, row: Row) -> None:
        if row["is_fraud"] == "1":
            self._found.setdefault(row["account_id"], []).append((row["role"], row))
            if row["counterparty_account_id"]:
                self._found.setdefault(row["counterparty_account_id"], []).append(("paid", row))

    def finish(self) -> Iterator[Cells]:
        for account in sorted(self._found):
            found = self._found[account]
            roles = " ".join(sorted({role for role, _ in found if role}))
            kinds = " ".join(sorted({row["typology"] for _, row in found}))
            first = found[0][1]["timestamp"]
            yield account, f"C{account[1:9]}", roles, kinds, first, str(len(found))


class _Counted:
    """One row per key: its cells, then how many transactions it has, and how many of them are fraud."""

    COUNTS = (
        Column("transactions", "integer", "", "how many there are"),
        Column("fraud", "integer", "", "truth: of those, fraud"),
    )
    columns: Sequence[Column]

    def __init__(self) -> None:
        self._found: dict[Cells, list[int]] = {}

    def keys(self, row: Row) -> Iterator[Cells]:
        """Under which keys a row counts."""
        raise NotImplementedError

    def add(self, row: Row) -> None:
        for key in self.keys(row):
            counts = self._found.setdefault(key, [0, 0])
            counts[0] += 1
            counts[1] += row["is_fraud"] == "1"

    def finish(self) -> Iterator[Cells]:
        for key in sorted(self._found):
            yield (*key, *map(str, self._found[key]))


class Merchants(_Counted):
    """Shops and billers that were paid."""

    columns = (
        Column("merchant_id", "text", "", "key"),
        Column("merchant_name", "text", "", "its name"),
        Column("merchant_category_code", "text", "ISO 18245", "four digits"),
        Column("merchant_category", "text", "", "the same in a word"),
        *_Counted.COUNTS,
    )

    def keys(self, row: Row) -> Iterator[Cells]:
        if row["merchant_id"]:
            yield tuple(row[column.name] for column in self.columns[:4])


class Devices(_Counted):
    """Devices by the customer who was identified with them."""

    columns = (
        Column("device_id", "text", "", "as in the transactions"),
        Column("customer_id", "text", "", "who used it"),
        *_Counted.COUNTS,
    )

    def keys(self, row: Row) -> Iterator[Cells]:
        if row["device_id"]:
            yield row["device_id"], row["customer_id"]


class Nodes(_Counted):
    """The graph of payments: accounts, shops, cash, and what is outside."""

    columns = (
        Column("node_id", "text", "", "an account's or a shop's id, CASH or OUTSIDE"),
        Column("type", "text", "", "account, merchant or outside"),
        *_Counted.COUNTS,
    )

    def keys(self, row: Row) -> Iterator[Cells]:
        if row["status"] == "posted":
            own = (row["account_id"], row["counterparty_account_id"])
            for node in ends(row):
                kind = "account" if node in own else "merchant" if node == row["merchant_id"] else "outside"
                yield node, kind


class Edges:
    """The graph of payments: one edge per posted transaction, from payer to payee."""

    columns = (
        Column("source", "text", "", "a node"),
        Column("target", "text", "", "a node"),
        Column("transaction_id", "text", "", "as in the transactions"),
        Column("timestamp", "time", "UTC", "simulated moment; edges are in this order"),
        Column("amount", "money", "currency", "always positive"),
        Column("is_fraud", "integer", "", "truth"),
        Column("typology", "text", "", "truth: kind of fraud or decoy"),
    )

    def __init__(self) -> None:
        self._found: list[Cells] = []

    def add(self, row: Row) -> None:
        if row["status"] == "posted":
            own = tuple(row[column.name] for column in self.columns[2:])
            self._found.append((*ends(row), *own))

    def finish(self) -> Iterator[Cells]:
        yield from self._found


class Reports:
    """What a bank would know: transactions that were reported as fraud, and when.

    ``delay_days`` is the mean of an exponential delay.  ``noise`` is the share of frauds that nobody reports;
    for each of them the next genuine transaction is reported by mistake.
    """

    columns = (
        Column("transaction_id", "text", "", "as in the transactions"),
        Column("reported_at", "time", "UTC", "when the bank learnt of it; some are mistakes"),
    )

    def __init__(self, seed: int, delay_days: float, noise: float) -> None:
        self._draws = Draws(seed, "reports")
        self._delay_days, self._noise = delay_days, noise
        self._rows = self._mistakes = 0
        self._found: list[Cells] = []

    def add(self, row: Row) -> None:
        number, self._rows = self._rows, self._rows + 1
        if row["is_fraud"] == "1":
            if unit(self._draws.word(number, 0)) < self._noise:
                self._mistakes += 1
                return
        elif not self._mistakes:
            return
        else:
            self._mistakes -= 1
        # The logarithm's last bit may differ between machines; whole seconds do not show it.
        share = 1.0 - unit(self._draws.word(number, 1))
        delay = timedelta(seconds=round(-math.log(share) * self._delay_days * 86_400))
        moment = datetime.fromisoformat(row["timestamp"]) + delay
        self._found.append((row["transaction_id"], f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.000Z}"))

    def finish(self) -> Iterator[Cells]:
        yield from sorted(self._found, key=lambda cells: cells[::-1])


#: Kinds of fraud in which somebody else acts as the customer.
TAKEN_OVER = frozenset({"account_takeover", "identity_theft"})


class Events:
    """What customers do beside paying: log in, add devices and payees, change passwords and SIM cards.

    Each comes shortly before a transaction over the bank's own web page or app; a customer's first device is
    known already.  A hash of the transaction's id decides how often (judgement): those who took over an
    account reset passwords and move SIM cards more, but a new telephone makes genuine customers do so too.
    """

    columns = (
        Column("timestamp", "time", "UTC", "simulated moment; events are in this order"),
        Column("customer_id", "text", "", "whose access it is"),
        Column(
            "event",
            "text",
            "",
            "login, login_failed, password_reset, sim_changed, device_added or payee_added",
        ),
        Column("device_id", "text", "", "on which it was done; empty for sim_changed"),
        Column("payee_id", "text", "", "the account, shop or biller of payee_added"),
        Column("transaction_id", "text", "", "the transaction that follows"),
        Column("is_fraud", "integer", "", "truth: of that transaction"),
        Column("campaign_id", "text", "", "truth: of that transaction"),
    )
    CHANNELS = frozenset({"online", "web", "mobile"})
    #: A log-in holds this long; the events before a transaction are between these seconds apart.
    SESSION_S, APART_S = 900, (8, 60)
    #: Share of log-ins preceded by each event: with a device new to the customer, and with a known one; by
    #: anybody else, and by who took the account over.
    SHARES: Mapping[str, tuple[tuple[float, float], tuple[float, float]]] = {
        "sim_changed": ((0.12, 0.25), (0.001, 0.002)),
        "password_reset": ((0.30, 0.60), (0.010, 0.030)),
        "login_failed": ((0.15, 0.25), (0.050, 0.060)),
    }

    def __init__(self) -> None:
        self._devices: dict[str, set[str]] = {}
        self._payees: dict[str, set[str]] = {}
        self._logged_in: dict[tuple[str, str], datetime] = {}
        self._found: list[tuple[str, int, Cells]] = []

    def add(self, row: Row) -> None:
        payee = row["counterparty_account_id"] or row["merchant_id"]
        if row["channel"] not in self.CHANNELS or row["kind"] not in ("transfer", "bill_payment", "deposit"):
            return
        customer, device = row["customer_id"], row["device_id"]
        moment, access = datetime.fromisoformat(row["timestamp"]), (customer, device)
        draws = struct.unpack("8I", hashlib.blake2b(row["transaction_id"].encode(), digest_size=32).digest())
        names: list[str] = []
        known = self._devices.setdefault(customer, {device})
        is_new = device not in known
        known.add(device)
        last = self._logged_in.get(access)
        if last is None or (moment - last).total_seconds() > self.SESSION_S:
            taken = row["is_fraud"] == "1" and row["typology"] in TAKEN_OVER
            for word, (name, shares) in zip(draws, self.SHARES.items(), strict=False):
                if word / 2**32 < shares[not is_new][taken]:
                    names.append(name)
            names += ["device_added", "login"] if is_new else ["login"]
            self._logged_in[access] = moment
        payees = self._payees.setdefault(customer, set())
        if payee and payee not in payees:
            payees.add(payee)
            names.append("payee_added")
        for nth, name in enumerate(reversed(names)):
            low, high = self.APART_S
            moment -= timedelta(seconds=low + draws[3 + nth % 5] % (high - low))
            at = f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S}.{moment.microsecond // 1000:03d}Z"
            own = (
                at, customer, name,
                "" if name == "sim_changed" else device, payee if name == "payee_added" else "",
                row["transaction_id"], row["is_fraud"], row["campaign_id"],
            )  # fmt: skip
            self._found.append((at, len(self._found), own))

    def finish(self) -> Iterator[Cells]:
        yield from (cells for _, _, cells in sorted(self._found))


#: Tables that `--tables` can ask for; reports come with `--label-delay-days` or `--label-noise`.
TABLES: Mapping[str, type[Campaigns | Labels | Merchants | Devices | Nodes | Edges | Events]] = {
    "campaigns": Campaigns,
    "labels": Labels,
    "merchants": Merchants,
    "devices": Devices,
    "nodes": Nodes,
    "edges": Edges,
    "events": Events,
}


def line_of(columns: Sequence[Column], cells: Cells) -> str:
    """The cells as one CSV line with its newline."""
    return (
        ",".join(cell(text) if c.type == "text" else text for c, text in zip(columns, cells, strict=True))
        + "\n"
    )


# -- Croissant: what machines read of a data set ------------------------------------------------------

_MEDIA = {".csv": "text/csv", ".jsonl": "application/jsonlines", ".parquet": "application/x-parquet"}
_DATA_TYPES = {
    "text": "sc:Text",
    "money": "sc:Float",
    "time": "sc:DateTime",
    "date": "sc:Date",
    "integer": "sc:Integer",
    "real": "sc:Float",
}
_CONTEXT = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "cr": "http://mlcommons.org/croissant/",
    "dct": "http://purl.org/dc/terms/",
    "sc": "https://schema.org/",
    "conformsTo": "dct:conformsTo",
    "column": "cr:column",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "recordSet": "cr:recordSet",
    "source": "cr:source",
}


def croissant(name: str, description: str, files: Mapping[Path, tuple[Path, Sequence[Column]]]) -> str:
    """Croissant 1.0 metadata as JSON.  ``files``: by place, where each is now, and its columns."""
    objects, records = [], []
    for place, (now, columns) in files.items():
        ending = ending_of(place)
        with now.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        media = "application/gzip" if ending.endswith(".gz") else _MEDIA[ending]
        objects.append(
            {
                "@type": "cr:FileObject",
                "@id": place.name,
                "name": place.name,
                "contentUrl": place.name,
                "contentSize": f"{now.stat().st_size} B",
                "encodingFormat": media,
                "sha256": digest,
            }
        )
        key = place.name.removesuffix(ending)
        records.append(
            {
                "@type": "cr:RecordSet",
                "@id": key,
                "name": key,
                "field": [
                    {
                        "@type": "cr:Field",
                        "@id": f"{key}/{column.name}",
                        "name": column.name,
                        "description": column.meaning,
                        "dataType": _DATA_TYPES[column.type],
                        "source": {
                            "fileObject": {"@id": place.name},
                            "extract": {"column": column.name},
                        },
                    }
                    for column in columns
                ],
            }
        )
    found = {
        "@context": _CONTEXT,
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": description,
        "version": banksim.__version__,
        "distribution": objects,
        "recordSet": records,
    }
    return json.dumps(found, indent=1, ensure_ascii=False) + "\n"
