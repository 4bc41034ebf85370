"""Nothing that identifies fraud crosses the wire.

A run against the stand-ins behind HTTP, through a proxy that keeps every byte.  The truth
of each transaction is known here, so not only words are looked for, but also shapes: a
field, an id or a text that only fraud has would give it away just as well.
"""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from banksim.activity.rows import RowPlanner
from banksim.run.plan import Mode
from banksim.run.run import End
from banksim.scenario import KNOWN_PATTERN_TYPES
from banksim.targets import SandboxProcess
from banksim.world import World
from tests.integration.driver import SMALL_ATTACK, Driver, settings_for
from tests.integration.tee import Tee

#: Words of ours that no body, header or path may hold.
FORBIDDEN = (
    *KNOWN_PATTERN_TYPES,
    *(name.replace("_", " ") for name in KNOWN_PATTERN_TYPES),
    "fraud",
    "campaign",
    "genuine",
    "decoy",
    "typology",
    "victim",
    "mule",
    "attacker",
    "stolen",
    "is_fraud",
    "label",
    "persona",
)

#: Every kind of fraud, those that the small attack leaves out with a few steps each.
ATTACK = SMALL_ATTACK + "".join(
    f"    - {{type: {kind}, count: 4}}\n"
    for kind in KNOWN_PATTERN_TYPES
    if f"type: {kind}," not in SMALL_ATTACK
)

Scored = list[tuple[bool, dict[str, Any]]]


class Wire:
    """What crossed in one run: raw requests, and the scored bodies with their truth."""

    def __init__(self, folder: Path) -> None:
        with SandboxProcess() as sandbox:
            bank, detector = Tee(sandbox.nexum_url), Tee(sandbox.bastion_url)
            settings = settings_for(
                folder, ATTACK, mode=Mode.LIVE, nexum_url=bank.url, bastion_url=detector.url
            )
            driver = Driver(settings)
            self.run = driver.conduct()
            bank.stop()
            detector.stop()
        self.requests = [*bank.bodies(), *detector.bodies()]
        truth = {p.transaction.transaction_id: p.truth for p in driver.planned}
        self.truths = truth
        self.scored: Scored = []
        for path, raw in detector.bodies():
            if path == "/score":
                body = json.loads(raw.split(b"\n")[-1])
                self.scored.append((truth[body["transaction_id"]].is_fraud, body))


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    yield Wire(tmp_path_factory.mktemp("out"))


def test_the_run_is_worth_looking_at(wire: Wire) -> None:
    assert wire.run.end is End.COMPLETED, wire.run.message
    typologies = {truth.typology for truth in wire.truths.values() if truth.is_fraud}
    assert typologies == set(KNOWN_PATTERN_TYPES)
    assert sum(is_fraud for is_fraud, _ in wire.scored) >= 50
    assert sum(not is_fraud for is_fraud, _ in wire.scored) >= 100


def test_no_word_of_ours_crosses(wire: Wire) -> None:
    campaigns = {truth.campaign_id for truth in wire.truths.values() if truth.campaign_id}
    words = [word.lower().encode() for word in (*FORBIDDEN, *campaigns)]
    pattern = re.compile(b"|".join(rb"(?<![a-z])" + re.escape(word) + rb"(?![a-z])" for word in words))
    for path, raw in wire.requests:
        found = pattern.search(raw.lower())
        assert found is None, f"{found[0]!r} in a request to {path}: {raw!r}"


def _shape(body: dict[str, Any]) -> tuple[Any, ...]:
    """Which fields there are and whether they say anything, for one kind of transaction and channel."""
    meta = body["metadata"]
    return (
        tuple(sorted(body)),
        tuple(sorted(meta)),
        tuple(sorted(k for k, v in (*body.items(), *meta.items()) if v in ("", None))),
    )


def test_no_field_belongs_to_fraud_alone(wire: Wire) -> None:
    shapes: dict[tuple[str, bool], set[Any]] = defaultdict(set)
    for is_fraud, body in wire.scored:
        kind = body["metadata"]["transaction_type"]
        shapes[kind, is_fraud].add(_shape(body))
    for kind in {kind for kind, is_fraud in shapes if is_fraud}:
        assert shapes[kind, False], f"no genuine {kind} to compare with: the kind itself gives fraud away"
        assert shapes[kind, True] <= shapes[kind, False], f"{kind}: a shape of body that only fraud has"


#: Fields by what tests/unit/dataset/test_difficulty.py holds to a bound, in sets large enough to say so.
MEASURED = {
    "transaction_id", "cif_id", "account_id", "amount", "channel", "timestamp", "transaction_type",
    "description", "merchant_id", "merchant", "merchant_category", "merchant_category_code", "device_id",
    "counterparty_account_id", "latitude", "longitude", "city",
    "country", "currency",  # follow from the place and the bank
}  # fmt: skip


def test_every_field_of_the_wire_is_held_to_a_bound(wire: Wire) -> None:
    for _, body in wire.scored:
        assert {*body, *body["metadata"]} - {"metadata"} <= MEASURED


@pytest.mark.parametrize("field", ["transaction_id", "cif_id", "device_id", "merchant_id", "account_id"])
def test_ids_look_alike(wire: Wire, field: str) -> None:
    forms: dict[bool, set[str]] = {True: set(), False: set()}
    for is_fraud, body in wire.scored:
        value = str(body.get(field, body["metadata"].get(field, "")))
        forms[is_fraud].add(re.sub(r"[0-9a-f]", "x", value))
    assert forms[True] <= forms[False], f"{field}: a form that only fraud has"


def test_values_of_fraud_are_also_those_of_honest_people(wire: Wire) -> None:
    # The run is too small for rare habits, so many genuine people are asked for a month of transactions.
    settings = settings_for(wire.run.settings.report_dir, customers=5_000)
    planner = RowPlanner(World.from_scenario(settings.scenario, settings.seed))
    genuine: dict[str, set[str]] = defaultdict(set)
    block = planner.plan(0, np.arange(160_000) * 16.2)
    for position in range(len(block)):
        tx = block.planned(position).transaction
        genuine["currency"].add(tx.currency)
        genuine["channel"].add(str(tx.channel))
        genuine["country"].add(tx.place.country)
        genuine["merchant_category"].add(tx.merchant.category if tx.merchant else "")
    for field, allowed in genuine.items():
        seen = {body[field] for is_fraud, body in wire.scored if is_fraud}
        assert seen <= allowed, f"{field}: only fraud has {seen - allowed}"


def test_descriptions_are_of_one_style(wire: Wire) -> None:
    words: dict[bool, set[str]] = {True: set(), False: set()}
    for is_fraud, body in wire.scored:
        merchant = body["metadata"].get("merchant", "")
        text = (
            body["metadata"]["description"].replace(merchant, "")
            if merchant
            else body["metadata"]["description"]
        )
        words[is_fraud] |= set(re.findall(r"[a-z]+", text.lower()))
    assert words[True] <= words[False], f"words only fraud uses: {words[True] - words[False]}"
