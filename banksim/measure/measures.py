"""Everything one process measures, behind one call per transaction.

A worker counts into its own `Measures`; the master adds workers' states into an empty one.
All that is kept adds up exactly and in any order, with two stated exceptions: a campaign
whose parts overlap in time on two workers (see campaigns.py), and which texts keep a line of
their own once a bound is hit (their total stays right).

An `At` is wall seconds since the run's start, with the same origin in every process, and
simulated seconds since then.

Warm-up: transactions planned before ``warm_up_s`` count in the tally and the timeline, and go
to ``cold`` figures of their own for detection and latency.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from banksim.measure import figures
from banksim.measure.block import (
    FAILED,
    GENUINE,
    REFUSED,
    SKIPPED,
    UNKNOWN,
    CallBlock,
    ResultBlock,
    number_of,
    take,
)
from banksim.measure.books import BalanceChecks, ExpectedBalances
from banksim.measure.counts import BoundedCounts, Calls, Fate, Tally, fate_of
from banksim.measure.detection import DEFAULT_PREVALENCE, Detection
from banksim.measure.latency import LatencyHistogram, whole_us
from banksim.measure.timeline import Bucket, Timeline
from banksim.model import At, Ended, Label, Outcome, Planned, refusal_reason
from banksim.targets import Call

# -- What the load generator itself used: a generator at its limit must never look like a slow bank ---
#
# One Python process uses one core at most, so CPU is counted in % of one core.  Network bytes
# are those of the whole machine, since the system counts them so.  All figures are counts or
# maxima; merged over workers, maxima are those of the busiest process.


#: Above this much of one core arrivals begin to wait for the generator.
BUSY_PERCENT = 90.0


class GeneratorUse:
    """Samples of one process, or of all once merged."""

    __slots__ = ("busy_samples", "cpu_max", "network_max", "rss_max", "samples", "total_permille")

    def __init__(self) -> None:
        self.samples = 0
        self.busy_samples = 0
        self.total_permille = 0
        self.cpu_max = 0.0
        self.rss_max = 0.0
        self.network_max = 0.0

    def add(self, cpu_percent: float, rss_bytes: float, network_bytes_s: float) -> None:
        self.samples += 1
        self.busy_samples += cpu_percent > BUSY_PERCENT
        self.total_permille += round(cpu_percent * 10)
        self.cpu_max = max(self.cpu_max, cpu_percent)
        self.rss_max = max(self.rss_max, rss_bytes)
        self.network_max = max(self.network_max, network_bytes_s)

    def figures(self) -> figures.GeneratorUse | None:
        """None without a sample."""
        if not self.samples:
            return None
        return figures.GeneratorUse(
            samples=self.samples,
            busy_samples=self.busy_samples,
            cpu_percent_mean=self.total_permille / 10 / self.samples,
            cpu_percent_max=self.cpu_max,
            rss_bytes_max=self.rss_max,
            network_bytes_s_max=self.network_max,
        )

    def merge_state(self, state: Sequence[float]) -> None:
        samples, busy, total, cpu, rss, network = state
        self.samples += int(samples)
        self.busy_samples += int(busy)
        self.total_permille += int(total)
        self.cpu_max = max(self.cpu_max, cpu)
        self.rss_max = max(self.rss_max, rss)
        self.network_max = max(self.network_max, network)

    def to_state(self) -> list[float]:
        return [
            self.samples,
            self.busy_samples,
            self.total_permille,
            self.cpu_max,
            self.rss_max,
            self.network_max,
        ]


SERIES = ("response", "service", "lag")
#: Fewer rows are counted sooner one by one.
MIN_BLOCK = 16
# Looking a member up in its class takes as long as counting one latency.
_FRAUD = Label.FRAUD
_COMPLETED, _REFUSED, _UNKNOWN = Fate.COMPLETED, Fate.REFUSED, Fate.UNKNOWN


@dataclass(frozen=True, slots=True)
class MeasureSettings:
    """What to count and where to stop.  ``false_positive_cost_cents`` is a judgement: five units of money."""

    interval_s: float = 1.0
    max_points: int = 2_000
    warm_up_s: float = 0.0
    deadline_ms: float | None = None
    prevalence: float = DEFAULT_PREVALENCE
    false_positive_cost_cents: int = 500
    max_campaigns: int = 2_000
    max_errors: int = 50
    max_calls: int = 64


class Quality:
    """Detection and latency of one part of the run (cold or warm).

    ``failed_response`` and ``unscored_response`` hold, once more, those of "response" that failed or went
    unanswered, and those that the detector was asked about without giving a usable score.
    """

    __slots__ = ("detection", "failed_response", "lag", "latency", "response", "service", "unscored_response")

    def __init__(self, settings: MeasureSettings) -> None:
        self.detection = Detection(settings.max_campaigns, settings.deadline_ms)
        self.latency = {name: LatencyHistogram() for name in SERIES}
        self.response, self.service, self.lag = (self.latency[name] for name in SERIES)
        self.failed_response = LatencyHistogram()
        self.unscored_response = LatencyHistogram()

    def merge_state(self, state: Mapping[str, Any]) -> None:
        self.detection.merge_state(state["detection"])
        for name, histogram in self.latency.items():
            histogram.merge_state(state["latency"][name])
        self.failed_response.merge_state(state["failed_response"])
        self.unscored_response.merge_state(state["unscored_response"])

    def to_state(self) -> dict[str, Any]:
        return {
            "detection": self.detection.to_state(),
            "latency": {name: histogram.to_state() for name, histogram in self.latency.items()},
            "failed_response": self.failed_response.to_state(),
            "unscored_response": self.unscored_response.to_state(),
        }


class Measures:
    """Counts of one process, or of all of them once merged."""

    def __init__(self, settings: MeasureSettings | None = None) -> None:
        self.settings = settings or MeasureSettings()
        self.tally = Tally()
        self.warm = Quality(self.settings)
        self.cold = Quality(self.settings)
        self.calls = Calls(self.settings.max_calls, self.settings.max_errors)
        self.timeline = Timeline(self.settings.interval_s, self.settings.max_points)
        self.books = ExpectedBalances()
        self.balance_checks = BalanceChecks()
        #: The comparison of all balances, once the run is over.
        self.reconciliation: figures.Reconciliation | None = None
        self.generator = GeneratorUse()
        self.drop_reasons: BoundedCounts[str] = BoundedCounts(self.settings.max_errors)
        self.refusals: BoundedCounts[str] = BoundedCounts(self.settings.max_errors)
        #: Transactions that the campaigns begun so far were to make, by typology.
        self.planned_fraud: BoundedCounts[str] = BoundedCounts(self.settings.max_campaigns)
        self.fraud_dropped = 0

    @property
    def detection(self) -> Detection:
        """Detection after the warm-up: the figures that count."""
        return self.warm.detection

    @property
    def latency(self) -> dict[str, LatencyHistogram]:
        """ "response", "service" and "lag" after the warm-up."""
        return self.warm.latency

    def reserve(self) -> None:
        """Take the memory of a long run at once, so that it does not seem to grow."""
        self.timeline.reserve()

    # -- as a sink of a run's events (banksim/run/sink.py) ----------------------------------------

    def offered(self, at: At, n: int = 1) -> None:
        """``n`` transactions fell due."""
        self.tally.offered += n
        self.timeline.at(at).offered += n

    def started(self, at: At, n: int = 1) -> None:
        """``n`` transactions are being sent; below zero, so many could not be after all."""
        self.tally.started += n
        self.timeline.at(at).sent += n

    def dropped(self, at: At, planned: Planned | None, reason: str, n: int = 1) -> None:
        """``n`` transactions will not be sent; ``planned`` is None where they were not planned."""
        self.tally.dropped += n
        self.drop_reasons.add(reason, n)
        if planned is not None and planned.truth.is_fraud:
            self.fraud_dropped += n
        self.timeline.at(at).dropped += n

    def ended(self, at: At, results: Sequence[Ended]) -> None:
        """Transactions that were sent have ended; each counts once per `started`.

        A `ResultBlock` is counted by its columns as far as its transactions are genuine.
        """
        bucket = self.timeline.at(at)
        if isinstance(results, ResultBlock) and len(results) >= MIN_BLOCK:
            results = self._count_columns(bucket, results)
        for planned, outcome in results:
            self._count(bucket, planned, outcome)

    def called(self, at: At, calls: Sequence[Call]) -> None:
        """Calls to a target have returned, or were held back by its open circuit."""
        if isinstance(calls, CallBlock):
            self.calls.add_many(calls, at)
            return
        for call in calls:
            name = f"{call.method} {call.name}"
            if call.sent:
                self.calls.add(call.system, name, call.latency_ms, call.error, at, call.resent)
                if call.resent or call.error:
                    bucket = self.timeline.at(at)
                    bucket.resent += call.resent
                    bucket.timeouts += call.timed_out
                    bucket.http_errors += call.refused_by_status
            else:
                self.calls.add_unsent(call.system, name, call.error or "")

    def resources(self, at: At, cpu_percent: float, rss_bytes: float, network_bytes_s: float) -> None:
        """A sample of what this process uses; CPU in % of one core."""
        self.generator.add(cpu_percent, rss_bytes, network_bytes_s)
        self.timeline.at(at).use((cpu_percent, rss_bytes, network_bytes_s))

    def _count(self, bucket: Bucket, planned: Planned, outcome: Outcome) -> None:
        quality = self.warm if planned.sim_s >= self.settings.warm_up_s else self.cold
        quality.detection.add(planned, outcome)
        lag_ms = outcome.lag_ms
        response_ms = lag_ms + outcome.service_ms
        quality.response.add(response_ms)
        quality.service.add(outcome.service_ms)
        quality.lag.add(lag_ms)
        fate = fate_of(outcome)
        self.tally.end(fate)
        if fate is _COMPLETED or fate is _REFUSED:
            bucket.completed += 1
            if fate is _REFUSED:
                self.refusals.add(refusal_reason(outcome.bank.detail))
        else:
            quality.failed_response.add(response_ms)
            if fate is _UNKNOWN:
                bucket.unknown += 1
            else:
                bucket.failed += 1
        bucket.response.add(response_ms)
        bucket.lag.add(lag_ms)
        alert = outcome.alert
        bucket.scored += outcome.detector.score is not None
        if outcome.detector.error and outcome.detector.score is None:
            quality.unscored_response.add(response_ms)
        if planned.truth.label is _FRAUD:
            bucket.fraud_sent += 1
            bucket.fraud_alerted += alert
            bucket.count_fraud(planned.truth.typology, 1, alert)
        else:
            bucket.genuine += 1
            bucket.false_positives += alert

    def _count_columns(self, bucket: Bucket, block: ResultBlock) -> Sequence[Ended]:
        """Count what is genuine; returns the rest."""
        genuine, warm = block.label == GENUINE, block.sim_s >= self.settings.warm_up_s
        for quality, chosen in ((self.warm, genuine & warm), (self.cold, genuine & ~warm)):
            if chosen.all():
                self._count_genuine(quality, bucket, block)
            elif chosen.any():
                self._count_genuine(quality, bucket, take(block, chosen))
        return () if genuine.all() else take(block, ~genuine)

    def _count_genuine(self, quality: Quality, bucket: Bucket, block: ResultBlock) -> None:
        quality.detection.add_genuine(block)
        lag_ms, service_ms = block.lag_ms, block.service_ms
        response_us, lag_us = whole_us(lag_ms + service_ms), whole_us(lag_ms)
        quality.response.add_many(response_us)
        quality.service.add_many(whole_us(service_ms))
        quality.lag.add_many(lag_us)
        bucket.response.add_many(response_us)
        bucket.lag.add_many(lag_us)
        unknown = block.status == UNKNOWN
        failed = (block.status == FAILED) | ((block.status == SKIPPED) & block.score_failed)
        unknowns, failures = number_of(unknown), number_of(failed)
        if unknowns or failures:
            quality.failed_response.add_many(response_us[failed | unknown])
        if block.score_failed.any():
            quality.unscored_response.add_many(response_us[block.score_failed & np.isnan(block.score)])
        completed = len(block) - unknowns - failures
        self.tally.completed += completed
        refused = block.status == REFUSED
        self.tally.refused += number_of(refused)
        for row in block.row[refused].tolist():
            self.refusals.add(refusal_reason(block.notes.bank.get(row, "")))
        self.tally.failed += failures
        self.tally.unknown += unknowns
        bucket.completed += completed
        bucket.failed += failures
        bucket.unknown += unknowns
        bucket.scored += len(block) - number_of(np.isnan(block.score))
        bucket.genuine += len(block)
        bucket.false_positives += number_of(block.alert)

    # -- over processes ---------------------------------------------------------------------------

    def merge(self, state: Mapping[str, Any]) -> None:
        """Add a state from `to_state` of a process with the same settings."""
        self.tally.merge_state(state["tally"])
        self.warm.merge_state(state["warm"])
        self.cold.merge_state(state["cold"])
        self.calls.merge_state(state["calls"])
        self.timeline.merge_state(state["timeline"])
        self.drop_reasons.merge(state["drop_reasons"][0], state["drop_reasons"][1])
        self.refusals.merge(state["refusals"][0], state["refusals"][1])
        self.planned_fraud.merge(state["planned_fraud"][0], state["planned_fraud"][1])
        self.fraud_dropped += state["fraud_dropped"]
        self.generator.merge_state(state["generator"])
        if "books" in state:
            self.books.merge_state(state["books"])

    def to_state(self, timeline_from_s: float = 0.0, books: bool = True) -> dict[str, Any]:
        """Cumulative counts, JSON-able (string keys, lists).

        For frequent messages leave out the ``books`` and all timeline buckets that ended by
        wall second ``timeline_from_s``; a `Roster` puts such states together again.
        """
        state: dict[str, Any] = {
            "tally": self.tally.to_state(),
            "warm": self.warm.to_state(),
            "cold": self.cold.to_state(),
            "calls": self.calls.to_state(),
            "timeline": self.timeline.to_state(timeline_from_s),
            "drop_reasons": [list(self.drop_reasons.counts.items()), self.drop_reasons.other],
            "refusals": [list(self.refusals.counts.items()), self.refusals.other],
            "planned_fraud": [list(self.planned_fraud.counts.items()), self.planned_fraud.other],
            "fraud_dropped": self.fraud_dropped,
            "generator": self.generator.to_state(),
        }
        if books:
            state["books"] = self.books.to_state()
        return state


# -- Many processes' states, added up ---------------------------------------------------------------
#
# States are cumulative, so the newest of each process is all that counts, and a lost or
# doubled message does no harm.  Only the timeline comes in parts (buckets since some moment);
# the roster keeps each process's buckets and lays newer ones over them.
#
# A process that has left keeps its last state: what it counted did happen.
# Bound: ``max_processes``; states of further ones are refused and counted.


class Roster:
    """The newest state of each process."""

    def __init__(self, settings: MeasureSettings, max_processes: int = 1_000) -> None:
        self._settings = settings
        self._max_processes = max_processes
        self._states: dict[str, dict[str, Any]] = {}
        self._buckets: dict[str, dict[int, Any]] = {}
        self._changed: set[int] = set()
        self._timeline = Measures(settings).timeline
        self.refused = 0

    def update(self, process: str, state: Mapping[str, Any]) -> None:
        """Take a state made by `Measures.to_state`; the caller drops states older than the last."""
        known = self._states.get(process)
        if known is None and len(self._states) >= self._max_processes:
            self.refused += 1
            return
        interval_s = state["timeline"]["interval_s"]
        kept = self._buckets.setdefault(process, {})
        if known is not None and known["timeline"]["interval_s"] != interval_s:
            kept = self._buckets[process] = self._coarsened(known["timeline"]["interval_s"], kept, interval_s)
        new = dict(state["timeline"]["buckets"])
        kept.update(new)
        self._changed.update(new)
        books = state.get("books") or (known or {}).get("books")
        timeline = {"interval_s": interval_s, "buckets": []}
        self._states[process] = {**state, "timeline": timeline, **({"books": books} if books else {})}

    def in_flight(self, process: str) -> int:
        """Transactions that this process has counted as offered and not yet as ended."""
        tally = Tally()
        if process in self._states:
            tally.merge_state(self._states[process]["tally"])
        return tally.in_flight

    def total(self) -> Measures:
        """Everything added up.  Of the timeline only what changed since the last total is added up again."""
        merged = Measures(self._settings)
        for state in self._states.values():
            merged.merge(state)
        merged.timeline = self._timeline = self._renewed_timeline() or self._whole_timeline()
        self._changed.clear()
        return merged

    def drop_odd(self) -> dict[str, Exception]:
        """Forget processes whose states do not add up with those before them; returns why, by process."""
        odd: dict[str, Exception] = {}
        merged = Measures(self._settings)
        for process, state in list(self._states.items()):
            timeline = {**state["timeline"], "buckets": list(self._buckets[process].items())}
            before = merged.to_state()
            try:
                merged.merge({**state, "timeline": timeline})
            except Exception as error:
                odd[process] = error
                del self._states[process], self._buckets[process]
                merged = Measures(self._settings)
                merged.merge(before)
        self._timeline = Measures(self._settings).timeline
        self._changed = {index for kept in self._buckets.values() for index in kept}
        return odd

    def _renewed_timeline(self) -> Timeline | None:
        interval_s = self._timeline.interval_s
        if any(state["timeline"]["interval_s"] != interval_s for state in self._states.values()):
            return None
        return self._timeline.renewed(
            {
                index: [kept[index] for kept in self._buckets.values() if index in kept]
                for index in self._changed
            }
        )

    def _whole_timeline(self) -> Timeline:
        timeline = Measures(self._settings).timeline
        for process, kept in self._buckets.items():
            interval_s = self._states[process]["timeline"]["interval_s"]
            timeline.merge_state({"interval_s": interval_s, "buckets": list(kept.items())})
        return timeline

    def _coarsened(self, old_s: float, buckets: dict[int, Any], new_s: float) -> dict[int, Any]:
        timeline = Measures(self._settings).timeline
        timeline.merge_state({"interval_s": new_s, "buckets": []})
        timeline.merge_state({"interval_s": old_s, "buckets": list(buckets.items())})
        return {index: bucket.to_state() for index, bucket in timeline.buckets.items()}
