"""Fraud scores, counted so that counts add up, and the ranking figures read from them.

Detectors round, so a run mostly has a few hundred different scores.  Up to ``MAX_EXACT`` of them are
kept as they are: every figure is then exact.  A run with more falls back to bins that are equally
wide in log-odds, since scores crowd near 0 and 1, where equal bins would lump together what matters:

    bin 0          exactly 0
    bins 1..4,096  log-odds from -12 to 12 (0.000006 … 0.999994); beyond goes to the outermost
    bin 4,097      exactly 1

Each place (a score, or a bin) holds a count and an amount in integer cents.  Whether a run is exact
depends on which scores there were, never on their order, so workers' counts merge into what one
process would have kept.  In bins ROC-AUC and average precision treat scores of one bin as ties: the
error stays under 0.0005 (AUC) and 0.002 (AP).  A detector that ranks below 0.000006 then loses that
ranking.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from math import exp, sqrt

import numpy as np
import numpy.typing as npt

from banksim.measure.figures import Calibration, CalibrationGroup, ScoreBar, ScoreTable, SweepRow

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

# -- Wilson's interval for a share: it holds near 0 and 1 and for small counts ------------------------


#: The 97.5 % point of the normal distribution, for a two-sided 95 % interval.
Z_95 = 1.959963984540054


def wilson(successes: float, trials: float, z: float = Z_95) -> tuple[float, float] | None:
    """Low and high end of the 95 % interval of ``successes`` in ``trials``; None without trials.

    Source: Wilson (1927), without continuity correction.  Trials are taken as independent:
    transactions of one campaign are not, which is why campaign recall is reported with it.
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


def student_t_95(degrees: int) -> float:
    """The 97.5 % point of Student's t, by Fisher's expansion: within 0.001 from 9 degrees on."""
    z, v = Z_95, float(degrees)
    return (
        z
        + (z**3 + z) / (4 * v)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * v**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * v**3)
    )


#: With fewer clusters than this their spread says too little: each counts as one trial.
MIN_CLUSTERS = 10


@dataclass(slots=True)
class Clusters:
    """Trials that come in clusters (frauds in campaigns), as sums over the clusters, kept while they grow."""

    count: int = 0
    trials: int = 0
    hits: int = 0
    trials_squared: int = 0
    hits_squared: int = 0
    products: int = 0

    def add(self, trials: int, hits: int, sign: int = 1) -> None:
        """One cluster; ``sign`` -1 takes it out again."""
        self.count += sign
        self.trials += sign * trials
        self.hits += sign * hits
        self.trials_squared += sign * trials * trials
        self.hits_squared += sign * hits * hits
        self.products += sign * trials * hits

    def design_effect(self) -> float:
        """By how much the variance of the share of hits exceeds that of independent trials; 1 at least."""
        if self.count < 2 or not 0 < self.hits < self.trials:
            return 1.0
        share = self.hits / self.trials
        squares = self.hits_squared - 2 * share * self.products + share**2 * self.trials_squared
        # A few large clusters tell less of the variance than as many of one size would.
        alike = self.trials**2 / self.trials_squared
        between = squares / self.trials**2 * alike / max(1.0, alike - 1)
        return max(1.0, between / (share * (1 - share) / self.trials))

    def interval(self) -> tuple[float, float] | None:
        """The 95 % interval of the share of hits: Wilson's, on the trials ÷ their design effect.

        With fewer than `MIN_CLUSTERS`, or when all or none were hits, each cluster counts as one trial.
        """
        if not self.trials:
            return None
        share, effective, z = self.hits / self.trials, float(self.count), Z_95
        if self.count >= MIN_CLUSTERS and 0 < share < 1:
            effective = self.trials / self.design_effect()
            z = student_t_95(max(3, round(self.trials**2 / self.trials_squared) - 1))
        return wilson(share * effective, effective, z)


#: Fewer events than this are not judged: a share of 30 has an interval of up to 36 points.
FEW = 30


def enough(events: int) -> bool:
    """Whether a word, a tile or a curve may rest on so many events."""
    return events >= FEW


def share(part: int, whole: int) -> float | None:
    """``part`` ÷ ``whole``; None, not 0, when there is nothing to divide by."""
    return part / whole if whole else None


def gaps(places: Ints) -> list[int]:
    """Rising places as the distance of each from the one before, the first from 0: the shortest to write."""
    return [*places[:1].tolist(), *(places[1:] - places[:-1]).tolist()]


# -- Bins of log-odds -------------------------------------------------------------------------------

BINS = 4_096
LOGIT_RANGE = 12.0
ZERO_BIN = 0
ONE_BIN = BINS + 1
_WIDTH = 2 * LOGIT_RANGE / BINS


def score_of(log_odds: float) -> float:
    return 1.0 / (1.0 + exp(-log_odds))


#: Where bins 2..BINS begin.
_EDGES = [score_of(number * _WIDTH - LOGIT_RANGE) for number in range(1, BINS)]


def bin_of(score: float) -> int:
    """The bin of a score; what lies outside 0..1 counts as the nearer end."""
    if score <= 0.0:
        return ZERO_BIN
    return ONE_BIN if score >= 1.0 else 1 + bisect_right(_EDGES, score)


def bins_of(scores: Floats) -> Ints:
    """The bins of many scores, the same as `bin_of` each."""
    inner = 1 + np.searchsorted(_EDGES, scores, side="right")
    return np.where(scores <= 0.0, ZERO_BIN, np.where(scores >= 1.0, ONE_BIN, inner))


def middle_of(position: int) -> float:
    """A score in the middle of a bin."""
    if position <= ZERO_BIN:
        return 0.0
    if position >= ONE_BIN:
        return 1.0
    return score_of((position - 0.5) * _WIDTH - LOGIT_RANGE)


def low_end_of(position: int) -> float:
    """The lowest score of a bin: the threshold that still flags everything in it."""
    if position <= 1:
        return 0.0
    return 1.0 if position >= ONE_BIN else _EDGES[position - 2]


@cache
def _bins() -> tuple[Floats, Floats]:
    """(lowest score, middle) of each bin."""
    places = range(ONE_BIN + 1)
    return np.array([low_end_of(place) for place in places]), np.array([middle_of(place) for place in places])


# -- Counts per score, of kinds of transactions that share a scale ----------------------------------

#: Different scores that are kept exactly: more than scores of three decimals can have.
MAX_EXACT = 4_096
_PLACES = max(MAX_EXACT, ONE_BIN + 1)


class ScoreScale:
    """Which place a score is counted at: one of its own, or its bin once there are too many.

    A place is good until the next new score: more than MAX_EXACT of them turn all `counts` into bins.
    """

    __slots__ = ("_kept", "_places", "_sorted", "values")

    def __init__(self) -> None:
        #: Scores by place; None once they are counted in bins.
        self.values: list[float] | None = []
        self._places: dict[float, int] = {}
        self._kept: list[ScoreCounts] = []
        self._sorted: tuple[int, Ints, Floats] = (0, np.zeros(0, np.int64), np.zeros(0))

    def counts(self) -> ScoreCounts:
        """Counts that are turned into bins with the scale."""
        made = ScoreCounts(self)
        self._kept.append(made)
        return made

    def place_of(self, score: float) -> int:
        """Where to count a score; what lies outside 0..1 counts as the nearer end."""
        place = self._places.get(score)
        return self._new_place(score) if place is None else place

    def places_of(self, scores: Floats) -> Ints:
        """The places of many scores; shape (n,)."""
        if self.values is not None:
            places = [self.place_of(score) for score in scores.tolist()]
            if self.values is not None:
                return np.array(places, np.int64)
        return bins_of(scores)

    def use_bins(self) -> None:
        """Count in bins from here on; what has been counted moves to its bin."""
        if self.values is None:
            return
        bins = bins_of(np.array(self.values, np.float64))
        for counts in self._kept:
            counts.move(bins)
        self.values = None
        self._places = {}

    def lowest_first(self) -> tuple[Ints, Floats, Floats]:
        """(places in the order of their scores, lowest score of each, middle of each)."""
        if self.values is None:
            return np.arange(ONE_BIN + 1), *_bins()
        if self._sorted[0] != len(self.values):
            values = np.array(self.values, np.float64)
            order = np.argsort(values)
            self._sorted = (len(values), order, values[order])
        _, order, scores = self._sorted
        return order, scores, scores

    def _new_place(self, score: float) -> int:
        score = min(max(score, 0.0), 1.0)
        if self.values is None:
            return bin_of(score)
        if score in self._places:
            return self._places[score]
        if len(self.values) == MAX_EXACT:
            self.use_bins()
            return bin_of(score)
        self._places[score] = len(self.values)
        self.values.append(score)
        return len(self.values) - 1


class ScoreCounts:
    """Counts and amounts per place of a scale, of one kind of transaction."""

    __slots__ = ("_cents", "_counts", "scale")

    def __init__(self, scale: ScoreScale) -> None:
        self.scale = scale
        self._counts = array("q", bytes(8 * _PLACES))
        self._cents = array("q", bytes(8 * _PLACES))

    def add(self, score: float, amount_cents: int) -> None:
        place = self.scale.place_of(score)
        self._counts[place] += 1
        self._cents[place] += amount_cents

    def add_many(self, places: Ints, amounts_cents: Ints) -> None:
        """Count scores by their places; both of shape (n,)."""
        np.add.at(self.counts, places, 1)
        np.add.at(self.cents, places, amounts_cents)

    @property
    def counts(self) -> Ints:
        return np.frombuffer(self._counts, np.int64)

    @property
    def cents(self) -> Ints:
        return np.frombuffer(self._cents, np.int64)

    @property
    def total(self) -> int:
        return int(self.counts.sum())

    def merge(self, other: ScoreCounts) -> None:
        """Add other counts, of this scale or another."""
        if other.scale is self.scale:
            self.counts[:] += other.counts
            self.cents[:] += other.cents
        else:
            self.merge_state(other.to_state(), other.scale.values)

    def move(self, places: Ints) -> None:
        """Count at ``places`` what is counted at the first ones."""
        counts, cents = self.counts[: len(places)].copy(), self.cents[: len(places)].copy()
        self.counts[:] = 0
        self.cents[:] = 0
        np.add.at(self.counts, places, counts)
        np.add.at(self.cents, places, cents)

    def to_state(self) -> list[list[int]]:
        """Parallel lists: distances between the places in use, counts, cents."""
        used = self.counts.nonzero()[0]
        return [gaps(used), self.counts[used].tolist(), self.cents[used].tolist()]

    def merge_state(self, state: Sequence[Sequence[int]], values: Sequence[float] | None) -> None:
        """Add counts from `to_state`; ``values`` are the scores of their places, None for bins."""
        distances, counts, cents = (np.array(part, np.int64) for part in state)
        if not len(counts):
            return
        places = np.cumsum(distances)
        if values is None:
            self.scale.use_bins()
        else:
            places = self.scale.places_of(np.array(values, np.float64)[places])
        np.add.at(self.counts, places, counts)
        np.add.at(self.cents, places, cents)


# -- Ranking figures --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Ranked:
    """Places in use, lowest score first: the score that still flags them, and what they hold."""

    lows: Floats
    fraud: Ints
    genuine: Ints
    fraud_cents: Ints

    def from_the_top(self) -> tuple[Ints, Ints]:
        """(frauds, genuine ones) flagged by each threshold, the highest first."""
        return np.cumsum(self.fraud[::-1]), np.cumsum(self.genuine[::-1])


def _ranked(fraud: ScoreCounts, genuine: ScoreCounts) -> _Ranked:
    if fraud.scale is not genuine.scale:
        scale = ScoreScale()
        both = scale.counts(), scale.counts()
        for mine, theirs in zip(both, (fraud, genuine), strict=True):
            mine.merge(theirs)
        fraud, genuine = both
    order, lows, _ = fraud.scale.lowest_first()
    frauds, others = fraud.counts[order], genuine.counts[order]
    used = np.flatnonzero(frauds + others)
    return _Ranked(lows[used], frauds[used], others[used], fraud.cents[order][used])


def roc_auc(fraud: ScoreCounts, genuine: ScoreCounts) -> float | None:
    """Chance that a random fraud outscores a random genuine one (ties: half); None if either is empty."""
    ranked = _ranked(fraud, genuine)
    positives, negatives = int(ranked.fraud.sum()), int(ranked.genuine.sum())
    if not positives or not negatives:
        return None
    twice_below = 2 * np.cumsum(ranked.genuine) - ranked.genuine
    return int((ranked.fraud * twice_below).sum()) / (2 * positives * negatives)


def average_precision(fraud: ScoreCounts, genuine: ScoreCounts) -> float | None:
    """Area under precision over recall, by steps (no interpolation); None if either is empty."""
    ranked = _ranked(fraud, genuine)
    positives = int(ranked.fraud.sum())
    if not positives or not ranked.genuine.any():
        return None
    hits, false_positives = ranked.from_the_top()
    return float((ranked.fraud[::-1] * hits / (hits + false_positives)).sum()) / positives


def sweep(fraud: ScoreCounts, genuine: ScoreCounts, max_points: int = 100) -> list[SweepRow]:
    """What another threshold would have done, from the highest score down; empty when either side is.

    Thinned to about ``max_points`` rows, the last (everything flagged) included.
    """
    ranked = _ranked(fraud, genuine)
    positives, negatives = int(ranked.fraud.sum()), int(ranked.genuine.sum())
    if not positives or not negatives:
        return []
    hits, false_positives = (part.tolist() for part in ranked.from_the_top())
    thresholds, caught_cents = ranked.lows[::-1].tolist(), np.cumsum(ranked.fraud_cents[::-1]).tolist()
    last = len(thresholds) - 1
    step = max(1, -(-len(thresholds) // max_points))
    return [
        SweepRow(
            threshold=thresholds[place],
            recall=hits[place] / positives,
            precision=hits[place] / (hits[place] + false_positives[place]),
            false_positive_rate=false_positives[place] / negatives,
            flagged=hits[place] + false_positives[place],
            false_positives=false_positives[place],
            caught_cents=caught_cents[place],
        )
        for place in sorted({*range(0, last + 1, step), last})
    ]


def used_scores(fraud: ScoreCounts, genuine: ScoreCounts) -> ScoreTable:
    """The places in use; enough to work out what any threshold would have done."""
    ranked = _ranked(fraud, genuine)
    columns = (ranked.lows, ranked.fraud, ranked.genuine, ranked.fraud_cents)
    return ScoreTable(*(column.tolist() for column in columns))


def histogram(fraud: ScoreCounts, genuine: ScoreCounts, bars: int = 20) -> list[ScoreBar]:
    """Equal-width bars over 0..1 for a chart."""
    counted = []
    for scored in (fraud, genuine):
        order, _, middles = scored.scale.lowest_first()
        counts = np.zeros(bars, np.int64)
        np.add.at(counts, np.minimum(bars - 1, (middles * bars).astype(np.int64)), scored.counts[order])
        counted.append(counts.tolist())
    return [
        ScoreBar(bar / bars, (bar + 1) / bars, *row) for bar, row in enumerate(zip(*counted, strict=True))
    ]


# -- Calibration: of the transactions scored about 0.8, are about 80 % fraud? ------------------------
#
# Scores are put into equal-width groups; within each the mean score is set against the share
# that is fraud.  The expected calibration error (ECE) is the mean gap, weighted by how many
# fall into each group.  It holds for the share of fraud that was *sent*: a detector calibrated
# for production looks over-confident or under-confident when the run sends more or less fraud.
# In bins a mean score is within 0.001 of the true one.


GROUPS = 10


def calibration(fraud: ScoreCounts, genuine: ScoreCounts, groups: int = GROUPS) -> Calibration:
    """The error is None unless both fraud and genuine transactions were scored; groups without a
    score have None in place of means.
    """
    scored, frauds, sums = np.zeros(groups), np.zeros(groups), np.zeros(groups)
    for counted, is_fraud in ((fraud, True), (genuine, False)):
        order, _, middles = (
            counted.scale.lowest_first()
        )  # so that the sum is the same in any order of merging
        counts = counted.counts[order]
        group = np.minimum(groups - 1, (middles * groups).astype(np.int64))
        scored += np.bincount(group, counts, groups)
        sums += np.bincount(group, middles * counts, groups)
        frauds += np.bincount(group, counts, groups) * is_fraud
    rows = [
        CalibrationGroup(
            low=place / groups,
            high=(place + 1) / groups,
            scored=int(scored[place]),
            fraud=int(frauds[place]),
            mean_score=float(sums[place] / scored[place]) if scored[place] else None,
            fraud_share=float(frauds[place] / scored[place]) if scored[place] else None,
        )
        for place in range(groups)
    ]
    error = float(np.abs(sums - frauds).sum() / scored.sum()) if fraud.total and genuine.total else None
    return Calibration(error, rows)
