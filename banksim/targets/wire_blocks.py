"""The requests of a block of rows: ready bytes for the bank and the detector, made of ready text.

What one row's bodies share with others (a merchant, a city, a customer's ids) is JSON text that is
made once; a row joins such fragments with its own numbers.  Byte for byte the result is what
the full client sends for ``block.planned(i)`` with `nexum_wire.movement_body` and
`bastion_wire.score_body`; a property test holds it to that.

Numbers of a whole column become text in one call of the same JSON encoder, so they read alike.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import orjson

from banksim.activity.block import CHANNELS, KINDS, WRONG_PIN, Block, Legend
from banksim.model import CREDIT_KINDS, AccountRef
from banksim.model.money import minor_digits
from banksim.targets.bastion import SCORE_PATH
from banksim.targets.http.client import JSON_OF_LENGTH
from banksim.targets.http.connection import HttpTransport
from banksim.targets.nexum import AccountDirectory
from banksim.targets.nexum_wire import CHANNEL_WORDS, Movement
from banksim.world.random import Ints

#: Fragments kept per table; when one is full it is emptied.
MAX_FRAGMENTS = 50_000
#: More than a customer has accounts.
MAX_SLOTS = 256
MOVEMENTS: tuple[Movement, ...] = ("withdraw", "deposit", "transfer")
_WITHDRAW, _DEPOSIT, _TRANSFER = range(3)
#: The movement of each kind, for those without and with a counterparty.
_OF_KIND = np.array(
    [
        [_DEPOSIT if kind in CREDIT_KINDS else _TRANSFER if other else _WITHDRAW for other in (False, True)]
        for kind in KINDS
    ],
    np.int8,
)


def movement_codes(block: Block) -> np.ndarray[Any, np.dtype[np.int8]]:
    """Which of `MOVEMENTS` each row is."""
    codes: np.ndarray[Any, np.dtype[np.int8]] = _OF_KIND[
        block.kind, (block.counterparty >= 0).astype(np.int8)
    ]
    return codes


def two_legged(block: Block, directory: AccountDirectory) -> Block:
    """The block with the accounts that its merchants are paid into as counterparties, where they have some.

    The same as `AccountDirectory.two_legged` for each row.
    """
    if not directory.hot_accounts:
        return block
    shops = np.flatnonzero((block.merchant >= 0) & (block.counterparty < 0))
    owners, slots = block.counterparty.copy(), block.counterparty_slot.copy()
    merchants = block.legend.merchants
    owners[shops] = [directory.owner_of(merchants[code].merchant_id) for code in block.merchant[shops]]
    slots[shops] = directory.merchant_slot
    return replace(block, counterparty=owners, counterparty_slot=slots)


class Heads:
    """Whole request heads of one route by the length of the body; the token in them may change."""

    def __init__(self, transport: HttpTransport, path: str) -> None:
        self._transport = transport
        self._path = path
        self._head = b""
        self._by_length: dict[int, bytes] = {}

    def beginning(self) -> bytes:
        """What they all begin with now."""
        return self._transport.head("POST", self._path) + JSON_OF_LENGTH

    def current(self) -> dict[int, bytes]:
        """Heads made so far, valid now."""
        head = self.beginning()
        if head != self._head or len(self._by_length) > MAX_FRAGMENTS:
            self._head = head
            self._by_length = {}
        return self._by_length

    def make(self, length: int) -> bytes:
        self._by_length[length] = head = b"%b%d\r\n\r\n" % (self._head, length)
        return head


class Fragments(dict[Any, Any]):
    """Ready text by key, made on first use."""

    def __init__(self, make: Callable[[Any], Any]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, key: Any) -> Any:
        if len(self) >= MAX_FRAGMENTS:
            self.clear()
        self[key] = made = self._make(key)
        return made


class WireBlocks:
    """For the blocks of one run.  A target that is not reached over HTTP has no ``transport``."""

    def __init__(
        self,
        legend: Legend,
        directory: AccountDirectory,
        bank: HttpTransport | None,
        detector: HttpTransport | None,
    ) -> None:
        self._legend = legend
        self._directory = directory
        self._bank = [Heads(bank, f"/transactions/{name}") for name in MOVEMENTS] if bank is not None else []
        self._detector = Heads(detector, SCORE_PATH) if detector is not None else None
        self._digits = minor_digits(legend.currency)
        self._opened: dict[int, list[bytes]] = {}  # as bounded as the directory
        self._open_accounts: dict[int, bytes] = {}  # also by customer × MAX_SLOTS + slot
        self._opaque_customers = Fragments(lambda index: directory.wire_customer_id(index).encode())
        self._opaque_accounts = Fragments(
            lambda key: directory.wire_account_id(AccountRef(*divmod(key, MAX_SLOTS))).encode()
        )
        self._last: tuple[Block | None, list[bytes]] = None, []
        self._kinds = Fragments(self._kind_of)
        self._words = Fragments(self._words_of)
        self._places = Fragments(self._place_of)
        self._merchants = Fragments(self._merchant_of)

    @property
    def heads(self) -> list[bytes]:
        """What requests to each target begin with now: it changes with a token."""
        found = self._bank[:1] if self._detector is None else [*self._bank[:1], self._detector]
        return [heads.beginning() for heads in found]

    def posts(self, block: Block) -> list[bytes]:
        """Requests to the bank, empty where an account is not open there or the card system refuses."""
        if not self._bank:
            return [b""] * len(block)
        heads, transactions = [route.current() for route in self._bank], self._transaction_ids(block)
        block = two_legged(block, self._directory)
        words, accounts, account_of, found = self._words, self._open_accounts, self._account_of, []
        for movement, amount, text, tx, key, other_key in zip(
            movement_codes(block).tolist(),
            self._amounts(block),
            zip(block.kind.tolist(), block.description.tolist(), block.channel.tolist(), strict=True),
            transactions,
            _keys(block.customer, block.account_slot),
            _keys(block.counterparty, block.counterparty_slot),
            strict=True,
        ):
            account = accounts.get(key) or account_of(key)
            if movement == _TRANSFER:
                payee = accounts.get(other_key) or account_of(other_key)
                if not payee:
                    account = b""
                sides: tuple[bytes, ...] = (b'","from_account_id":"', account, b'","to_account_id":"', payee)
            else:
                sides = (b'","account_id":"', account)
            if not account:
                found.append(b"")
                continue
            body = b"".join((b'{"amount":{"amount":"', amount, words[text], tx, *sides, b'"}'))
            length = len(body)
            found.append((heads[movement].get(length) or self._bank[movement].make(length)) + body)
        for failed in np.flatnonzero(block.decline >= WRONG_PIN).tolist():
            found[failed] = b""
        return found

    def scores(self, block: Block) -> list[bytes]:
        """Requests to the detector."""
        if self._detector is None:
            return [b""] * len(block)
        legend, heads, make = block.legend, self._detector.current(), self._detector.make
        merchants, places, kinds, ids_of = self._merchants, self._places, self._kinds, self._ids_of
        accounts, account_of, opaque, found = self._open_accounts, self._account_of, self._opaque_accounts, []
        for tx, customer, key, other_key, amount, shop, place, moment, text, device, lat, lon in zip(
            self._transaction_ids(block),
            block.customer.tolist(),
            _keys(block.customer, block.account_slot),
            _keys(block.counterparty, block.counterparty_slot),
            _numbers(block.amount_cents / 10**self._digits),
            block.merchant.tolist(),
            zip(block.channel.tolist(), block.city.tolist(), strict=True),
            _numbers(legend.start_epoch_s + block.sim_s),
            zip(block.kind.tolist(), block.description.tolist(), strict=True),
            _texts(legend.device_ids(block.customer, block.device)),
            _numbers(block.latitude),
            _numbers(block.longitude),
            strict=True,
        ):
            ids = ids_of(customer)
            account = accounts.get(key) or account_of(key) or opaque[key]
            payee = b""
            if other_key >= 0:
                payee = accounts.get(other_key) or account_of(other_key) or opaque[other_key]
            shop_head, shop_tail = merchants[shop]
            place_head, place_tail = places[place]
            body = b"".join(
                (
                    b'{"transaction_id":"',
                    tx,
                    b'","cif_id":"',
                    ids[0] if ids else self._opaque_customers[customer],
                    b'","amount":',
                    amount,
                    shop_head,
                    place_head,
                    moment,
                    kinds[text],
                    account,
                    b'","counterparty_account_id":"',
                    payee,
                    b'","device_id":"',
                    device,
                    b'","latitude":',
                    lat,
                    b',"longitude":',
                    lon,
                    place_tail,
                    shop_tail,
                )
            )
            length = len(body)
            found.append((heads.get(length) or make(length)) + body)
        return found

    def _ids_of(self, customer: int) -> Sequence[bytes]:
        """An open customer's id and account ids by slot; empty when not open."""
        ids = self._opened.get(customer)
        if ids is None:
            row = self._directory.row(customer)
            if row is None:
                return ()
            ids = self._opened[customer] = [text.encode() for text in (row[0], *row[1])]
        return ids

    def _account_of(self, key: int) -> bytes:
        """The id of an account, empty when it is not open."""
        customer, slot = divmod(key, MAX_SLOTS)
        ids = self._ids_of(customer)
        if not 0 <= slot < len(ids) - 1:
            return b""
        self._open_accounts[key] = account = ids[slot + 1]
        return account

    def _transaction_ids(self, block: Block) -> list[bytes]:
        """Made once for both targets."""
        if block is not self._last[0]:
            self._last = block, _texts(block.legend.transaction_ids(block.row))
        return self._last[1]

    def _amounts(self, block: Block) -> list[bytes]:
        """Amounts as the bank reads them: text with the currency's digits."""
        if not self._digits:
            return [b"%d" % cents for cents in block.amount_cents.tolist()]
        per_unit = 10**self._digits
        return [b"%d.%02d" % divmod(cents, per_unit) for cents in block.amount_cents.tolist()]

    # Fragments: the text between two numbers or ids

    def _words_of(self, key: tuple[int, int, int]) -> bytes:
        kind, description, channel = key
        words = _json(self._legend.descriptions[description] or KINDS[kind].value)
        return b'","currency":"%b"},"description":%b,"channel":"%b","reference":"' % (
            self._legend.currency.encode(),
            words,
            CHANNEL_WORDS[CHANNELS[channel]].encode(),
        )

    def _kind_of(self, key: tuple[int, int]) -> bytes:
        kind, description = key
        return b',"metadata":{"transaction_type":"%b","description":%b,"account_id":"' % (
            KINDS[kind].value.encode(),
            _json(self._legend.descriptions[description]),
        )

    def _place_of(self, key: tuple[int, int]) -> tuple[bytes, bytes]:
        channel, city = key
        name, country = self._legend.cities[city]
        head = b'"channel":"%b","country":%b,"timestamp":' % (
            CHANNELS[channel].value.encode(),
            _json(country),
        )
        return head, b',"city":%b' % _json(name)

    def _merchant_of(self, code: int) -> tuple[bytes, bytes]:
        """Code -1 is no merchant."""
        merchant = self._legend.merchants[code] if code >= 0 else None
        head = {
            "currency": self._legend.currency,
            "merchant_id": merchant.merchant_id if merchant else "",
            "merchant_category": merchant.category if merchant else "",
        }
        tail = {
            "merchant": merchant.name if merchant else "",
            "merchant_category_code": merchant.category_code if merchant else "",
        }
        return b",%b," % _json(head)[1:-1], b",%b}}" % _json(tail)[1:-1]


def _json(value: object) -> bytes:
    return orjson.dumps(value)


def _keys(customers: Ints, slots: np.ndarray[Any, np.dtype[np.int8]]) -> list[int]:
    """Accounts as one number each, negative where there is no customer."""
    keys: list[int] = (customers.astype(np.int64) * MAX_SLOTS + slots).tolist()
    return keys


def _texts(rows: np.ndarray[Any, np.dtype[np.uint8]]) -> list[bytes]:
    """Rows of ASCII characters, all of one width."""
    texts: list[bytes] = np.ascontiguousarray(rows).view(f"S{rows.shape[1]}").ravel().tolist()
    return texts


def _numbers(values: np.ndarray[Any, np.dtype[np.float64]]) -> list[bytes]:
    """Each as the JSON encoder writes it."""
    return orjson.dumps(np.ascontiguousarray(values), option=orjson.OPT_SERIALIZE_NUMPY)[1:-1].split(b",")
