"""The values in which a run's figures are published, and their form as JSON.

results.json, /api/results.json, the pages' stream, their JSON Schemas and the table in
docs/reading-results.md are all made from these classes.  Shares are 0..1, latencies ms,
amounts integer cents of ``run.currency``, ``*_sim_s`` simulated and ``*wall_s`` wall seconds since
simulated time began.  None (null) means "not defined", never 0.

``SCHEMA`` is raised when a key changes its meaning or goes away; new keys may appear.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass, field
from typing import Any, Literal, TypeVar

from pydantic import TypeAdapter, ValidationError

from banksim.measure import figures, kafka
from banksim.measure.contest import ContestScore
from banksim.measure.counts import CallRow, CompletionFigures, ErrorRow, NotOpened, OtherUsers, SingleCall
from banksim.measure.figures import (
    DetectionFigures,
    Fraud,
    GeneratorUse,
    Invariant,
    LoadRow,
    Percentiles,
    Rate,
    Reconciliation,
    ResponseParts,
    ResponseRanges,
    ScoreHistogram,
    Scores,
    SliceRow,
    TimelinePoint,
    Transactions,
    WarmUp,
)
from banksim.measure.kafka import Kafka
from banksim.measure.trends import GrowthFigures

SCHEMA = 2

# -- The run itself ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class ScenarioInfo:
    """Which scenario; ``hash`` is of its content."""

    name: str
    title: str = ""
    hash: str | None = None
    file: str | None = None
    start_at: str | None = None


@dataclass(frozen=True, slots=True)
class Circuit:
    """The circuit breaker of one target."""

    system: str
    state: str
    since: str | None
    reason: str
    opened: int
    open_s: float
    refused: int


@dataclass(frozen=True, slots=True)
class FaultMade:
    """A fault that the scenario made in the stand-ins; moments in simulated seconds."""

    name: str
    target: str
    kind: str
    share: float
    start_s: float
    end_s: float
    begun: bool
    affected: int | None


@dataclass(frozen=True, slots=True)
class Feedback:
    """Labels that the detector was sent afterwards: of fraud and of false positives, accepted and refused.

    ``later``: due after the end of the run; ``not_sent``: due, and the run ended first; ``not_kept``: beyond
    the bound.
    """

    fraud: int
    false_positives: int
    accepted: int
    refused: int
    later: int
    not_sent: int
    not_kept: int


@dataclass(frozen=True, slots=True)
class LogFile:
    """The transaction log: lines written and lost."""

    file: str
    lines: int
    lost: int
    files: list[str] | None = None


@dataclass(frozen=True, slots=True)
class DetectorStats:
    """The detector's own statistics of this run."""

    processed: float | None
    alerts: float | None
    alerts_listed: int | None
    average_processing_time_ms: float | None
    alert_rate: float | None
    fraud_detection_rate: float | None
    false_positive_rate: float | None
    model_version: str | None


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """One worker's part; ``ended`` is "final" (all its figures are in) or "lost"."""

    number: int
    host: str
    pid: int
    ended: str
    left: bool
    joined_wall_s: float
    losses: int
    gap_s: float
    not_offered: float
    in_flight: int


@dataclass(frozen=True, slots=True)
class CapacityStep:
    """One rate that was tried."""

    tps: float
    offered_tps: float
    achieved_tps: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    errors: float | None
    dropped: int
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    false_positive_rate: float | None
    coverage: float | None
    fraud: int
    held: bool
    reason: str
    #: Recall at the run's mix of typologies, so that steps can be compared.
    mixed_recall: float | None = None
    mixed_recall_low: float | None = None
    mixed_recall_high: float | None = None
    #: Whether it repeats the step before, which did not hold.
    repeats: bool = False


@dataclass(frozen=True, slots=True)
class CapacityFigures:
    """The highest rate that held, the lowest that did not, and every step.

    While the search goes on: the rate under test, for how many seconds so far, and how many seconds
    it will still take (None before a rate has failed).
    """

    found_tps: float | None
    failed_tps: float | None
    finished: bool
    hold_s: float
    until: list[str]
    steps: list[CapacityStep]
    testing_tps: float | None = None
    testing_s: float | None = None
    left_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """What became of everything besides the counts."""

    circuits: list[Circuit] = field(default_factory=list)
    faults: list[FaultMade] = field(default_factory=list)
    onboarding: dict[str, int] | None = None
    not_opened: NotOpened | None = None
    fraud_not_made: dict[str, int] | None = None
    feedback: Feedback | None = None
    transaction_log: LogFile | None = None
    detector: DetectorStats | None = None
    capacity: CapacityFigures | None = None
    workers: list[WorkerRow] = field(default_factory=list)
    history: figures.HistoryPlayed | None = None


@dataclass(frozen=True, slots=True)
class RunInfo(Account):
    """Who and what the run was; enough to repeat it."""

    run_id: str
    scenario: ScenarioInfo
    mode: str
    currency: str
    wall_s: float
    simulated_s: float
    end: str
    seed: int | None = None
    flow: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    speed: float | None = None
    customers: int | None = None
    targets: dict[str, str] = field(default_factory=dict)
    adapters: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str | int | None] = field(default_factory=dict)
    #: Wall seconds in which simulated time stood still; rates are means over the others.
    paused_s: float = 0.0
    beside: OtherUsers | None = None


@dataclass(frozen=True, slots=True)
class Window:
    """A stretch of simulated time."""

    start_s: float
    end_s: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Planned:
    """What the scenario asked for."""

    transactions: int
    duration_s: float
    attacks: list[Window] = field(default_factory=list)
    business_hours: list[Window] = field(default_factory=list)
    fraud_by_typology: dict[str, int] = field(default_factory=dict)


# -- Of a run while it goes on ----------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FeedItem:
    """One transaction of the feed; ``seq`` numbers those of a run from 0, ``amount`` is decimal text.

    ``campaign`` is the attack that it is a step of, ``account`` the customer's number; ``bank_detail`` and
    ``detector_error`` are texts of answers, empty where all is well.
    """

    seq: int
    transaction_id: str
    sim_time: str
    customer: str
    kind: str
    amount: str
    currency: str
    merchant: str
    channel: str
    score: float | None
    decision: str
    reasons: list[str]
    truth: str
    typology: str
    bank: str
    response_ms: float
    ended_at_ms: float
    campaign: str = ""
    account: int | None = None
    bank_detail: str = ""
    bank_ms: float | None = None
    detector_ms: float | None = None
    detector_error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetRow:
    """How one target does, for a status page; ``ok`` and ``latency_ms`` are None before the first call."""

    name: str
    url: str
    ok: bool | None = None
    detail: str = ""
    latency_ms: float | None = None


@dataclass(frozen=True, slots=True)
class WorkerShown:
    """One worker for a status page; ``share`` of the customers, 0..1."""

    number: int
    host: str
    pid: int
    standing: str
    share: float = 0.0
    cpu_percent: float | None = None
    rss_bytes: float | None = None


# -- The verdict ------------------------------------------------------------------------------------

Kind = Literal["pass", "warn", "fail", "none"]


@dataclass(frozen=True, slots=True)
class ThresholdRow:
    """One threshold; ``value`` is in the metric's base unit."""

    expression: str
    metric: str
    value: float | None
    measured: str
    bound: str
    passed: bool
    reason: str


@dataclass(frozen=True, slots=True)
class Word:
    """The verdict on one subject: Load, Bank, Money or Detector.  ``kind`` "none" is "not judged"."""

    subject: str
    kind: Kind
    word: str
    sentence: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """``overall`` is PASSED, FAILED, STOPPED or NOT JUDGED; while the run goes on, RUNNING."""

    overall: str
    kind: Kind
    sentence: str
    words: list[Word]


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure as text, with a word for it; ``goal`` says what it is held against."""

    key: str
    label: str
    value: str
    note: str
    kind: Kind
    word: str
    goal: str


@dataclass(frozen=True, slots=True)
class FunnelStep:
    """One step from offered to caught; ``part`` is its share of the offered transactions."""

    key: str
    label: str
    value: str
    note: str
    part: float


# -- Everything -------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The live picture of a run."""

    transactions: Transactions
    rate: Rate
    fraud: Fraud
    detection: DetectionFigures
    latency_ms: dict[str, Percentiles]
    response_parts: dict[str, ResponseParts]
    response_ranges: ResponseRanges
    calls: list[CallRow]
    errors: list[ErrorRow]
    scores: ScoreHistogram
    verdict: Verdict
    tiles: list[Tile]
    funnel: list[FunnelStep]
    capacity: CapacityFigures | None = None


@dataclass(frozen=True, slots=True)
class Results:
    """Everything known about a run: results.json."""

    schema: int
    run: RunInfo
    planned: Planned | None
    verdict: Verdict
    thresholds: list[ThresholdRow]
    transactions: Transactions
    rate: Rate
    fraud: Fraud
    detection: DetectionFigures
    detection_by: dict[str, dict[str, SliceRow]]
    latency_ms: dict[str, Percentiles]
    latency_intervals_ms: dict[str, dict[str, tuple[float, float] | None]]
    response_parts: dict[str, ResponseParts]
    response_ranges: ResponseRanges
    warm_up: WarmUp | None
    calls: list[CallRow]
    errors: list[ErrorRow]
    slowest_calls: list[SingleCall]
    failed_calls: list[SingleCall]
    scores: Scores
    timeline: list[TimelinePoint]
    quality_against_load: list[LoadRow]
    generator: GeneratorUse | None
    reconciliation: Reconciliation | None
    invariant: Invariant | None
    kafka: Kafka | None
    tiles: list[Tile]
    funnel: list[FunnelStep]
    limits: list[str]
    growth: dict[str, GrowthFigures] = field(default_factory=dict)
    contest: ContestScore | None = None
    #: Why the bank refused: funds, limit, compliance, fraud, other.
    refusals: dict[str, int] = field(default_factory=dict)
    completions: CompletionFigures | None = None
    partial: bool = False
    made_at: str | None = None


# -- As JSON, and back ------------------------------------------------------------------------------

Value = TypeVar("Value")


_adapters: dict[Any, TypeAdapter[Any]] = {}


def _adapter(kind: Any) -> TypeAdapter[Any]:
    found = _adapters.get(kind)
    if found is None:
        found = _adapters[kind] = TypeAdapter(kind)
    return found


def encode(value: object) -> Any:
    """Plain dictionaries, lists and numbers of a value of these classes."""
    return _adapter(type(value)).dump_python(value, mode="json")


def decode(kind: type[Value], data: object) -> Value:
    """A value of ``kind`` from what `encode` gave.  Raises ValueError naming the first key that is wrong."""
    try:
        made: Value = _adapter(kind).validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{place}: {first['msg']}") from None
    return made


def json_schema(kind: type[object], name: str) -> dict[str, Any]:
    """The JSON Schema of ``kind``, as kept in web_ext/schemas under ``name``."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": f"{name}.json"}
    return head | _adapter(kind).json_schema(mode="serialization") | {"title": name}


def reference_table() -> str:
    """The classes as a Markdown table, which docs/reading-results.md holds word for word."""
    lines = ["| Value | Meaning | Keys |", "|---|---|---|"]
    kinds: list[type[Any]] = [Snapshot, *_parts_of(Results)]
    for kind in kinds:
        meaning = " ".join((kind.__doc__ or "").split())
        keys = ", ".join(f"`{one.name}`" for one in dataclasses.fields(kind))
        lines.append(f"| {kind.__name__} | {meaning} | {keys} |")
    return "\n".join(lines) + "\n"


def _parts_of(kind: type[Any]) -> list[type[Any]]:
    """``kind`` and every class that its fields are made of, each once."""
    known = {**vars(figures), **vars(kafka), **globals()}
    found = [kind]
    for one in found:  # grows while it is read
        words = {word for part in dataclasses.fields(one) for word in re.findall(r"\w+", str(part.type))}
        found += [
            known[word]
            for word in sorted(words)
            if dataclasses.is_dataclass(known.get(word)) and known[word] not in found
        ]
    return found
