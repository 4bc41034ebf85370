"""What became of the events a run published, and of the decisions that came back for them.

    offered = published + dropped + unavailable          (unavailable: no broker at the start)
    published = delivered + failed + waiting             (waiting: 0 after the end)
    decisions received = matched + repeated + unmatched + unreadable

`unmatched` decisions are about transactions this run did not publish (or that were forgotten,
which is counted): another program's traffic on the same topic, which is left out of the figures.

Recall is over the fraud whose event the broker took: no decision is no alert.  Latency of a
decision runs from the publishing of its transaction to our reading it.

Bounds: MAX_PENDING transactions are remembered, the oldest forgotten first.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from banksim.measure.counts import BoundedCounts
from banksim.measure.figures import Confusion, Percentiles
from banksim.measure.latency import LatencyHistogram
from banksim.measure.scores import share, wilson
from banksim.model import Decision, ScoreReply, Truth


@dataclass(frozen=True, slots=True)
class EventCounts:
    """Events by what became of them."""

    offered: int
    published: int
    delivered: int
    failed: int
    dropped: int
    unavailable: int


@dataclass(frozen=True, slots=True)
class KafkaError:
    """One error of the broker or the client and how often it came."""

    error: str
    count: int


@dataclass(frozen=True, slots=True)
class KafkaDecisions:
    """Decisions that came back by topic."""

    received: int
    matched: int
    repeated: int
    unmatched: int
    unreadable: int
    no_verdict: int
    forgotten: int
    undecided: int
    latency_ms: Percentiles
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    precision: float | None
    false_positive_rate: float | None
    confusion: Confusion | None


@dataclass(frozen=True, slots=True)
class KafkaAlerts:
    """Alerts that came back by topic."""

    received: int
    matched: int


@dataclass(frozen=True, slots=True)
class Kafka(EventCounts):
    """Events published, and decisions that came back for them."""

    not_published: int
    waiting: int
    acknowledged_ms: Percentiles
    topics: dict[str, EventCounts]
    errors: list[KafkaError]
    decisions: KafkaDecisions
    alerts: KafkaAlerts
    enabled: bool = False
    servers: str = ""
    format: str = ""
    detail: str = ""


MAX_PENDING = 50_000
MAX_ERRORS = 20

_EVENTS = ("offered", "published", "delivered", "failed", "dropped", "unavailable")
_DECISIONS = ("received", "matched", "repeated", "unmatched", "unreadable", "no_verdict", "forgotten")
_JUDGED = ("delivered_fraud", "delivered_genuine", "fraud_alerted", "genuine_alerted")
_ALERTS = ("alerts_received", "alerts_matched")
_COUNTS = (*_EVENTS, *_DECISIONS, *_JUDGED, *_ALERTS)


class _Pending:
    """A published transaction: whether it is fraud, when it was published, whether it was decided."""

    __slots__ = ("at_s", "decided", "is_fraud")

    def __init__(self, is_fraud: bool, at_s: float) -> None:
        self.is_fraud = is_fraud
        self.at_s = at_s
        self.decided = False


class StreamFigures:
    """Counts of events and decisions.  Everything but what is pending merges across processes."""

    def __init__(self, max_pending: int = MAX_PENDING) -> None:
        self.counts: Counter[str] = Counter()
        self.topics: dict[str, Counter[str]] = {}
        self.errors: BoundedCounts[str] = BoundedCounts(MAX_ERRORS)
        self.acknowledged_ms = LatencyHistogram()
        self.decided_ms = LatencyHistogram()
        self._max_pending = max_pending
        self._pending: OrderedDict[str, _Pending] = OrderedDict()

    # -- events ---------------------------------------------------------------------------

    def offered(self, topic: str, fate: str) -> None:
        """An event came up; ``fate``: "published" (taken for sending), "dropped" or "unavailable"."""
        for name in ("offered", fate):
            self._count(topic, name)

    def expect(self, transaction_id: str, truth: Truth, at_s: float) -> None:
        """A transaction's event was published at ``at_s`` (monotonic seconds); a decision may come."""
        self._pending[transaction_id] = _Pending(truth.is_fraud, at_s)
        if len(self._pending) > self._max_pending:
            self._pending.popitem(last=False)
            self.counts["forgotten"] += 1

    def delivered(self, topic: str, key: str, latency_ms: float) -> None:
        """The broker acknowledged an event."""
        self._count(topic, "delivered")
        self.acknowledged_ms.add(latency_ms)
        entry = self._pending.get(key)
        if entry is not None:
            self.counts["delivered_fraud" if entry.is_fraud else "delivered_genuine"] += 1

    def failed(self, topic: str, key: str, error: str) -> None:
        """An event did not reach the broker."""
        self._count(topic, "failed")
        self.errors.add(error)
        self._pending.pop(key, None)

    # -- decisions ------------------------------------------------------------------------

    def decided(self, transaction_id: str, reply: ScoreReply, at_s: float) -> None:
        """A decision was read at ``at_s`` (monotonic seconds)."""
        self.counts["received"] += 1
        entry = self._pending.get(transaction_id)
        if entry is None:
            self.counts["unmatched"] += 1
        elif entry.decided:
            self.counts["repeated"] += 1
        else:
            entry.decided = True
            self.counts["matched"] += 1
            self.decided_ms.add((at_s - entry.at_s) * 1000.0)
            if reply.decision is Decision.NONE:
                self.counts["no_verdict"] += 1
            elif reply.decision.is_alert:
                self.counts["fraud_alerted" if entry.is_fraud else "genuine_alerted"] += 1

    def unreadable(self) -> None:
        """A message on the decision topic that is no decision."""
        self.counts["received"] += 1
        self.counts["unreadable"] += 1

    def alert(self, transaction_ids: tuple[str, ...]) -> None:
        """An alert about these transactions was read."""
        self.counts["alerts_received"] += 1
        self.counts["alerts_matched"] += any(one in self._pending for one in transaction_ids)

    # -- results --------------------------------------------------------------------------

    @property
    def undecided(self) -> int:
        """Transactions the broker took and that have no decision so far."""
        return self.counts["delivered_fraud"] + self.counts["delivered_genuine"] - self.counts["matched"]

    def results(self) -> Kafka:
        """For results.json: counts, and latencies in ms; None is "not defined"."""
        count = self.counts
        events: Any = {name: count[name] for name in _EVENTS}
        return Kafka(
            **events,
            not_published=count["failed"] + count["dropped"] + count["unavailable"],
            waiting=count["published"] - count["delivered"] - count["failed"],
            acknowledged_ms=self.acknowledged_ms.summary(),
            topics={
                topic: EventCounts(*(counts[name] for name in _EVENTS))
                for topic, counts in sorted(self.topics.items())
            },
            errors=[KafkaError(text, number) for text, number in self.errors.most_common()],
            decisions=self._decision_results(),
            alerts=KafkaAlerts(count["alerts_received"], count["alerts_matched"]),
        )

    def _decision_results(self) -> KafkaDecisions:
        count = self.counts
        fraud, alerted = count["delivered_fraud"], count["fraud_alerted"]
        genuine, false_positives = count["delivered_genuine"], count["genuine_alerted"]
        low, high = wilson(alerted, fraud) or (None, None)
        # Without a single decision there is no reader of the topic, which is not a recall of 0.
        anyone = count["matched"] > 0
        decided = Confusion(alerted, false_positives, genuine - false_positives, fraud - alerted)
        received: Any = {name: count[name] for name in _DECISIONS}
        return KafkaDecisions(
            **received,
            undecided=max(0, self.undecided),
            latency_ms=self.decided_ms.summary(),
            recall=share(alerted, fraud) if anyone else None,
            recall_low=low if anyone else None,
            recall_high=high if anyone else None,
            precision=share(alerted, alerted + false_positives),
            false_positive_rate=share(false_positives, genuine) if anyone else None,
            confusion=decided if anyone else None,
        )

    def to_state(self) -> dict[str, Any]:
        """JSON-able, without what is pending."""
        return {
            "counts": dict(self.counts),
            "topics": {topic: dict(counts) for topic, counts in self.topics.items()},
            "errors": self.errors.most_common(),
            "other_errors": self.errors.other,
            "acknowledged_ms": self.acknowledged_ms.to_state(),
            "decided_ms": self.decided_ms.to_state(),
        }

    def merge_state(self, state: Mapping[str, Any]) -> None:
        """Add another process's counts to these."""
        self.counts.update(state["counts"])
        for topic, counts in state["topics"].items():
            self.topics.setdefault(topic, Counter()).update(counts)
        self.errors.merge(((text, number) for text, number in state["errors"]), state["other_errors"])
        self.acknowledged_ms.merge_state(state["acknowledged_ms"])
        self.decided_ms.merge_state(state["decided_ms"])

    def _count(self, topic: str, name: str) -> None:
        self.counts[name] += 1
        self.topics.setdefault(topic, Counter())[name] += 1
