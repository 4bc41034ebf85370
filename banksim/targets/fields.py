"""The named fields that requests are built of, and bodies compiled to ready text with gaps for them.

A field is what a bank or its customer would know: who pays whom how much, where, by which device,
and what the customer did before.  The last kind comes from `History`, which sees the same
transactions as the system under test, and never a truth.
"""

from __future__ import annotations

import difflib
import re
from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import blake2b
from math import asin, cos, radians, sin, sqrt
from operator import attrgetter
from typing import Any
from urllib.parse import quote

import orjson

from banksim.model import CREDIT_KINDS, Channel, Kind, Place, Transaction
from banksim.model.money import to_units, to_wire
from banksim.world import Customer

# -- What is known of a customer from what happened before -------------------------------------------

#: Customers and, for each, moments and merchants that are remembered.
MAX_CUSTOMERS = 200_000
MAX_MOMENTS = 256
MAX_MERCHANTS = 32
DAY_S = 86_400.0


@dataclass(slots=True)
class Known:
    """What a bank knows of a customer before the transaction at hand."""

    home: Place
    count: int = 0
    total_cents: int = 0
    moments_s: deque[float] = field(default_factory=lambda: deque(maxlen=MAX_MOMENTS))
    merchants: OrderedDict[str, None] = field(default_factory=OrderedDict)
    last: Transaction | None = None

    def within(self, now_s: float, seconds: float) -> int:
        count = 0
        for moment_s in reversed(self.moments_s):  # about in order
            if now_s - moment_s > seconds:
                break
            count += 1
        return count


class History:
    """What happened so far, customer by customer, as far as this process sent it."""

    def __init__(self, home_of: Callable[[int], Place] | None = None) -> None:
        """``home_of`` gives the address a bank has; else the place first seen stands for it."""
        self.home_of = home_of
        self._known: OrderedDict[int, Known] = OrderedDict()
        self._merchants: OrderedDict[str, tuple[int, int]] = OrderedDict()

    def of(self, tx: Transaction) -> Known:
        index = tx.account.customer_index
        known = self._known.get(index)
        if known is None:
            known = self._known[index] = Known(self.home_of(index) if self.home_of else tx.place)
            if len(self._known) > MAX_CUSTOMERS:
                self._known.popitem(last=False)
        return known

    def merchant_average(self, tx: Transaction) -> float:
        """Mean amount at the merchant so far in currency units, 0 where it has none."""
        count, cents = self._merchants.get(tx.merchant.merchant_id if tx.merchant else "", (0, 0))
        return to_units(round(cents / count), tx.currency) if count else 0.0

    def add(self, tx: Transaction) -> None:
        """``tx`` has been asked about: from now on it is history."""
        known = self.of(tx)
        known.count += 1
        known.total_cents += tx.amount_cents
        known.moments_s.append(tx.timestamp_s)
        known.last = tx
        if tx.merchant is not None:
            name = tx.merchant.merchant_id
            known.merchants[name] = None
            known.merchants.move_to_end(name)
            if len(known.merchants) > MAX_MERCHANTS:
                known.merchants.popitem(last=False)
            count, cents = self._merchants.get(name, (0, 0))
            self._merchants[name] = (count + 1, cents + tx.amount_cents)
            if len(self._merchants) > MAX_CUSTOMERS:
                self._merchants.popitem(last=False)


def km_between(a: Place, b: Place) -> float:
    """Great-circle distance."""
    lat_a, lat_b = radians(a.latitude), radians(b.latitude)
    dlon = radians(b.longitude - a.longitude)
    h = sin((lat_b - lat_a) / 2) ** 2 + cos(lat_a) * cos(lat_b) * sin(dlon / 2) ** 2
    return round(2 * 6371.0 * asin(min(1.0, sqrt(h))), 3)


# -- Fields -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Scope:
    """What one request is about; a field that needs what is not there is None."""

    run: str = ""
    currency: str = ""
    customer: Customer | None = None
    number: str = ""
    product: str = ""
    opening_cents: int = 0
    tx: Transaction | None = None
    customer_id: str = ""
    account_id: str = ""
    counterparty_id: str | None = None
    counterparty_customer_id: str = ""
    outside: str = ""
    callback_url: str = ""
    completion_id: str = ""
    taken: Mapping[str, Any] | None = None
    history: History | None = None


Get = Callable[[Scope], Any]
_ONLINE = frozenset({Channel.WEB, Channel.ONLINE, Channel.MOBILE, Channel.WIRE, Channel.ACH})


def _iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "Z"


def uuid_of(text: str) -> str:
    """A UUID that is the same for the same text."""
    digits = blake2b(text.encode(), digest_size=16).hexdigest()
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-a{digits[17:20]}-{digits[20:]}"


def is_credit(tx: Transaction) -> bool:
    return tx.kind in CREDIT_KINDS


def _merchant(name: str) -> Get:
    read = attrgetter(name)
    return lambda s: read(s.tx.merchant) if s.tx.merchant is not None else ""  # type: ignore[union-attr]


def _of_tx(get: Callable[[Transaction], Any]) -> Get:
    return lambda s: get(s.tx) if s.tx is not None else None


def _of_customer(get: Callable[[Customer], Any]) -> Get:
    return lambda s: get(s.customer) if s.customer is not None else None


def _known(get: Callable[[Known, Transaction], Any]) -> Get:
    return lambda s: get(s.history.of(s.tx), s.tx) if s.history is not None and s.tx is not None else None


def _last(get: Callable[[Transaction, Transaction], Any]) -> Get:
    return _known(lambda known, tx: get(known.last, tx) if known.last is not None else None)


def _average(known: Known, tx: Transaction) -> float:
    return to_units(round(known.total_cents / known.count), tx.currency) if known.count else 0.0


def _movement(tx: Transaction) -> str:
    if is_credit(tx):
        return "deposit"
    return "transfer" if tx.kind is Kind.TRANSFER and tx.counterparty is not None else "withdraw"


_EVERYWHERE: dict[str, Get] = {
    "run": lambda s: s.run,
    "currency": attrgetter("currency"),
    "now_iso": lambda _: _iso(datetime.now(UTC).timestamp()),
    "now_http": lambda _: datetime.now(UTC).strftime("%a, %d %b %Y %H:%M:%S GMT"),
    "in_a_minute_iso": lambda _: _iso(datetime.now(UTC).timestamp() + 60.0),
    "today": lambda _: datetime.now(UTC).date().isoformat(),
    "callback_url": lambda s: s.callback_url,
}
_CUSTOMER: dict[str, Get] = {
    name: _of_customer(lambda c, name=name: getattr(c, name))  # type: ignore[misc]
    for name in ("first_name", "last_name", "email", "phone", "kyc_tier", "display_name")
} | {
    "customer_number": _of_customer(lambda c: c.index),
    "date_of_birth": _of_customer(lambda c: c.date_of_birth.isoformat()),
    "address_line": _of_customer(lambda c: c.address.line1),
    "city": _of_customer(lambda c: c.address.city),
    "state": _of_customer(lambda c: c.address.state),
    "postal_code": _of_customer(lambda c: c.address.postal_code),
    "country": _of_customer(lambda c: c.address.country),
    "account_number": lambda s: s.number,
    "opening_cents": lambda s: s.opening_cents,
    "opening_units": lambda s: to_units(s.opening_cents, s.currency),
    "opening_text": lambda s: to_wire(s.opening_cents, s.currency),
    "product": lambda s: s.product,
}
_TRANSACTION: dict[str, Get] = {
    "reference": attrgetter("tx.transaction_id"),
    "reference_uuid": _of_tx(lambda tx: uuid_of(tx.transaction_id)),
    "amount_cents": attrgetter("tx.amount_cents"),
    "amount_units": lambda s: to_units(s.tx.amount_cents, s.tx.currency),  # type: ignore[union-attr]
    "amount_text": lambda s: to_wire(s.tx.amount_cents, s.tx.currency),  # type: ignore[union-attr]
    "kind": attrgetter("tx.kind._value_"),
    "movement": _of_tx(_movement),
    "channel": attrgetter("tx.channel._value_"),
    "description": lambda s: s.tx.description or s.tx.kind._value_,  # type: ignore[union-attr]
    "timestamp_s": attrgetter("tx.timestamp_s"),
    "timestamp_ms": _of_tx(lambda tx: int(tx.timestamp_s * 1000)),
    "timestamp_iso": _of_tx(lambda tx: _iso(tx.timestamp_s)),
    "customer_id": attrgetter("customer_id"),
    "account_id": attrgetter("account_id"),
    "counterparty_id": lambda s: s.counterparty_id or "",
    "counterparty_customer_id": attrgetter("counterparty_customer_id"),
    "from_id": lambda s: s.outside if s.tx and is_credit(s.tx) else s.account_id,
    "to_id": lambda s: s.account_id if s.tx and is_credit(s.tx) else s.counterparty_id or s.outside,
    "merchant_id": _merchant("merchant_id"),
    "merchant_name": _merchant("name"),
    "merchant_category": _merchant("category"),
    "mcc": _merchant("category_code"),
    "device_id": attrgetter("tx.device_id"),
    "latitude": attrgetter("tx.place.latitude"),
    "longitude": attrgetter("tx.place.longitude"),
    "city": attrgetter("tx.place.city"),
    "country": attrgetter("tx.place.country"),
    "card_check": _of_tx(lambda tx: tx.card_check.name.lower() if tx.card_check else "ok"),
    "is_online": _of_tx(lambda tx: tx.channel in _ONLINE),
    "card_present": _of_tx(lambda tx: tx.channel in (Channel.POS, Channel.ATM)),
}
_HISTORY: dict[str, Get] = {
    "avg_amount": _known(_average),
    "tx_count": _known(lambda known, _: known.count),
    "tx_count_1h": _known(lambda known, tx: known.within(tx.timestamp_s, 3600.0)),
    "tx_count_24h": _known(lambda known, tx: known.within(tx.timestamp_s, DAY_S)),
    "known_merchants": _known(lambda known, _: list(known.merchants)),
    "is_known_merchant": _known(
        lambda known, tx: tx.merchant is not None and tx.merchant.merchant_id in known.merchants
    ),
    "merchant_avg_amount": lambda s: s.history.merchant_average(s.tx) if s.history and s.tx else None,
    "km_from_home": _known(lambda known, tx: km_between(known.home, tx.place)),
    "last_timestamp_iso": _last(lambda last, _: _iso(last.timestamp_s)),
    "last_amount_units": _last(lambda last, tx: to_units(last.amount_cents, tx.currency)),
    "seconds_since_last": _last(lambda last, tx: tx.timestamp_s - last.timestamp_s),
    "km_from_last": _last(lambda last, tx: km_between(last.place, tx.place)),
}
_COMPLETION: dict[str, Get] = {"completion_id": lambda s: s.completion_id}
_CORRELATION: dict[str, Get] = {
    "reference": lambda s: s.completion_id,
    "reference_uuid": lambda s: uuid_of(s.completion_id),
}
#: The fields of each place in a mapping.
FIELDS: dict[str, dict[str, Get]] = {
    "open": _EVERYWHERE | _CUSTOMER,
    "move": _EVERYWHERE | _TRANSACTION,
    "score": _EVERYWHERE | _TRANSACTION | _HISTORY,
    "account": _EVERYWHERE | {"account_id": lambda s: s.account_id},
    "completion": _EVERYWHERE | _COMPLETION,
    "correlation": _CORRELATION,
}
_CASTS: dict[str, Callable[[Any], Any]] = {
    "int": int,
    "number": float,
    "text": lambda value: value if isinstance(value, str) else orjson.dumps(value).decode(),
    "upper": lambda value: str(value).upper(),
}
_GAP = re.compile(r"\{([a-z_][a-z0-9_]*)(?::([a-z]+))?\}")


class UnknownField(ValueError):
    """A gap names no field; the text says what was meant or is known."""


def _getter(match: re.Match[str], fields: Mapping[str, Get]) -> Get:
    name, cast = match.groups()
    get = fields.get(name)
    if get is None:
        near = difflib.get_close_matches(name, fields, n=1)
        hint = f"did you mean {{{near[0]}}}?" if near else f"known: {', '.join(sorted(fields))}"
        raise UnknownField(f"there is no field {{{name}}} here; {hint}")
    if cast is None:
        return get
    if cast not in _CASTS:
        raise UnknownField(f"{match[0]}: expected one of {', '.join(_CASTS)} after the colon")
    convert = _CASTS[cast]
    return lambda scope: None if (value := get(scope)) is None else convert(value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else orjson.dumps(value).decode()


class Text:
    """A path or header with gaps; in a path (``quoted``) what fills them is one segment's part."""

    def __init__(self, text: str, fields: Mapping[str, Get], *, quoted: bool = False) -> None:
        self.template = _GAP.sub(r"{\1}", text)
        self._parts: list[str | Get] = []
        self._quoted = quoted
        at = 0
        for match in _GAP.finditer(text):
            self._parts += [text[at : match.start()], _getter(match, fields)]
            at = match.end()
        self._parts.append(text[at:])
        self.fixed = len(self._parts) == 1

    def of(self, scope: Scope) -> str:
        if self.fixed:
            return self.template
        filled = (part if isinstance(part, str) else self._fill(part, scope) for part in self._parts)
        return "".join(filled)

    def _fill(self, get: Get, scope: Scope) -> str:
        text = _text(get(scope))
        return quote(text, safe=":@.-_~") if self._quoted else " ".join(text.split())


class Body:
    """JSON with gaps, compiled: ready bytes, and getters for what goes between them.

    A gap that is a whole value keeps its type (``"{amount_cents}"`` is a number); one inside a text is text.
    ``parts`` is what a block of rows would join for itself.
    """

    def __init__(self, data: object, fields: Mapping[str, Get]) -> None:
        self.parts: list[bytes | Get] = []
        for part in _compiled(data, fields):
            if isinstance(part, bytes) and self.parts and isinstance(self.parts[-1], bytes):
                self.parts[-1] += part
            else:
                self.parts.append(part)

    def of(self, scope: Scope) -> bytes:
        dumps = orjson.dumps
        return b"".join([part if isinstance(part, bytes) else dumps(part(scope)) for part in self.parts])


def _compiled(data: object, fields: Mapping[str, Get]) -> Iterator[bytes | Get]:
    if isinstance(data, Mapping):
        for place, (key, value) in enumerate(data.items()):
            yield (b"," if place else b"{") + orjson.dumps(str(key)) + b":"
            yield from _optional(value, fields)
        yield b"}" if data else b"{}"
    elif isinstance(data, list | tuple):
        yield b"["
        for place, value in enumerate(data):
            if place:
                yield b","
            yield from _compiled(value, fields)
        yield b"]"
    elif isinstance(data, str) and (whole := _GAP.fullmatch(data)):
        yield _getter(whole, fields)
    elif isinstance(data, str) and _GAP.search(data):
        yield Text(data, fields).of
    else:
        yield orjson.dumps(data)


def _optional(value: object, fields: Mapping[str, Get]) -> Iterator[bytes | Get]:
    """A mapping with ``null_without: field`` is null where that field is."""
    if isinstance(value, Mapping) and "null_without" in value:
        inner = Body({key: item for key, item in value.items() if key != "null_without"}, fields)
        match = _GAP.fullmatch(f"{{{value['null_without']}}}")
        if match is None:
            raise UnknownField(f"null_without: expected the name of a field, got {value['null_without']!r}")
        present = _getter(match, fields)
        yield lambda s: None if present(s) is None else orjson.Fragment(inner.of(s))
    else:
        yield from _compiled(value, fields)


def names_used(data: object) -> set[str]:
    """Fields that gaps anywhere in ``data`` name."""
    if isinstance(data, Mapping):
        return set().union(*(names_used(value) for value in data.values()), {str(data.get("null_without"))})
    if isinstance(data, Collection) and not isinstance(data, str):
        return set().union(*(names_used(value) for value in data))
    return {match[1] for match in _GAP.finditer(data)} if isinstance(data, str) else set()


#: Fields that need what happened before.
HISTORY_FIELDS = frozenset(_HISTORY)
