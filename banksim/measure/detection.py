"""How well the detector detects: counts per kind of transaction, and the figures made of them.

Every transaction falls into one group: a fraud typology, a kind of decoy, or genuine.
Within a group it was

    scored     a usable score came back
    missing    asked, and no usable score came back
    unasked    the detector was never asked (no detector, or the bank had already said no):
               kept out of recall and precision, visible in coverage
    by bank    the detector was not asked, and the bank decided by fraud rules of its own

and, whatever else, *alerted* when the decision was review or block, or the bank refused by fraud rules.
Once a bank is seen to do that, it is taken to have judged all that it posted without our asking the detector.
A transaction that was asked about and not alerted counts against recall, also where the score is missing.
When no score came back in the whole run there are no rates at all, since nothing was judged.

The operating point is the detector's own decision, so the confusion matrix is exact; only
the ranking figures (AUC, AP, threshold sweep) come from scores.  Decoys are genuine:
an alert on one is a false positive.  Whatever has no denominator is None, never 0.

Amounts of fraud are what a victim or the bank would lose by it (see campaigns.py), those of other groups
what was paid.  Recall is given on all fraud and on *harm*, the steps that take money: neither preparation nor
laundering.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from math import sqrt
from typing import Any

import numpy as np

from banksim.measure.block import CHANNELS, NO_DECISION, POSTED, Bools, ResultBlock, number_of
from banksim.measure.campaigns import Campaigns, is_booked, moved_cents
from banksim.measure.figures import (
    Confusion,
    DecoyRow,
    DetectionFigures,
    ScoreBar,
    SliceRow,
    TypologyRow,
)
from banksim.measure.scores import (
    Ints,
    ScoreCounts,
    ScoreScale,
    average_precision,
    enough,
    histogram,
    roc_auc,
    share,
    wilson,
)
from banksim.measure.trends import ScoreDrift
from banksim.model import BankStatus, Decision, FraudStage, Label, Outcome, Planned

# -- Detection by persona or by channel: is one kind of customer watched worse than another? ---------
#
# Only counts, no score bins, so a slice costs five integers.  Transactions that the detector
# was never asked about are counted and kept out of both rates, as in detection.py.
#
# Bound: ``limit`` names have a line of their own, further ones share "other".


OTHER = "other"
MAX_SLICES = 64

#: The last two are parts of the unasked: fraud and genuine ones that the bank posted.
_FRAUDS, _CAUGHT, _HONEST, _FALSE, _UNASKED, _PASSED_FRAUD, _PASSED_GENUINE = range(7)


class Slices:
    """Counts by one property of a transaction."""

    __slots__ = ("_limit", "counts")

    def __init__(self, limit: int = MAX_SLICES) -> None:
        self._limit = limit
        self.counts: dict[str, list[int]] = {}

    def add(self, name: str, fraud: bool, asked: bool, alert: bool, posted: bool = False) -> None:
        """Count one finished transaction."""
        counts = self.counts.get(name) or self._line(name)
        if not asked:
            counts[_UNASKED] += 1
            counts[_PASSED_FRAUD if fraud else _PASSED_GENUINE] += posted
        elif fraud:
            counts[_FRAUDS] += 1
            counts[_CAUGHT] += alert
        else:
            counts[_HONEST] += 1
            counts[_FALSE] += alert

    def add_genuine(
        self, names: Sequence[str], codes: Ints, asked: Bools, alert: Bools, posted: Bools
    ) -> None:
        """Count many genuine transactions; ``codes`` are places in ``names``, all arrays of shape (n,)."""
        size = len(names)
        unasked = np.bincount(codes[~asked], minlength=size).tolist()
        passed = np.bincount(codes[~asked & posted], minlength=size).tolist()
        genuine = np.bincount(codes[asked], minlength=size).tolist()
        false_positives = np.bincount(codes[asked & alert], minlength=size).tolist()
        for name, *found in zip(names, genuine, false_positives, unasked, passed, strict=True):
            if any(found):
                counts = self._line(name)
                counts[_HONEST] += found[0]
                counts[_FALSE] += found[1]
                counts[_UNASKED] += found[2]
                counts[_PASSED_GENUINE] += found[3]

    def _line(self, name: str) -> list[int]:
        if name not in self.counts and len(self.counts) >= self._limit:
            name = OTHER
        return self.counts.setdefault(name, [0] * 7)

    def rows(self, bank_decides: bool = False) -> dict[str, SliceRow]:
        """Rates are those of the counts, also where nothing at all was scored."""
        return {name: _slice_row(counts, bank_decides) for name, counts in sorted(self.counts.items())}

    def merge_state(self, state: Mapping[str, Sequence[int]]) -> None:
        for name, theirs in state.items():
            mine = self._line(name)
            for place, value in enumerate(theirs):
                mine[place] += value

    def to_state(self) -> dict[str, list[int]]:
        return {name: list(counts) for name, counts in self.counts.items()}


def _slice_row(counts: Sequence[int], bank_decides: bool) -> SliceRow:
    fraud, caught, genuine, false_positives, unasked, passed_fraud, passed_genuine = counts
    if bank_decides:
        fraud, genuine = fraud + passed_fraud, genuine + passed_genuine
        unasked -= passed_fraud + passed_genuine
    return SliceRow(
        fraud + genuine + unasked,
        *(fraud, caught, *_rate(caught, fraud)),
        *(genuine, false_positives, *_rate(false_positives, genuine)),
        unasked,
    )


#: Share of fraud to restate precision at: EEA card payments by count, first half of 2023
#: (EBA/ECB report on payment fraud; indicative).
DEFAULT_PREVALENCE = 0.00015

# Looking a member up in its class takes longer than counting.
_FRAUD, _GENUINE = Label.FRAUD, Label.GENUINE
_NONE, _POSTED = Decision.NONE, BankStatus.POSTED

_COUNTS = (
    "transactions",
    "alerted",
    "late",
    "scored",
    "unasked",
    "amount_cents",
    "alerted_cents",
    "unasked_cents",
    "lost_cents",
    "stopped_cents",
    "moved_cents",
    "harm",
    "harm_alerted",
    "by_bank",
    "passed",
    "passed_cents",
    "passed_harm",
)


class GroupCounts:
    """Counts, amounts in cents, and scores of one group.  ``late`` alerts are also in ``alerted``."""

    __slots__ = (*_COUNTS, "scores")

    def __init__(self, scores: ScoreCounts) -> None:
        self.transactions = self.alerted = self.late = self.scored = self.unasked = 0
        self.amount_cents = self.alerted_cents = self.unasked_cents = 0
        self.lost_cents = self.stopped_cents = self.moved_cents = 0
        #: Steps that take money and were judged.
        self.harm = self.harm_alerted = 0
        #: Decided by the bank alone; and what it posted of the unasked.
        self.by_bank = self.passed = self.passed_cents = self.passed_harm = 0
        self.scores = scores

    @property
    def judged(self) -> int:
        return self.transactions - self.unasked

    @property
    def missing(self) -> int:
        return self.judged - self.scored - self.by_bank

    @property
    def not_alerted(self) -> int:
        return self.judged - self.alerted

    @property
    def judged_cents(self) -> int:
        return self.amount_cents - self.unasked_cents

    def merge(self, other: GroupCounts) -> None:
        for name in _COUNTS:
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.scores.merge(other.scores)

    def judge_passed(self) -> None:
        """Count what the bank posted as decided by the bank: it lets nothing through unseen."""
        self.by_bank += self.passed
        self.unasked -= self.passed
        self.unasked_cents -= self.passed_cents
        self.harm += self.passed_harm
        self.passed = self.passed_cents = self.passed_harm = 0

    def to_state(self) -> dict[str, Any]:
        return {"counts": [getattr(self, name) for name in _COUNTS], "scores": self.scores.to_state()}

    def merge_state(self, state: Mapping[str, Any], values: Sequence[float] | None) -> None:
        """Add a group from `to_state`; ``values`` as in `ScoreCounts.merge_state`."""
        for name, value in zip(_COUNTS, state["counts"], strict=True):
            setattr(self, name, getattr(self, name) + value)
        self.scores.merge_state(state["scores"], values)


class Detection:
    """Everything counted about decisions.  ``deadline_ms``: an alert whose response came later is late."""

    def __init__(self, max_campaigns: int, deadline_ms: float | None = None) -> None:
        self._scale = ScoreScale()
        self.genuine = self._group()
        self.fraud: dict[str, GroupCounts] = {}
        self.decoys: dict[str, GroupCounts] = {}
        self.campaigns = Campaigns(max_campaigns)
        self.personas = Slices()
        self.channels = Slices()
        self.drift = ScoreDrift()
        #: Whether the bank was seen to refuse by fraud rules where the detector was not asked.
        self.bank_decides = False
        self._deadline_ms = float("inf") if deadline_ms is None else deadline_ms

    def add(self, planned: Planned, outcome: Outcome) -> None:
        """Count one finished transaction."""
        truth = planned.truth
        label = truth.label
        is_fraud = label is _FRAUD
        amount_cents = planned.loss_cents if is_fraud else planned.transaction.amount_cents
        if label is _GENUINE:
            group = self.genuine
        else:
            groups = self.fraud if is_fraud else self.decoys
            group = groups.get(truth.typology) or groups.setdefault(truth.typology, self._group())
        reply = outcome.detector
        alert, put = outcome.alert, reply.decision is not _NONE or bool(reply.error)
        asked, posted = put or alert, outcome.bank.status is _POSTED
        harm = is_fraud and truth.stage is FraudStage.HARM
        group.transactions += 1
        group.amount_cents += amount_cents
        if alert:
            group.alerted += 1
            group.alerted_cents += amount_cents
            if outcome.lag_ms + outcome.service_ms > self._deadline_ms:
                group.late += 1
            if not put:
                group.by_bank += 1
                self.bank_decides = True
        elif not asked:
            group.unasked += 1
            group.unasked_cents += amount_cents
            if posted:
                group.passed += 1
                group.passed_cents += amount_cents
                group.passed_harm += harm
        self.personas.add(truth.persona, is_fraud, asked, alert, posted)
        self.channels.add(planned.transaction.channel._value_, is_fraud, asked, alert, posted)
        if reply.score is not None:
            group.scored += 1
            group.scores.add(reply.score, amount_cents)
            if not is_fraud:
                self.drift.add(planned.sim_s, reply.score)
        if is_fraud:
            booked = is_booked(outcome)
            if booked:
                group.lost_cents += amount_cents
                group.moved_cents += moved_cents(planned)
            elif alert:
                group.stopped_cents += amount_cents
            if harm and asked:
                group.harm += 1
                group.harm_alerted += alert
            if truth.campaign_id:
                self.campaigns.add(planned, booked, alert)

    def add_genuine(self, block: ResultBlock) -> None:
        """Count many finished transactions that are all genuine: the same as `add` for each."""
        group, amounts_cents, alert = self.genuine, block.amount_cents, block.alert
        put = (block.decision != NO_DECISION) | block.score_failed
        asked, posted = put | alert, block.status == POSTED
        group.transactions += len(block)
        group.amount_cents += int(amounts_cents.sum())
        if alert.any():
            late = alert & (block.lag_ms + block.service_ms > self._deadline_ms)
            group.alerted += number_of(alert)
            group.alerted_cents += int(amounts_cents[alert].sum())
            group.late += number_of(late)
            group.by_bank += (by_bank := number_of(alert & ~put))
            self.bank_decides |= by_bank > 0
        if not asked.all():
            group.unasked += len(block) - number_of(asked)
            group.unasked_cents += int(amounts_cents[~asked].sum())
            group.passed += number_of(~asked & posted)
            group.passed_cents += int(amounts_cents[~asked & posted].sum())
        self.personas.add_genuine(block.personas, block.persona, asked, alert, posted)
        self.channels.add_genuine(CHANNELS, block.channel, asked, alert, posted)
        scored = ~np.isnan(block.score)
        scores = block.score[scored]
        if len(scores):
            group.scored += len(scores)
            group.scores.add_many(self._scale.places_of(scores), amounts_cents[scored])
            self.drift.add_many(block.sim_s[scored], scores)

    @property
    def _silent(self) -> bool:
        """Whether nothing came back so far: that is no verdict on any transaction."""
        groups = (self.genuine, *self.fraud.values(), *self.decoys.values())
        return not any(group.scored or group.alerted for group in groups)

    def _group(self) -> GroupCounts:
        return GroupCounts(self._scale.counts())

    def _sum_of(self, groups: Iterable[GroupCounts]) -> GroupCounts:
        total = GroupCounts(ScoreCounts(self._scale))
        for group in groups:
            total.merge(group)
        if self.bank_decides:
            total.judge_passed()
        return total

    def not_fraud(self) -> GroupCounts:
        """Genuine transactions and decoys together."""
        return self._sum_of([self.genuine, *self.decoys.values()])

    def fraudulent(self) -> GroupCounts:
        """All typologies together."""
        return self._sum_of(self.fraud.values())

    def figures(self, prevalence: float, false_positive_cost_cents: int) -> DetectionFigures:
        """Every figure of the measurement; without a usable score, rates and ratios are None."""
        fraud, rest = self.fraudulent(), self.not_fraud()
        tp, fp = fraud.alerted, rest.alerted
        judged = fraud.judged + rest.judged
        scored, by_bank = fraud.scored + rest.scored, fraud.by_bank + rest.by_bank
        frauds, genuine = (0, 0) if self._silent else (fraud.judged, rest.judged)
        fn, tn = frauds - tp, genuine - fp
        campaigns = len(self.campaigns.lines)
        recall, recall_low, recall_high = _rate(tp, frauds)
        clusters = self.campaigns.clusters
        if (clusters.trials, clusters.hits) == (
            frauds,
            tp,
        ):  # every campaign has a line, and was judged whole
            recall_low, recall_high = clusters.interval() or (None, None)
        fpr, fpr_low, fpr_high = _rate(fp, genuine)
        precision, precision_low, precision_high = _rate(tp, tp + fp)
        harm_recall, harm_low, harm_high = _rate(fraud.harm_alerted, fraud.harm if frauds else 0)
        detected = self.campaigns.detected
        campaign_recall, campaign_low, campaign_high = _rate(detected, campaigns if frauds + genuine else 0)
        return DetectionFigures(
            recall=recall,
            recall_low=recall_low,
            recall_high=recall_high,
            harm=fraud.harm,
            harm_recall=harm_recall,
            harm_recall_low=harm_low,
            harm_recall_high=harm_high,
            on_time_recall=share(tp - fraud.late, frauds),
            campaigns=campaigns,
            campaigns_detected=detected,
            campaign_recall=campaign_recall,
            campaign_recall_low=campaign_low,
            campaign_recall_high=campaign_high,
            false_positive_rate=fpr,
            false_positive_rate_low=fpr_low,
            false_positive_rate_high=fpr_high,
            false_positives_per_10000=None if fpr is None else fpr * 10_000,
            precision=precision,
            precision_low=precision_low,
            precision_high=precision_high,
            precision_adjusted=adjusted_precision(recall, fpr, prevalence),
            prevalence=prevalence,
            measured_prevalence=share(fraud.judged, judged),
            value_detection_rate=share(fraud.alerted_cents, fraud.judged_cents) if frauds + genuine else None,
            value_cents=fraud.judged_cents,
            caught_cents=fraud.alerted_cents,
            tried_cents=fraud.amount_cents,
            lost_cents=fraud.lost_cents,
            stopped_cents=fraud.stopped_cents,
            in_reach_cents=self.campaigns.in_reach_cents,
            moved_cents=fraud.moved_cents,
            false_positive_cost_cents=false_positive_cost_cents,
            net_savings_cents=fraud.alerted_cents - fp * false_positive_cost_cents if frauds else None,
            alert_rate=share(tp + fp, judged) if frauds + genuine else None,
            coverage=share(scored, fraud.transactions + rest.transactions - by_bank)
            if judged > by_bank
            else None,
            scored=scored,
            missing=fraud.missing + rest.missing,
            unasked=fraud.unasked + rest.unasked,
            by_bank=by_bank,
            late=fraud.late + rest.late,
            f1=share(2 * tp, 2 * tp + fp + fn) if frauds else None,
            mcc=matthews(tp, fp, tn, fn),
            average_precision=average_precision(fraud.scores, rest.scores),
            roc_auc=roc_auc(fraud.scores, rest.scores),
            confusion=Confusion(tp, fp, tn, fn),
        )

    def by_typology(self) -> dict[str, TypologyRow]:
        """Fraud by typology; recall is None when nothing at all was scored."""
        silent = self._silent
        return {
            name: TypologyRow(
                *_counts(group),
                enough(group.judged),
                *_rate(group.alerted, 0 if silent else group.judged),
                group.alerted_cents,
            )
            for name, group in self._settled(self.fraud)
        }

    def by_decoy(self) -> dict[str, DecoyRow]:
        """Decoys by kind: an alert on one is a false positive."""
        silent = self._silent
        return {
            name: DecoyRow(*_counts(group), *_rate(group.alerted, 0 if silent else group.judged))
            for name, group in self._settled(self.decoys)
        }

    def _settled(self, groups: Mapping[str, GroupCounts]) -> list[tuple[str, GroupCounts]]:
        if not self.bank_decides:
            return sorted(groups.items())
        return [(name, self._sum_of([group])) for name, group in sorted(groups.items())]

    def score_histogram(self, bars: int = 20) -> list[ScoreBar]:
        return histogram(self.fraudulent().scores, self.not_fraud().scores, bars)

    def to_state(self) -> dict[str, Any]:
        return {
            "scores": self._scale.values,
            "bank_decides": self.bank_decides,
            "genuine": self.genuine.to_state(),
            "fraud": {name: group.to_state() for name, group in self.fraud.items()},
            "decoys": {name: group.to_state() for name, group in self.decoys.items()},
            "campaigns": self.campaigns.to_state(),
            "personas": self.personas.to_state(),
            "channels": self.channels.to_state(),
            "drift": self.drift.to_state(),
        }

    def merge_state(self, state: Mapping[str, Any]) -> None:
        values = state["scores"]
        self.bank_decides |= state["bank_decides"]
        self.genuine.merge_state(state["genuine"], values)
        for mine, theirs in ((self.fraud, state["fraud"]), (self.decoys, state["decoys"])):
            for name, group in theirs.items():
                (mine.get(name) or mine.setdefault(name, self._group())).merge_state(group, values)
        self.campaigns.merge_state(state["campaigns"])
        self.personas.merge_state(state["personas"])
        self.channels.merge_state(state["channels"])
        self.drift.merge_state(state["drift"])


def adjusted_precision(recall: float | None, fpr: float | None, prevalence: float) -> float | None:
    """Precision if ``prevalence`` of all transactions were fraud: π·TPR ÷ (π·TPR + (1−π)·FPR)."""
    if recall is None or fpr is None:
        return None
    flagged = prevalence * recall + (1 - prevalence) * fpr
    return prevalence * recall / flagged if flagged else None


def matthews(tp: int, fp: int, tn: int, fn: int) -> float | None:
    """Matthews correlation, -1..1; None when a row or column of the matrix is empty."""
    product = (tp + fp) * (tp + fn) * (tn + fp) * (tn + fn)
    return (tp * tn - fp * fn) / sqrt(product) if product else None


def _rate(part: int, whole: int) -> tuple[float | None, float | None, float | None]:
    """The share with the ends of its interval; all None of nothing."""
    low, high = wilson(part, whole) or (None, None)
    return share(part, whole), low, high


def _counts(group: GroupCounts) -> tuple[int, int, int, int, int]:
    """The fields of a `GroupRow`."""
    return group.transactions, group.scored, group.missing, group.alerted, group.amount_cents
