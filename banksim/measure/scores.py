"""Fraud scores in bins that add up, and the ranking figures read from them.

A detector's scores crowd near 0 and 1, where equal bins would lump together what matters;
so the bins are equally wide in log-odds:

    bin 0        exactly 0
    bins 1..512  log-odds from -12 to 12 (0.000006 … 0.999994); beyond goes to the outermost
    bin 513      exactly 1

Each bin holds a count and an amount in integer cents, so workers' bins merge exactly.
ROC-AUC and average precision treat scores of one bin as ties; the error stays under
about 0.0001 (AUC) and 0.005 (AP).  A detector that ranks below 0.000006 loses that ranking.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import exp, log, sqrt
from typing import Any

# -- Wilson's interval for a share: honest near 0 and 1 and for small counts ------------------------


#: The 97.5 % point of the normal distribution, for a two-sided 95 % interval.
Z_95 = 1.959963984540054


def wilson(successes: int, trials: int, z: float = Z_95) -> tuple[float, float] | None:
    """Low and high end of the 95 % interval of ``successes`` in ``trials``; None without trials.

    Source: Wilson (1927), without continuity correction.  Trials are taken as independent:
    transactions of one campaign are not, which is why campaign recall stands beside it.
    """
    if trials <= 0:
        return None
    share = successes / trials
    denominator = 1 + z * z / trials
    centre = (share + z * z / (2 * trials)) / denominator
    half = z * sqrt(share * (1 - share) / trials + z * z / (4 * trials * trials)) / denominator
    # The ends are exact at 0 and 1; rounding must not push them past.
    low = 0.0 if successes == 0 else max(0.0, centre - half)
    high = 1.0 if successes == trials else min(1.0, centre + half)
    return low, high


#: Fewer events than this are not judged: a share of 30 has an interval of up to 36 points.
FEW = 30


def enough(events: int) -> bool:
    """Whether a word, a tile or a curve may rest on so many events."""
    return events >= FEW


def share(part: int, whole: int) -> float | None:
    """``part`` ÷ ``whole``; None, not 0, when there is nothing to divide by."""
    return part / whole if whole else None


BINS = 512
LOGIT_RANGE = 12.0
ZERO_BIN = 0
ONE_BIN = BINS + 1
_PER_LOGIT = BINS / (2 * LOGIT_RANGE)


def bin_of(score: float) -> int:
    """The bin of a score; what lies outside 0..1 counts as the nearer end."""
    if score <= 0.0:
        return ZERO_BIN
    if score >= 1.0:
        return ONE_BIN
    position = int((log(score / (1.0 - score)) + LOGIT_RANGE) * _PER_LOGIT) + 1
    return 1 if position < 1 else BINS if position > BINS else position


def middle_of(position: int) -> float:
    """A score in the middle of a bin."""
    if position <= ZERO_BIN:
        return 0.0
    if position >= ONE_BIN:
        return 1.0
    return _score((position - 0.5) / _PER_LOGIT - LOGIT_RANGE)


def low_end_of(position: int) -> float:
    """The lowest score of a bin: the threshold that still flags everything in it."""
    if position <= 1:
        return 0.0
    if position >= ONE_BIN:
        return 1.0
    return _score((position - 1) / _PER_LOGIT - LOGIT_RANGE)


def _score(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-log_odds))


class ScoreBins:
    """Counts and amounts per score bin, of one kind of transaction."""

    __slots__ = ("cents", "counts")

    def __init__(self) -> None:
        self.counts: dict[int, int] = {}
        self.cents: dict[int, int] = {}

    def add(self, score: float, amount_cents: int) -> None:
        self.add_to(bin_of(score), amount_cents)

    def add_to(self, position: int, amount_cents: int) -> None:
        """Count a score whose bin is known."""
        self.counts[position] = self.counts.get(position, 0) + 1
        self.cents[position] = self.cents.get(position, 0) + amount_cents

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def merge(self, other: ScoreBins) -> None:
        for position, count in other.counts.items():
            self.counts[position] = self.counts.get(position, 0) + count
            self.cents[position] = self.cents.get(position, 0) + other.cents[position]

    def to_state(self) -> list[list[int]]:
        """[[bin, count, cents], …]."""
        return [[position, count, self.cents[position]] for position, count in self.counts.items()]

    @classmethod
    def from_state(cls, state: Sequence[Sequence[int]]) -> ScoreBins:
        made = cls()
        made.counts = {position: count for position, count, _ in state}
        made.cents = {position: cents for position, _, cents in state}
        return made


def roc_auc(fraud: ScoreBins, genuine: ScoreBins) -> float | None:
    """Chance that a random fraud outscores a random genuine one (ties: half); None if either is empty."""
    positives, negatives = fraud.total, genuine.total
    if not positives or not negatives:
        return None
    below = 0
    doubled = 0
    for position in range(ONE_BIN + 1):
        here = genuine.counts.get(position, 0)
        doubled += fraud.counts.get(position, 0) * (2 * below + here)
        below += here
    return doubled / (2 * positives * negatives)


def average_precision(fraud: ScoreBins, genuine: ScoreBins) -> float | None:
    """Area under precision over recall, by steps (no interpolation); None if either is empty."""
    positives = fraud.total
    if not positives or not genuine.total:
        return None
    hits = flagged = 0
    area = 0.0
    for position in range(ONE_BIN, -1, -1):
        here = fraud.counts.get(position, 0)
        hits += here
        flagged += here + genuine.counts.get(position, 0)
        if here:
            area += here * hits / flagged
    return area / positives


def sweep(fraud: ScoreBins, genuine: ScoreBins, max_points: int = 100) -> list[dict[str, Any]]:
    """What another threshold would have done, from the highest score down.

    Rows of {threshold, recall, precision, false_positive_rate, flagged, false_alerts,
    caught_cents}; empty when either side is.  Thinned to about ``max_points`` rows, the
    last (everything flagged) included.
    """
    positives, negatives = fraud.total, genuine.total
    if not positives or not negatives:
        return []
    rows = []
    hits = false_alerts = caught_cents = 0
    for position in range(ONE_BIN, -1, -1):
        here = (fraud.counts.get(position, 0), genuine.counts.get(position, 0))
        if here == (0, 0):
            continue
        hits += here[0]
        false_alerts += here[1]
        caught_cents += fraud.cents.get(position, 0)
        rows.append(
            {
                "threshold": low_end_of(position),
                "recall": hits / positives,
                "precision": hits / (hits + false_alerts),
                "false_positive_rate": false_alerts / negatives,
                "flagged": hits + false_alerts,
                "false_alerts": false_alerts,
                "caught_cents": caught_cents,
            }
        )
    step = max(1, -(-len(rows) // max_points))
    return [row for place, row in enumerate(rows) if place % step == 0 or place == len(rows) - 1]


def used_bins(fraud: ScoreBins, genuine: ScoreBins) -> dict[str, list[Any]]:
    """The bins in use as parallel lists, lowest score first: {low, fraud, genuine, fraud_cents}.

    Enough to work out what any threshold would have done.
    """
    positions = sorted({*fraud.counts, *genuine.counts})
    return {
        "low": [low_end_of(position) for position in positions],
        "fraud": [fraud.counts.get(position, 0) for position in positions],
        "genuine": [genuine.counts.get(position, 0) for position in positions],
        "fraud_cents": [fraud.cents.get(position, 0) for position in positions],
    }


def histogram(groups: Mapping[str, ScoreBins], bars: int = 20) -> list[dict[str, float]]:
    """Equal-width bars over 0..1 for a chart: {low, high, <group>: count, …} per bar."""
    rows: list[dict[str, float]] = [
        {"low": bar / bars, "high": (bar + 1) / bars} | dict.fromkeys(groups, 0) for bar in range(bars)
    ]
    for name, bins in groups.items():
        for position, count in bins.counts.items():
            rows[min(bars - 1, int(middle_of(position) * bars))][name] += count
    return rows


# -- Score drift: do honest transactions still score as they did when the run began? -----------------
#
# The population stability index (PSI) compares two distributions over the same groups:
#
#     PSI = Σ (p − q) · ln(p / q)        q: share in the reference, p: share in a later stretch
#
# Common reading: below 0.1 stable, 0.1 to 0.25 watch, above 0.25 shifted.  Only honest
# transactions count: an attack is not drift.  Groups are about tenths of the reference.
#
# Scores are counted by windows of simulated time, in 34 coarse score groups.  When more than
# ``MAX_WINDOWS`` windows are in use their length doubles (as in timeline.py), so workers' counts
# merge exactly.  When read, neighbouring windows are added up to stretches of at least
# ``MIN_SCORES`` scores; the first stretch is the reference.  PSI of two samples of one
# distribution is not 0 but about (groups − 1) · (1/n + 1/m): that stands beside each figure.


FIRST_LENGTH_S = 600.0
MAX_WINDOWS = 48
MIN_SCORES = 300
#: Tenths of the reference are the usual choice.
TENTHS = 10
_FINE_PER_GROUP = 16
_GROUPS = BINS // _FINE_PER_GROUP + 2


class ScoreDrift:
    """Counts of honest scores by window of simulated time."""

    __slots__ = ("length_s", "windows")

    def __init__(self) -> None:
        self.length_s = FIRST_LENGTH_S
        self.windows: dict[int, dict[int, int]] = {}

    def add(self, sim_s: float, score: float) -> None:
        """Count the score of one honest transaction."""
        self.add_to(bin_of(score), sim_s)

    def add_to(self, position: int, sim_s: float) -> None:
        """The same for a score whose bin is known (see scores.py)."""
        index = int(sim_s / self.length_s)
        window = self.windows.get(index)
        if window is None:
            window = self.windows[index] = {}
            while len(self.windows) > MAX_WINDOWS:
                self._coarsen()
                window = self.windows[int(sim_s / self.length_s)]
        group = _group_of(position)
        window[group] = window.get(group, 0) + 1

    def figures(self) -> dict[str, Any]:
        """{psi_max, psi_last, stretches: [{from_sim_s, to_sim_s, scored, psi, psi_by_chance}]}.

        The first stretch is the reference and has no PSI; with no other one both figures are None.
        """
        stretches = self._stretches()
        rows: list[dict[str, Any]] = []
        groups = _tenths(stretches[0][2]) if stretches else []
        for place, (start, end, counts) in enumerate(stretches):
            total = sum(counts)
            row: dict[str, Any] = {
                "from_sim_s": start * self.length_s,
                "to_sim_s": end * self.length_s,
                "scored": total,
                "psi": None,
                "psi_by_chance": None,
            }
            if place:
                reference = stretches[0][2]
                row["psi"] = stability_index(_grouped(reference, groups), _grouped(counts, groups))
                row["psi_by_chance"] = (len(groups) - 1) * (1 / sum(reference) + 1 / total)
            rows.append(row)
        found = [row["psi"] for row in rows if row["psi"] is not None]
        return {
            "psi_max": max(found, default=None),
            "psi_last": found[-1] if found else None,
            "stretches": rows,
        }

    def _stretches(self) -> list[tuple[int, int, list[int]]]:
        """(first window, window after the last, counts by group), each with enough scores."""
        found: list[tuple[int, int, list[int]]] = []
        start, counts = None, [0] * _GROUPS
        for index, window in sorted(self.windows.items()):
            start = index if start is None else start
            for group, number in window.items():
                counts[group] += number
            if sum(counts) >= MIN_SCORES:
                found.append((start, index + 1, counts))
                start, counts = None, [0] * _GROUPS
        if start is not None and found:
            first, _, before = found[-1]
            rest = [a + b for a, b in zip(before, counts, strict=True)]
            found[-1] = (first, max(self.windows) + 1, rest)
        return found

    def merge_state(self, state: Mapping[str, Any]) -> None:
        while self.length_s < state["length_s"]:
            self._coarsen()
        factor = round(self.length_s / state["length_s"])
        for index, groups, counts in state["windows"]:
            window = self.windows.setdefault(index // factor, {})
            for group, number in zip(groups, counts, strict=True):
                window[group] = window.get(group, 0) + number
        while len(self.windows) > MAX_WINDOWS:
            self._coarsen()

    def to_state(self) -> dict[str, Any]:
        return {
            "length_s": self.length_s,
            "windows": [
                [index, list(window), list(window.values())] for index, window in self.windows.items()
            ],
        }

    def _coarsen(self) -> None:
        merged: dict[int, dict[int, int]] = {}
        for index, window in self.windows.items():
            mine = merged.setdefault(index // 2, {})
            for group, number in window.items():
                mine[group] = mine.get(group, 0) + number
        self.windows = merged
        self.length_s *= 2


def stability_index(reference: Sequence[int], later: Sequence[int]) -> float:
    """PSI of two lists of counts over the same groups; half a count more in each, so that none is empty."""
    groups = len(reference)
    reference_total, later_total = sum(reference) + groups / 2, sum(later) + groups / 2
    index = 0.0
    for before, after in zip(reference, later, strict=True):
        q, p = (before + 0.5) / reference_total, (after + 0.5) / later_total
        index += (p - q) * log(p / q)
    return index


def _group_of(position: int) -> int:
    if position == ZERO_BIN:
        return 0
    if position == ONE_BIN:
        return _GROUPS - 1
    return 1 + (position - 1) // _FINE_PER_GROUP


def _tenths(counts: Sequence[int]) -> list[tuple[int, int]]:
    """Ranges of coarse groups that hold about a tenth of the reference each."""
    wanted = sum(counts) / TENTHS
    ranges: list[tuple[int, int]] = []
    start, held = 0, 0
    for group, number in enumerate(counts):
        held += number
        if held >= wanted:
            ranges.append((start, group + 1))
            start, held = group + 1, 0
    if start < len(counts):
        # A group that is nearly empty by chance would dominate the sum: the rest joins the last one.
        start = ranges.pop()[0] if ranges else 0
        ranges.append((start, len(counts)))
    return ranges


def _grouped(counts: Sequence[int], ranges: Sequence[tuple[int, int]]) -> list[int]:
    return [sum(counts[start:end]) for start, end in ranges]


# -- Calibration: of the transactions scored about 0.8, are about 80 % fraud? ------------------------
#
# Scores are put into equal-width groups; within each the mean score is set against the share
# that is fraud.  The expected calibration error (ECE) is the mean gap, weighted by how many
# fall into each group.  It holds for the share of fraud that was *sent*: a detector calibrated
# for production looks over-confident or under-confident when the run sends more or less fraud.
# Mean scores come from bin middles (within 0.012 of the true score).


GROUPS = 10


def calibration(fraud: ScoreBins, honest: ScoreBins, groups: int = GROUPS) -> dict[str, Any]:
    """{"error": ECE, "groups": [{low, high, scored, fraud, mean_score, fraud_share}]}.

    The error is None unless both fraud and honest transactions were scored; groups without a
    score have None in place of means.
    """
    scored, frauds, sums = [0] * groups, [0] * groups, [0.0] * groups
    for bins, is_fraud in ((fraud, True), (honest, False)):
        for position, number in sorted(bins.counts.items()):  # the same sum in any order of merging
            middle = middle_of(position)
            group = min(groups - 1, int(middle * groups))
            scored[group] += number
            sums[group] += middle * number
            frauds[group] += number if is_fraud else 0
    rows: list[dict[str, Any]] = [
        {
            "low": group / groups,
            "high": (group + 1) / groups,
            "scored": number,
            "fraud": frauds[group],
            "mean_score": sums[group] / number if number else None,
            "fraud_share": frauds[group] / number if number else None,
        }
        for group, number in enumerate(scored)
    ]
    total = sum(scored)
    both = fraud.total and honest.total
    error = sum(
        row["scored"] / total * abs(row["mean_score"] - row["fraud_share"]) for row in rows if row["scored"]
    )
    return {"error": error if both else None, "groups": rows}
