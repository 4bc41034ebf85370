"""Fraud must not be told from genuine life by anything but behaviour."""

from __future__ import annotations

import re
from statistics import mean

from banksim.model import Label
from banksim.scenario import KNOWN_PATTERN_TYPES
from tests.unit.activity.helpers import planned

from .helpers import desk, drive_all, scenario, world

UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
WORDS_THAT_TELL = (
    "fraud",
    "stolen",
    "mule",
    "test",
    "attack",
    "victim",
    "launder",
    "scam",
    "probe",
    "campaign",
)


def fraud_steps(seed=1, soph=0.3):
    patterns = [{"type": kind, "count": 60, "sophistication": soph} for kind in KNOWN_PATTERN_TYPES]
    made = drive_all(desk(seed, fraud={"rate": 0.001, "patterns": patterns}))
    return [step for steps in made.values() for step in steps]


def honest_steps(count=4000):
    return planned(world(), [nth * 86_400 / count for nth in range(count)], scenario=scenario())


def style(step):
    """The description with its merchant's name taken out."""
    tx = step.transaction
    return tx.kind, tx.description.replace(tx.merchant.name if tx.merchant else "\0", "<shop>")


def test_ids_of_both_look_alike():
    for step in (*fraud_steps(), *honest_steps(200)):
        assert UUID4.fullmatch(step.transaction.transaction_id)
        assert UUID4.fullmatch(step.transaction.device_id)


def test_transaction_ids_are_never_used_twice():
    ids = [step.transaction.transaction_id for step in fraud_steps()]
    assert len(set(ids)) == len(ids)


def test_descriptions_are_those_of_honest_transactions():
    genuine = {style(step) for step in honest_steps()}
    assert {style(step) for step in fraud_steps()} <= genuine


def test_kinds_channels_and_shops_are_those_of_honest_transactions():
    genuine = {(step.transaction.kind, step.transaction.channel) for step in honest_steps()}
    everywhere = {merchant.merchant_id for merchant in world().merchants.all()}
    for step in fraud_steps():
        assert (step.transaction.kind, step.transaction.channel) in genuine
        if step.transaction.merchant is not None:
            assert step.transaction.merchant.merchant_id in everywhere


def test_no_word_on_the_wire_tells():
    for step in fraud_steps():
        tx = step.transaction
        texts = [tx.transaction_id, tx.device_id, tx.description, tx.place.city]
        assert step.truth.campaign_id not in " ".join(texts)
        assert not any(word in text.lower() for word in WORDS_THAT_TELL for text in texts)


def test_every_step_is_labelled_with_its_campaign_and_role():
    for step in fraud_steps():
        assert step.truth.label is Label.FRAUD
        assert step.truth.typology in step.truth.campaign_id
        assert step.truth.role
        assert step.truth.persona == world().population.persona_of(step.transaction.account.customer_index)


def test_one_cut_by_amount_does_not_separate_card_fraud_from_honest_purchases():
    """The best single threshold on the amount finds less than half of it at 10 % false positives."""
    genuine = sorted(s.transaction.amount_cents for s in honest_steps() if s.transaction.merchant)
    frauds = [
        s.transaction.amount_cents
        for s in fraud_steps(soph=0.6)
        if s.truth.typology in ("online_fraud", "velocity_attack", "unusual_location")
    ]
    cut = genuine[int(0.9 * len(genuine))]
    assert mean(amount > cut for amount in frauds) < 0.5
