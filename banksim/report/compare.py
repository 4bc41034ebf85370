"""Two runs side by side: what differs, and is it more than chance?

Every figure that is a share or a percentile has a 95 % interval of its own (Wilson; order
statistics).  The interval of a difference follows from the two by the square-and-add rule
(Zou & Donner's MOVER; for shares it is Newcombe's method 10):

    d = b − a
    low  = d − √((b − b_low)² + (a_high − a)²)
    high = d + √((b_high − b)² + (a − a_low)²)

Transactions of one campaign are not independent, so recall counts as if it rested on fewer: its
number of frauds is divided by the design effect between campaigns.  Runs of one scenario (same
content hash) with one seed send the same fraud; recall is then paired by campaign.

A figure is judged when its gate was asked for and it has an interval.  It got worse when it moved in
its bad direction by more than its tolerance, and by more than chance: its p-value passes Holm's test
over all judged figures at 5 %.  A judged figure that B no longer has counts as worse; every other figure
is shown and never judged.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from enum import StrEnum
from math import erfc, sqrt
from typing import Literal

from banksim.measure.figures import TypologyRow
from banksim.measure.results import Results, RunInfo
from banksim.measure.scores import Z_95, Clusters, student_t_95, wilson

# -- Recall paired by campaign: both runs attacked with the same campaigns, so compare like with like ---
#
# With m campaigns that both runs know, n transactions and a alerts in each, the difference of
# the two recalls is a difference of ratios.  Its variance is linearised per campaign (Taylor;
# the cluster is the campaign), and the interval uses Student's t with m − 1 degrees of freedom:
#
#     e_i = (b_i − r_B · n_Bi) / N_B − (a_i − r_A · n_Ai) / N_A
#     var = m / (m − 1) · Σ e_i²
#
# With fewer than ten shared campaigns, or when the shared ones hold less than 90 % of the fraud, the
# runs are compared as independent.


MIN_CAMPAIGNS = 10
MIN_SHARE_OF_FRAUD = 0.9


def paired_recall(a: Results, b: Results) -> tuple[float, float, float] | None:
    """(difference, low, high) of recall, b − a, over shared campaigns; None when there are too few.

    Campaigns' transactions include those the detector was never asked about, so this is only used
    when there were none.
    """
    if a.detection.unasked or b.detection.unasked:
        return None
    rows_a, rows_b = (
        {name: (tried, caught) for name, tried, caught in one.fraud.campaign_counts} for one in (a, b)
    )
    shared = sorted(rows_a.keys() & rows_b.keys())
    if len(shared) < MIN_CAMPAIGNS:
        return None
    n_a, n_b = (sum(rows[name][0] for name in shared) for rows in (rows_a, rows_b))
    for results, sent in ((a, n_a), (b, n_b)):
        if sent < MIN_SHARE_OF_FRAUD * results.fraud.transactions:
            return None
    recall_a, recall_b = (
        sum(rows[name][1] for name in shared) / n for rows, n in ((rows_a, n_a), (rows_b, n_b))
    )
    squares = 0.0
    for name in shared:
        (sent_a, caught_a), (sent_b, caught_b) = rows_a[name], rows_b[name]
        residual = (caught_b - recall_b * sent_b) / n_b - (caught_a - recall_a * sent_a) / n_a
        squares += residual * residual
    half = student_t_95(len(shared) - 1) * sqrt(squares * len(shared) / (len(shared) - 1))
    moved = recall_b - recall_a
    return moved, moved - half, moved + half


def clustered(results: Results) -> Value | None:
    """Recall with an interval that honours campaigns (`Clusters.interval`)."""
    found = results.detection
    clusters = Clusters()
    for _, tried, caught in results.fraud.campaign_counts:
        clusters.add(tried, caught)
    if found.recall is None or found.unasked or not clusters.count:
        return _detection("recall", True)(results)
    low, high = clusters.interval() or (None, None)
    return Value(found.recall, low, high)


# -- Which figures two runs are compared by, which way is better, and how much worse is tolerated ---
#
# Tolerances keep machine noise from failing a pipeline; they are absolute for shares and counts,
# relative for times and money, and times have an absolute floor besides.


Unit = Literal["share", "per_10000", "ms", "money", "index", "rate"]


@dataclass(frozen=True, slots=True)
class Value:
    """A figure with the ends of its 95 % interval, if it has one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """``tolerance`` is in the figure's unit, or a share of A's value when ``relative``.

    ``gate``: the name under which it can be judged; empty for a figure that is only shown.
    """

    key: str
    label: str
    unit: Unit
    higher_is_better: bool
    tolerance: float
    group: str
    read: Callable[[Results], Value | None]
    gate: str = ""
    relative: bool = False
    floor: float = 0.0

    def tolerance_at(self, before: float) -> float:
        """The tolerance in the figure's own unit."""
        return max(self.floor, self.tolerance * abs(before) if self.relative else self.tolerance)


Read = Callable[[Results], Value | None]


def _detection(key: str, ends: bool = False) -> Read:
    def read(results: Results) -> Value | None:
        found = results.detection
        value = getattr(found, key)
        if value is None:
            return None
        interval = (getattr(found, f"{key}{end}") for end in ("_low", "_high")) if ends else ()
        return Value(value, *interval)

    return read


def _false_positives(results: Results) -> Value | None:
    found = results.detection
    confusion = found.confusion
    rate = _share(confusion.fp, confusion.genuine) if found.scored or found.by_bank else None
    if rate is None or rate.low is None or rate.high is None:
        return None
    return Value(rate.value * 10_000, rate.low * 10_000, rate.high * 10_000)


def _coverage(results: Results) -> Value | None:
    found = results.detection
    if found.coverage is None:
        return None
    return _share(found.scored, found.scored + found.missing + found.unasked)


def _errors(results: Results) -> Value | None:
    ended = results.transactions
    bad = ended.failed + ended.unknown
    return _share(bad, bad + ended.completed)


def _achieved(results: Results) -> Value | None:
    share = results.rate.achieved_share
    return None if share is None else Value(share)


def _latency(series: str, percent: str) -> Read:
    def read(results: Results) -> Value | None:
        found = results.latency_ms.get(series)
        value = getattr(found, percent) if found is not None else None
        if value is None:
            return None
        ends = results.latency_intervals_ms.get(series, {}).get(percent)
        return Value(value, *ends) if ends else Value(value)

    return read


def _share(part: int, whole: int) -> Value | None:
    ends = wilson(part, whole)
    return Value(part / whole, *ends) if ends else None


def _money(results: Results) -> Value | None:
    """Accounts that differ from what the bank acknowledged."""
    found = results.reconciliation
    return Value(found.differing) if found is not None and found.balanced is not None else None


FALSE_POSITIVES = "False positives per 10 000 genuine"


def _shares() -> list[Figure]:
    recall, precision = _detection("campaign_recall", True), _detection("precision", True)
    auc, area = _detection("roc_auc"), _detection("average_precision")
    value, savings = _detection("value_detection_rate"), _detection("net_savings_cents")
    of = "Detection"
    return [
        Figure("recall", "Recall", "share", True, 0.01, of, clustered, "recall"),
        Figure("campaign_recall", "Recall by campaign", "share", True, 0.05, of, recall, "campaign_recall"),
        Figure("precision", "Precision", "share", True, 0.02, of, precision, "precision"),
        Figure(
            "false_positives_per_10000",
            FALSE_POSITIVES,
            "per_10000",
            False,
            10.0,
            of,
            _false_positives,
            "false_positives",
        ),
        Figure("coverage", "Coverage", "share", True, 0.005, of, _coverage, "coverage"),
        Figure("roc_auc", "ROC-AUC", "index", True, 0.01, of, auc),
        Figure("average_precision", "Average precision", "index", True, 0.02, of, area),
        Figure("value_detection_rate", "Value detection rate", "share", True, 0.02, of, value),
        Figure("net_savings_cents", "Net savings", "money", True, 0.05, of, savings, relative=True),
        Figure("errors", "Failed or unanswered", "share", False, 0.001, "Load", _errors, "errors"),
        Figure("achieved_share", "Sent of what was due", "share", True, 0.01, "Load", _achieved),
        Figure("money", "Accounts that differ", "index", False, 0.0, "Money", _money, "money"),
    ]


#: Differences of a few milliseconds are the machine's, whatever their share.
FLOOR_MS = 5.0
#: Times are judged only where the generator started transactions this punctually (lag p99) in both runs.
PUNCTUAL_MS = 50.0


def _times() -> list[Figure]:
    names = {
        "response": "Response time",
        "service": "Service time",
        "nexum": "Calls to nexum",
        "bastion": "Calls to bastion",
    }
    return [
        Figure(
            f"{series}_{percent}",
            f"{label} {percent}",
            "ms",
            False,
            0.1,
            "Times",
            _latency(series, percent),
            # The service time is part of the response time; p99 rests on a hundredth of the run.
            "latency" if series != "service" and percent != "p99" else "",
            relative=True,
            floor=FLOOR_MS,
        )
        for series, label in names.items()
        for percent in ("p50", "p95", "p99")
    ]


FIGURES: tuple[Figure, ...] = (*_shares(), *_times())


GATES = tuple(dict.fromkeys(figure.gate for figure in FIGURES if figure.gate))
#: Judged unless other gates are asked for: what a pipeline can be left to fail on.
DEFAULT_GATES = ("recall", "coverage", "errors", "money")
#: Chance of one false regression among all judged figures.
ALPHA = 0.05


class Change(StrEnum):
    """What became of a figure from A to B."""

    WORSE = "worse"
    BETTER = "better"
    SAME = "no clear change"
    SHOWN = "no interval"
    LOST = "no longer measured"
    NEW = "newly measured"
    ABSENT = "not measured"


@dataclass(frozen=True, slots=True)
class Difference:
    """One figure of both runs; ``low`` and ``high`` enclose ``difference`` (b − a), None if unknown."""

    figure: Figure
    a: float | None
    b: float | None
    difference: float | None
    low: float | None
    high: float | None
    change: Change
    paired: bool = False
    judged: bool = False

    @property
    def regressed(self) -> bool:
        return self.judged and self.change in (Change.WORSE, Change.LOST)

    @property
    def p_value(self) -> float:
        """Chance of such a difference without a cause, from the end of the interval that faces 0."""
        if self.difference is None or self.low is None or self.high is None:
            return 1.0
        half = self.difference - self.low if self.difference > 0 else self.high - self.difference
        return erfc(abs(self.difference) / half * Z_95 / sqrt(2)) if half > 0 else 0.0


@dataclass(frozen=True, slots=True)
class Comparison:
    """``remarks`` say what limits the comparison of runs ``a`` and ``b``."""

    a: RunInfo
    b: RunInfo
    same_plan: bool
    headline: list[Difference]
    typologies: list[Difference]
    remarks: list[str]

    @property
    def regressions(self) -> list[Difference]:
        return [row for row in self.headline if row.regressed]


def compare_runs(a: Results, b: Results, gates: Collection[str] = DEFAULT_GATES) -> Comparison:
    """Compare the results of two runs; b is the newer one."""
    same_plan = _identity(a) == _identity(b) and None not in _identity(a)
    rows = [difference(figure, figure.read(a), figure.read(b)) for figure in FIGURES]
    if same_plan and (paired := paired_recall(a, b)) is not None:
        rows = [_with_pairs(row, paired) if row.figure.key == "recall" else row for row in rows]
    late = [name for name, one in (("A", a), ("B", b)) if (_p99(one, "lag") or 0.0) >= PUNCTUAL_MS]
    asked = set(gates) - ({"latency"} if late else set())
    rows = judged([replace(row, judged=row.figure.gate in asked) for row in rows])
    remarks = _remarks(a, b, same_plan, rows)
    if late and "latency" in gates:
        remarks.append(f"The generator was late in run {' and '.join(late)}: times are shown, not judged.")
    return Comparison(a.run, b.run, same_plan, rows, _by_typology(a, b), remarks)


def judged(rows: list[Difference]) -> list[Difference]:
    """The same rows; those to be judged differ only where Holm's test over all of them says so."""
    tested = sorted((row for row in rows if row.judged and row.low is not None), key=lambda row: row.p_value)
    real: set[str] = set()
    for place, row in enumerate(tested):
        if row.p_value > ALPHA / (len(tested) - place):
            break
        real.add(row.figure.key)
    chance = {row.figure.key for row in tested} - real
    return [
        replace(row, change=Change.SAME)
        if row.figure.key in chance and row.change in (Change.WORSE, Change.BETTER)
        else row
        for row in rows
    ]


def _p99(results: Results, series: str) -> float | None:
    found = results.latency_ms.get(series)
    return found.p99 if found is not None else None


def difference(figure: Figure, a: Value | None, b: Value | None) -> Difference:
    """One figure of both runs, taken as independent."""
    if a is None or b is None:
        change = Change.ABSENT if a is b else Change.LOST if b is None else Change.NEW
        before, after = (value.value if value is not None else None for value in (a, b))
        return Difference(figure, before, after, None, None, None, change)
    moved = b.value - a.value
    low = high = None
    if a.low is not None and a.high is not None and b.low is not None and b.high is not None:
        low = moved - sqrt((b.value - b.low) ** 2 + (a.high - a.value) ** 2)
        high = moved + sqrt((b.high - b.value) ** 2 + (a.value - a.low) ** 2)
    return Difference(figure, a.value, b.value, moved, low, high, _change(figure, a.value, moved, low, high))


def _change(figure: Figure, before: float, moved: float, low: float | None, high: float | None) -> Change:
    if abs(moved) <= figure.tolerance_at(before) or not moved:
        return Change.SAME
    if low is None or high is None:
        if figure.gate != "money":  # a count of accounts is no sample: one more is one more
            return Change.SHOWN
    elif low <= 0 <= high:
        return Change.SAME
    return Change.BETTER if (moved > 0) == figure.higher_is_better else Change.WORSE


def _with_pairs(row: Difference, paired: tuple[float, float, float]) -> Difference:
    moved, low, high = paired
    if row.a is None or row.b is None:
        return row
    change = _change(row.figure, row.a, moved, low, high)
    return Difference(row.figure, row.a, row.b, moved, low, high, change, paired=True)


def _by_typology(a: Results, b: Results) -> list[Difference]:
    rows_a, rows_b = a.fraud.by_typology, b.fraud.by_typology
    return [
        difference(
            Figure(name, name.replace("_", " "), "share", True, 0.05, "", lambda _: None),
            _recall_of(rows_a.get(name)),
            _recall_of(rows_b.get(name)),
        )
        for name in sorted({*rows_a, *rows_b})
    ]


def _recall_of(row: TypologyRow | None) -> Value | None:
    if row is None or row.recall is None:
        return None
    return Value(row.recall, row.recall_low, row.recall_high)


def _identity(results: Results) -> tuple[str | None, int | None]:
    return results.run.scenario.hash, results.run.seed


def _remarks(a: Results, b: Results, same_plan: bool, rows: list[Difference]) -> list[str]:
    found = []
    (hash_a, seed_a), (hash_b, seed_b) = _identity(a), _identity(b)
    if hash_a != hash_b:
        found.append("The scenarios differ in content: differences may come from what was sent.")
    elif seed_a != seed_b:
        found.append("The seeds differ: both runs sent other transactions of the same kind.")
    elif same_plan:
        pairs = any(row.paired for row in rows)
        found.append(
            "Same scenario, same seed: both runs planned the same transactions"
            + (", so recall is paired by campaign." if pairs else ".")
        )
    for key, name in (("mode", "mode"), ("speed", "speed"), ("customers", "number of customers")):
        mine, theirs = getattr(a.run, key), getattr(b.run, key)
        if mine != theirs:
            found.append(f"The {name} differs: {mine} and {theirs}.")
    if a.run.machine != b.run.machine:
        found.append("The runs came from different machines: compare times with care.")
    for name, results in (("A", a), ("B", b)):
        if results.run.end != "completed":
            found.append(f"Run {name} was {results.run.end}.")
    return found
