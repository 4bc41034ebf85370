"""Requests made by the block are byte for byte what the full clients send for each row."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from banksim.activity.block import CHANNELS, DECLINES, KIND_CODES, KINDS, Block, Legend, genuine_truths
from banksim.activity.rows import RowPlanner
from banksim.model import BankReply, Kind, Merchant, Place, ScoreReply, Transaction
from banksim.scenario import parse_scenario
from banksim.targets import AccountDirectory, BastionClient, HttpTransport, NexumClient, Reply, Request
from banksim.targets.wire_blocks import MAX_FRAGMENTS, MOVEMENTS, Fragments, WireBlocks, movement_codes
from banksim.world import World
from banksim.world.random import Draws

#: Customers 0 to 5 are open, with one to three accounts; 6 to 9 are not.
OPEN, CUSTOMERS = 6, 10
TEXTS = ["", "Groceries", 'He said "no" \\ back', "Café Zoë", "line\nbreak", "日本 \U0001f600", "</script>"]
CITIES = (("Boston", "US"), ("São Paulo", "BR"), ("L'Aquila", "IT"))


def legend(currency: str) -> Legend:
    place = Place("Boston", "US", 1.0, 2.0)
    return Legend(
        currency=currency,
        start_epoch_s=1_767_571_200.0,
        personas=("student",),
        merchants=[Merchant(f"m-{n}", TEXTS[n + 1], f"{5411 + n}", "grocery", place) for n in range(4)],
        cities=CITIES,
        descriptions=TEXTS,
        truths=genuine_truths(("student",)),
        ids=Draws(1, "ids"),
        devices=Draws(1, "devices"),
        device_keys=lambda customers, numbers: customers * 4 + numbers,
    )


def block_of(seed: int, n: int, currency: str = "USD") -> Block:
    """Rows with every code drawn alike, and numbers at the edges of their text."""
    rng = np.random.default_rng(seed)
    kind = rng.integers(0, len(KINDS), n).astype(np.int8)
    other = np.where(
        (kind == KIND_CODES[Kind.TRANSFER]) & (rng.random(n) < 0.8), rng.integers(0, CUSTOMERS, n), -1
    )
    sim_s = np.sort(np.where(rng.random(n) < 0.5, rng.random(n) * 1e5, rng.integers(0, 100_000, n)))
    degrees = np.round(np.where(rng.random((2, n)) < 0.2, 0.0, rng.normal(0, 60, (2, n))), 4)
    cents = np.where(rng.random(n) < 0.3, 10 ** rng.integers(0, 12, n), rng.integers(1, 10_000_000, n))
    return Block(
        legend=legend(currency),
        row=np.arange(n, dtype=np.int64) + 1000 * seed,
        sim_s=sim_s,
        customer=rng.integers(0, CUSTOMERS, n),
        account_slot=rng.integers(0, 3, n).astype(np.int8),
        persona=np.zeros(n, np.int8),
        kind=kind,
        channel=rng.integers(0, len(CHANNELS), n).astype(np.int8),
        amount_cents=cents,
        merchant=rng.integers(-1, 4, n).astype(np.int32),
        counterparty=other,
        counterparty_slot=rng.integers(0, 2, n).astype(np.int8),
        city=rng.integers(0, len(CITIES), n).astype(np.int16),
        latitude=degrees[0],
        longitude=degrees[1],
        device=rng.integers(0, 4, n).astype(np.int8),
        description=rng.integers(0, len(TEXTS), n).astype(np.int32),
        balance_before_cents=np.zeros(n, np.int64),
        decline=rng.choice(len(DECLINES), n, p=(0.8, 0.05, 0.05, 0.05, 0.05)).astype(np.int8),
    )


def directory() -> AccountDirectory:
    known = AccountDirectory(seed=3)
    for index in range(OPEN):
        known.add(index, f"c-{index}", [f"a-{index}-{slot}" for slot in range(1 + index % 3)])
    return known


class Recorder:
    """A transport that keeps the bytes that the HTTP client would send."""

    address = "recorded"

    def __init__(self, http: HttpTransport) -> None:
        self._http = http
        self.last = b""

    def send(self, request: Request) -> Reply:
        self.last = self._http.encode(request)
        return Reply(200, {"state": "completed", "score": 0.5}, 1.0)

    def authorize(self, token: str) -> None:
        self._http.authorize(token)

    def close(self) -> None: ...


def http(url: str, token: str = "") -> HttpTransport:
    return HttpTransport(url, rng=random.Random(1), token=token)


class Both:
    """The full clients and the blocks, at the same addresses."""

    def __init__(self, block: Block, known: AccountDirectory | None = None) -> None:
        self.directory = known or directory()
        bank_http, detector_http = http("http://bank/core", "secret"), http("http://detector:81")
        self.to_bank, self.to_detector = Recorder(bank_http), Recorder(detector_http)
        self.bank = NexumClient(self.to_bank, self.directory, currency=block.legend.currency)
        self.detector = BastionClient(self.to_detector, self.directory)
        self.wire = WireBlocks(block.legend, self.directory, bank_http, detector_http)

    def post(self, tx: Transaction) -> bytes:
        self.to_bank.last = b""
        reply = self.bank.post(tx)
        assert isinstance(reply, BankReply)
        return self.to_bank.last

    def score(self, tx: Transaction) -> bytes:
        reply = self.detector.score(tx)
        assert isinstance(reply, ScoreReply)
        return self.to_detector.last

    def assert_equal(self, block: Block) -> None:
        posts, scores = self.wire.posts(block), self.wire.scores(block)
        assert len(posts) == len(scores) == len(block)
        for index, (post, score) in enumerate(zip(posts, scores, strict=True)):
            tx = block.planned(index).transaction
            assert post == self.post(tx)
            assert score == self.score(tx)


@given(st.integers(0, 10_000), st.integers(1, 60), st.sampled_from(["USD", "JPY", "EUR"]))
@settings(max_examples=60, deadline=None)
def test_each_byte_is_what_the_full_clients_send(seed: int, n: int, currency: str) -> None:
    block = block_of(seed, n, currency)
    Both(block).assert_equal(block)


def test_the_blocks_cover_every_case() -> None:
    """So that the property above says something."""
    block = block_of(1, 2000)
    posts = Both(block).wire.posts(block)
    assert 0.2 < sum(not post for post in posts) / len(posts) < 0.8, "some accounts are not open"
    paths = {post.split(b" ")[1].rpartition(b"/")[2].decode() for post in posts if post}
    assert paths == set(MOVEMENTS)
    assert [MOVEMENTS[code] for code in movement_codes(block)[:2]] == [
        {"deposit": "deposit", "salary": "deposit", "transfer": "transfer"}.get(
            "transfer_out" if KINDS[k] is Kind.TRANSFER and o < 0 else KINDS[k].value, "withdraw"
        )
        for k, o in zip(block.kind[:2], block.counterparty[:2], strict=True)
    ]


def test_blocks_one_after_the_other_and_a_new_token() -> None:
    block = block_of(5, 100)
    both = Both(block)
    both.assert_equal(block.part(0, 50))
    both.to_bank.authorize("renewed")
    both.assert_equal(block.part(50, 100))
    assert b"Bearer renewed" in next(post for post in both.wire.posts(block) if post)


def test_a_customer_who_is_opened_later_has_the_banks_ids_from_then_on() -> None:
    block = block_of(7, 200)
    both = Both(block)
    both.assert_equal(block)
    for index in range(OPEN, CUSTOMERS):
        both.directory.add(index, f"c-{index}", [f"a-{index}-{slot}" for slot in range(3)])
    both.assert_equal(block)
    assert all(b'"cif_id":"c-' in score for score in both.wire.scores(block))


def test_descriptions_may_grow() -> None:
    block = block_of(8, 20)
    words = list(TEXTS)
    grown = replace(block.legend, descriptions=words)
    block = replace(block, legend=grown)
    both = Both(block)
    both.assert_equal(block)
    words.append("Brand new")
    block = replace(block, description=np.full(20, len(TEXTS), np.int32))
    both.assert_equal(block)


def test_a_missing_target_has_no_bytes() -> None:
    block = block_of(2, 3)
    wire = WireBlocks(block.legend, directory(), None, None)
    assert wire.posts(block) == wire.scores(block) == [b""] * 3


def test_fragments_are_bounded() -> None:
    made: list[Any] = []
    fragments = Fragments(lambda key: made.append(key) or key)
    for key in range(3 * MAX_FRAGMENTS):
        assert fragments[key] == key
        assert fragments[key] == key
    assert len(made) == 3 * MAX_FRAGMENTS
    assert len(fragments) <= MAX_FRAGMENTS


def test_planned_blocks_too() -> None:
    """Not drawn codes: what the planner plans."""
    text = (
        "name: x\nduration_hours: 1\nspeed_multiplier: 1\ncustomers: 200\n"
        "transaction_rate: {peak_tps: 5, off_peak_tps: 5}\n"
    )
    world = World.from_scenario(parse_scenario(text, "x", {}), 7)
    block = RowPlanner(world).plan(0, np.sort(np.random.default_rng(1).random(500) * 3600))
    known = AccountDirectory(7)
    for index in range(150):
        known.add(index, f"c-{index}", [f"a-{index}-0", f"a-{index}-1"])
    Both(block, known).assert_equal(block)
