"""The columns of public data sets, made from our rows, so that code written for those reads ours.

Rows the bank refused are left out, since those sets hold posted money only.  A column that nothing here
fills (Sparkov's gender, job and population of the city) stays empty; nothing is made up for it.
Sources: López-Rojas et al., PaySim, EMSS 2016 · Harris, Sparkov Data Generation, 2020 · Oztas et al., SAML-D,
ICEBE 2023 · Altman et al., AMLworld, NeurIPS 2023.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Protocol

from banksim.dataset.files import TRANSACTIONS, Column, Money, cell
from banksim.dataset.sinks import Sink, rows_of
from banksim.model import CREDIT_KINDS
from banksim.run.plan import Parts

#: Typologies that move criminal money on; the sets on laundering mark these and no other fraud.
LAUNDERING = frozenset(
    (
        "smurfing",
        "layering",
        "mule_network",
        "structuring",
        "fan_in",
        "fan_out",
        "cycle",
        "scatter_gather",
        "gather_scatter",
        "bipartite",
        "stack",
    )
)
#: Where money goes or comes from that no account or shop stands for.
OUTSIDE = "OUTSIDE"
CASH = "CASH"
#: A transfer above this is flagged in PaySim's own rules, in units of money.
_PAYSIM_FLAGGED = 200_000

#: One of our rows, by column.
Row = Mapping[str, str]


class Form(Protocol):
    """Makes the cells of another set's row; None where that set would have no such row."""

    @property
    def columns(self) -> Sequence[Column]: ...

    def cells(self, row: Row) -> Sequence[str] | None: ...


def columns_of(names: str, **types: str) -> tuple[Column, ...]:
    """Columns of text, but for those whose type is given under their name in small letters."""
    found = (name.strip() for name in names.split(","))
    return tuple(Column(name, types.get(name.lower().replace(" ", "_"), "text"), "", "") for name in found)


def is_credit(row: Row) -> bool:
    """Whether the row puts money into its account."""
    return row["kind"] in CREDIT_KINDS


def other_end(row: Row) -> str:
    """What the account pays or is paid by: an account, a shop, cash, or something outside."""
    if row["counterparty_account_id"] or row["merchant_id"]:
        return row["counterparty_account_id"] or row["merchant_id"]
    return CASH if row["channel"] in ("atm", "branch") else OUTSIDE


def ends(row: Row) -> tuple[str, str]:
    """From where to where the money goes."""
    account, other = row["account_id"], other_end(row)
    return (other, account) if is_credit(row) else (account, other)


class PaySim:
    """Steps of an hour; the balances of a receiver are those its account had after its last row."""

    columns = columns_of(
        "step, type, amount, nameOrig, oldbalanceOrg, newbalanceOrig, nameDest, oldbalanceDest,"
        "newbalanceDest, isFraud, isFlaggedFraud",
        step="integer",
        amount="money",
        oldbalanceorg="money",
        newbalanceorig="money",
        oldbalancedest="money",
        newbalancedest="money",
        isfraud="integer",
        isflaggedfraud="integer",
    )
    _TYPES: Mapping[str, str] = {
        "purchase": "PAYMENT",
        "bill_payment": "DEBIT",
        "withdrawal": "CASH_OUT",
        "deposit": "CASH_IN",
        "salary": "CASH_IN",
    }

    def __init__(self, parts: Parts) -> None:
        self._start = parts.world.timestamp_s(0.0)
        self._openings = _openings(parts)
        self._held: dict[str, Decimal] = {}

    def cells(self, row: Row) -> Sequence[str]:
        amount, before = Decimal(row["amount"]), Decimal(row["balance_before"])
        after = before + amount if is_credit(row) else before - amount
        self._held[row["account_id"]] = after
        receiver = row["counterparty_account_id"]
        had = had_after = Decimal("0.00")
        if receiver:
            had = self._held[receiver] if receiver in self._held else Decimal(self._openings(receiver))
            had_after = self._held[receiver] = had + amount
        hours = (datetime.fromisoformat(row["timestamp"]).timestamp() - self._start) / 3600
        name = f"C{receiver[1:]}" if receiver else f"M{other_end(row)}"
        kind = self._TYPES.get(row["kind"], "TRANSFER")
        flagged = "1" if kind == "TRANSFER" and amount > _PAYSIM_FLAGGED else "0"
        return (
            str(int(hours) + 1),
            kind,
            row["amount"],
            f"C{row['account_id'][1:]}",
            row["balance_before"],
            str(after),
            name,
            str(had),
            str(had_after),
            row["is_fraud"],
            flagged,
        )


class Sparkov:
    """Card purchases with their holder; ``cc_num`` is made from the account's number."""

    columns = columns_of(
        "row, trans_date_trans_time, cc_num, merchant, category, amt, first, last, gender, street, city,"
        "state, zip, lat, long, city_pop, job, dob, trans_num, unix_time, merch_lat, merch_long, is_fraud",
        row="integer",
        amt="money",
        lat="real",
        long="real",
        unix_time="integer",
        merch_lat="real",
        merch_long="real",
        is_fraud="integer",
        dob="date",
    )

    def __init__(self, parts: Parts) -> None:
        self._population = parts.world.population
        self._holders: dict[str, tuple[str, ...]] = {}
        self._rows = 0

    def cells(self, row: Row) -> Sequence[str] | None:
        if row["kind"] != "purchase":
            return None
        moment = datetime.fromisoformat(row["timestamp"])
        first, last, street, city, state, code, lat, long, dob = self._holder(row["customer_id"])
        self._rows += 1
        return (
            str(self._rows - 1),
            f"{moment:%Y-%m-%d %H:%M:%S}",
            f"4{row['account_id'][1:]:0>15}",
            row["merchant_name"],
            row["merchant_category"],
            row["amount"],
            first,
            last,
            "",
            street,
            city,
            state,
            code,
            lat,
            long,
            "",
            "",
            dob,
            row["transaction_id"].replace("-", ""),
            str(int(moment.timestamp())),
            row["latitude"],
            row["longitude"],
            row["is_fraud"],
        )

    def _holder(self, customer: str) -> tuple[str, ...]:
        found = self._holders.get(customer)
        if found is None:
            who = self._population.customer(int(customer[1:]))
            home, address = who.home, who.address
            found = self._holders[customer] = (
                who.first_name,
                who.last_name,
                address.line1,
                address.city,
                address.state,
                address.postal_code,
                f"{home.latitude:.4f}",
                f"{home.longitude:.4f}",
                who.date_of_birth.isoformat(),
            )
        return found


class SamlD:
    """Payments between accounts; a purchase is paid by debit card."""

    columns = columns_of(
        "Time, Date, Sender_account, Receiver_account, Amount, Payment_currency, Received_currency,"
        "Sender_bank_location, Receiver_bank_location, Payment_type, Is_laundering, Laundering_type",
        amount="money",
        is_laundering="integer",
        date="date",
    )
    _TYPES: Mapping[str, str] = {
        "purchase": "Debit card",
        "withdrawal": "Cash Withdrawal",
        "deposit": "Cash Deposit",
    }

    def __init__(self, parts: Parts) -> None:
        """Nothing of the run is needed."""

    def cells(self, row: Row) -> Sequence[str]:
        sender, receiver = ends(row)
        laundering = row["typology"] in LAUNDERING
        return (
            row["timestamp"][11:19],
            row["timestamp"][:10],
            sender,
            receiver,
            row["amount"],
            row["currency"],
            row["currency"],
            row["country"],
            row["country"],
            self._TYPES.get(row["kind"], "ACH"),
            str(int(laundering)),
            row["typology"] if laundering else "Normal",
        )


class AmlWorld:
    """Transfers between banks; this bank is 001, everything outside 002."""

    columns = columns_of(
        "Timestamp, From Bank, Account, To Bank, Account.1, Amount Received, Receiving Currency,"
        "Amount Paid, Payment Currency, Payment Format, Is Laundering",
        amount_received="money",
        amount_paid="money",
        is_laundering="integer",
    )

    def __init__(self, parts: Parts) -> None:
        """Nothing of the run is needed."""

    def cells(self, row: Row) -> Sequence[str]:
        sender, receiver = ends(row)
        ours = (row["account_id"], row["counterparty_account_id"])
        return (
            row["timestamp"][:16].replace("-", "/").replace("T", " "),
            "001" if sender in ours else "002",
            sender,
            "001" if receiver in ours else "002",
            receiver,
            row["amount"],
            row["currency"],
            row["amount"],
            row["currency"],
            self._format(row),
            str(int(row["typology"] in LAUNDERING)),
        )

    def _format(self, row: Row) -> str:
        if row["kind"] == "purchase":
            return "Credit Card"
        if row["channel"] in ("atm", "branch"):
            return "Cash"
        return "Wire" if row["channel"] == "wire" else "ACH"


FORMS: Mapping[str, Callable[[Parts], Form]] = {
    "paysim": PaySim,
    "sparkov": Sparkov,
    "saml-d": SamlD,
    "amlworld": AmlWorld,
}


@dataclass(slots=True)
class FormSink:
    """Takes our lines and hands the form's lines on."""

    sink: Sink
    form: Form

    def write(self, parts: Sequence[bytes | memoryview], count: int) -> None:  # noqa: ARG002 - as in `Sink`
        texts = [column.type == "text" for column in self.form.columns]
        lines = []
        for row in dict_rows(parts):
            cells = None if row["status"] == "refused" else self.form.cells(row)
            if cells is not None:
                lines.append(",".join(cell(c) if t else c for c, t in zip(cells, texts, strict=True)) + "\n")
        if lines:
            self.sink.write(["".join(lines).encode()], len(lines))

    def close(self) -> None:
        self.sink.close()


_NAMES = [column.name for column in TRANSACTIONS]


def dict_rows(parts: Sequence[bytes | memoryview]) -> list[Row]:
    """Our lines by column."""
    return [dict(zip(_NAMES, row, strict=True)) for row in rows_of(parts)]


def _openings(parts: Parts) -> Callable[[str], str]:
    """What gives the opening balance of an account, by its id."""
    population, money = parts.world.population, Money(parts.world.currency)

    def opening(account: str) -> str:
        index, slot = int(account[1:9]), int(account[9:])
        return money.text(population.customer(index).accounts[slot].opening_balance_cents)

    return opening
