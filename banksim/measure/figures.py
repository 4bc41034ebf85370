"""The figures of a run as typed values: load, detection, money.

Shares are 0..1, latencies ms, amounts integer cents, ``*_sim_s`` simulated and ``*wall_s`` wall
seconds since simulated time began.  None (null) means "not defined", never 0.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Transactions:
    """What became of every arrival: offered = completed + failed + unknown + dropped + in flight."""

    offered: int
    sent: int
    completed: int
    refused: int
    failed: int
    unknown: int
    dropped: int
    in_flight: int
    drop_reasons: dict[str, int]
    error_share: float | None  # (failed + unknown) ÷ ended

    @property
    def ended(self) -> int:
        return self.completed + self.failed + self.unknown


@dataclass(frozen=True, slots=True)
class HistoryPlayed:
    """What bank and detector were told of the ``planned`` transactions of the days before the run.

    ``not_taken`` had no answer from one of them.
    """

    days: int
    planned: int
    transactions: int
    not_taken: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Rate:
    """Transactions per wall second: means over the run or, live, over the last seconds."""

    offered_tps: float | None
    achieved_tps: float | None
    peak_tps: float | None
    peak_over_s: float
    achieved_share: float | None


@dataclass(frozen=True, slots=True)
class Percentiles:
    """Latencies of one kind in ms: mean, percentiles, maximum."""

    count: int
    mean: float | None
    p50: float | None
    p95: float | None
    p99: float | None
    p999: float | None
    max: float | None


@dataclass(frozen=True, slots=True)
class ResponseParts:
    """Where response time goes, each part at its own percentile, in ms; None where there was no call."""

    own_queue_ms: float | None
    bank_ms: float | None
    detector_ms: float | None


@dataclass(frozen=True, slots=True)
class ResponseRanges:
    """Answered transactions by response time; failed and unanswered ones apart."""

    fast_ms: float
    slow_ms: float
    fast: int
    middle: int
    slow: int
    failed: int


@dataclass(frozen=True, slots=True)
class TimelinePoint:
    """One stretch of wall time: counts, percentiles and the generator's own use of the machine."""

    wall_s: float
    sim_s: float
    length_s: float
    offered: int
    sent: int
    completed: int
    failed: int
    unknown: int
    dropped: int
    scored: int
    genuine: int
    fraud_sent: int
    fraud_alerted: int
    false_positives: int
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    lag_p99_ms: float | None
    cpu_percent: float | None
    rss_bytes: float | None
    network_bytes_s: float | None
    resent: int = 0  # requests to a target beyond the first of a call
    timeouts: int = 0  # calls that took too long
    http_errors: int = 0  # calls that were answered with an error's status


@dataclass(frozen=True, slots=True)
class LoadRow:
    """Quality at one offered rate; ``enough``: whether its recall rests on enough fraud to be judged.

    ``mixed_recall`` is at the run's mix of those typologies that all rates with enough fraud have in common.
    """

    enough: bool
    offered_tps: float
    seconds: float
    ended: int
    fraud: int
    caught: int
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    coverage: float | None
    p50_ms: float | None
    p99_ms: float | None
    mixed_recall: float | None = None
    mixed_recall_low: float | None = None
    mixed_recall_high: float | None = None


@dataclass(frozen=True, slots=True)
class GeneratorUse:
    """What the load generator used of its machine; over workers, of the busiest process."""

    samples: int
    busy_samples: int
    cpu_percent_mean: float
    cpu_percent_max: float
    rss_bytes_max: float
    network_bytes_s_max: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Transactions the detector was asked about; no usable answer is no alert."""

    tp: int
    fp: int
    tn: int
    fn: int

    @property
    def fraud(self) -> int:
        return self.tp + self.fn

    @property
    def genuine(self) -> int:
        return self.fp + self.tn

    @property
    def alerts(self) -> int:
        return self.tp + self.fp


@dataclass(frozen=True, slots=True)
class DetectionFigures:
    """Figures of detection; all but the counts are None when no usable score came back.

    ``scored``: a usable score came back; ``missing``: asked, and none came; ``unasked``: never asked.
    ``by_bank``: decided by fraud rules of the bank, where the detector was not asked.
    ``harm``: judged steps that take money.  Of the money tried (see campaigns.py) the detector was asked
    about ``value_cents`` and alerted on ``caught_cents``.
    """

    recall: float | None
    recall_low: float | None
    recall_high: float | None
    on_time_recall: float | None
    campaigns: int
    campaigns_detected: int
    campaign_recall: float | None
    campaign_recall_low: float | None
    campaign_recall_high: float | None
    false_positive_rate: float | None
    false_positive_rate_low: float | None
    false_positive_rate_high: float | None
    false_positives_per_10000: float | None
    precision: float | None
    precision_low: float | None
    precision_high: float | None
    precision_adjusted: float | None
    prevalence: float
    measured_prevalence: float | None
    value_detection_rate: float | None
    value_cents: int
    caught_cents: int
    false_positive_cost_cents: int
    net_savings_cents: int | None
    alert_rate: float | None
    coverage: float | None
    scored: int
    missing: int
    unasked: int
    late: int
    f1: float | None
    mcc: float | None
    average_precision: float | None
    roc_auc: float | None
    confusion: Confusion
    harm: int = 0
    harm_recall: float | None = None
    harm_recall_low: float | None = None
    harm_recall_high: float | None = None
    tried_cents: int = 0
    lost_cents: int = 0
    stopped_cents: int = 0
    in_reach_cents: int = 0
    moved_cents: int = 0
    by_bank: int = 0

    @property
    def asked(self) -> int:
        return self.scored + self.missing

    @property
    def judged(self) -> int:
        return self.asked + self.by_bank


@dataclass(frozen=True, slots=True)
class GroupRow:
    """Transactions of one kind, and what the detector did with them."""

    transactions: int
    scored: int
    missing: int
    alerted: int
    value_cents: int


@dataclass(frozen=True, slots=True)
class TypologyRow(GroupRow):
    """Fraud of one typology; ``enough``: whether its recall rests on enough of it to be judged."""

    enough: bool
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    caught_cents: int


@dataclass(frozen=True, slots=True)
class DecoyRow(GroupRow):
    """Decoys of one kind: genuine, so an alert is a false positive."""

    false_positive_rate: float | None
    false_positive_rate_low: float | None
    false_positive_rate_high: float | None


@dataclass(frozen=True, slots=True)
class CampaignRow:
    """One campaign: how far it got before the first alert; money as in `DetectionFigures`."""

    campaign: str
    typology: str
    transactions: int
    alerted: int
    value_cents: int
    first_sim_s: float
    last_sim_s: float
    first_alert_sim_s: float | None
    time_to_detect_s: float | None
    lost_before_transactions: int
    lost_before_cents: int
    lost_cents: int = 0
    stopped_cents: int = 0
    in_reach_cents: int = 0
    moved_cents: int = 0


@dataclass(frozen=True, slots=True)
class Fraud:
    """What was attacked, by typology and by campaign; and the decoys.

    ``planned``: transactions that the campaigns begun so far were to make.
    """

    transactions: int
    planned: int
    planned_by_typology: dict[str, int]
    dropped: int
    by_typology: dict[str, TypologyRow]
    decoys: dict[str, DecoyRow]
    campaigns: list[CampaignRow]
    campaigns_total: int
    campaign_overflow_transactions: int
    #: Of every campaign, at the end of the run: its id, transactions, and how many raised an alert.
    campaign_counts: list[tuple[str, int, int]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class SliceRow:
    """Detection among customers of one persona, or in one channel."""

    transactions: int
    fraud: int
    caught: int
    recall: float | None
    recall_low: float | None
    recall_high: float | None
    genuine: int
    false_positives: int
    false_positive_rate: float | None
    false_positive_rate_low: float | None
    false_positive_rate_high: float | None
    unasked: int


@dataclass(frozen=True, slots=True)
class ScoreBar:
    """One bar of the score histogram."""

    low: float
    high: float
    fraud: int
    genuine: int


@dataclass(frozen=True, slots=True)
class SweepRow:
    """What one threshold on the score would have done."""

    threshold: float
    recall: float
    precision: float
    false_positive_rate: float
    flagged: int
    false_positives: int
    caught_cents: int


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """The score bins in use as parallel lists, lowest score first."""

    low: list[float]
    fraud: list[int]
    genuine: list[int]
    fraud_cents: list[int]


@dataclass(frozen=True, slots=True)
class CalibrationGroup:
    """Transactions with scores of one range."""

    low: float
    high: float
    scored: int
    fraud: int
    mean_score: float | None
    fraud_share: float | None


@dataclass(frozen=True, slots=True)
class Calibration:
    """``error`` is the expected calibration error."""

    error: float | None
    groups: list[CalibrationGroup]


@dataclass(frozen=True, slots=True)
class DriftStretch:
    """Genuine scores of one stretch of simulated time against the first stretch."""

    from_sim_s: float
    to_sim_s: float
    scored: int
    psi: float | None
    psi_by_chance: float | None


@dataclass(frozen=True, slots=True)
class Drift:
    """Population stability index (PSI) of genuine scores."""

    psi_max: float | None
    psi_last: float | None
    stretches: list[DriftStretch]


@dataclass(frozen=True, slots=True)
class ScoreHistogram:
    """Scores, as the live page shows them."""

    histogram: list[ScoreBar]


@dataclass(frozen=True, slots=True)
class Scores(ScoreHistogram):
    """Scores of the whole run, and what other thresholds would have done."""

    sweep: list[SweepRow]
    bins: ScoreTable
    calibration: Calibration
    drift: Drift


@dataclass(frozen=True, slots=True)
class WarmUp:
    """Figures of the warm-up, which detection and latency leave out."""

    sim_s: float
    detection: DetectionFigures
    latency_ms: dict[str, Percentiles]


# -- Money ------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class BalanceRow:
    """An account that does not hold what the acknowledged movements add up to."""

    account: str
    expected_low_cents: int
    expected_high_cents: int
    actual_cents: int
    difference_cents: int
    fault: str
    sim_s: float | None = None
    wall_s: float | None = None


@dataclass(frozen=True, slots=True)
class FaultSum:
    """All accounts with one kind of difference."""

    accounts: int
    cents: int


@dataclass(frozen=True, slots=True)
class BalanceTotal:
    """The sum over all accounts that were read."""

    expected_low_cents: int
    expected_high_cents: int
    actual_cents: int
    accounts: int | None = None


@dataclass(frozen=True, slots=True)
class Reconciliation:
    """Balances of the bank, after the run, against what it acknowledged.  See books.py."""

    verdict: str
    reason: str
    balanced: bool | None
    accounts: int
    unread: int
    tolerated: int
    differing: int
    difference_cents: int
    by_fault: dict[str, FaultSum]
    total: BalanceTotal
    differences: list[BalanceRow]
    overflow: int
    gross_cents: int = 0  # without their signs: money in the wrong place cancels out above


@dataclass(frozen=True, slots=True)
class Invariant:
    """Balances that were read while the run went on."""

    rounds: int
    readings: int
    unread: int
    late: int
    violations: int
    total: BalanceTotal | None
    rows: list[BalanceRow]
