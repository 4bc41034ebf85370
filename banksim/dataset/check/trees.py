"""Gradient-boosted trees on binned columns, in numpy: a detector strong enough to measure a data set by.

Trees grow level by level with one split per node (Friedman, 2001; histograms as in LightGBM).  Nothing is
random: the same columns give the same model.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from banksim.world.draws import Bools, Floats, Ints

BINS = 32
_LEAST_WEIGHT = 5.0
_RIDGE = 1.0


class Binner:
    """Numbers as bins of about equally many rows; infinite ones are the last bin."""

    def __init__(self, table: Floats) -> None:
        self._edges = [self._between(column[np.isfinite(column)]) for column in table.T]

    @staticmethod
    def _between(column: Floats) -> Floats:
        """Where bins begin: half of them hold equally many rows, half equally many different values."""
        values = np.unique(column)
        shares = np.linspace(0, 1, BINS // 2 + 1)[1:-1]
        edges = values[1:]
        if len(values) > BINS:
            edges = np.concatenate([np.quantile(column, shares), np.quantile(values, shares)])
        found: Floats = np.unique(edges)
        return found

    def bins(self, table: Floats) -> NDArray[np.uint8]:
        found = np.empty(table.shape, np.uint8)
        for nth, edges in enumerate(self._edges):
            found[:, nth] = np.searchsorted(edges, table[:, nth], side="right")
        return found


class Boosted:
    """Probabilities of fraud from a table of numbers, one row per transaction."""

    def __init__(self, trees: int = 60, depth: int = 3, rate: float = 0.2) -> None:
        self._trees, self._depth, self._rate = trees, depth, rate
        self._made: list[list[tuple[Ints, Ints, Floats]]] = []

    def fit(self, table: Floats, is_fraud: Bools, weight: Floats) -> Boosted:
        self._binner = Binner(table)
        bins = self._binner.bins(table)
        share = float((weight * is_fraud).sum() / weight.sum())
        self._base = float(np.log(share / (1 - share)))
        score = np.full(len(bins), self._base)
        by_column = np.ascontiguousarray(bins.T, np.int64)
        for _ in range(self._trees):
            chance = 1 / (1 + np.exp(-score))
            gradient, curve = weight * (is_fraud - chance), weight * chance * (1 - chance)
            score += self._grow(by_column, gradient, curve)
        return self

    def scores(self, table: Floats) -> Floats:
        """Log-odds of fraud for each row."""
        bins = self._binner.bins(table)
        score = np.full(len(bins), self._base)
        rows = np.arange(len(bins))
        for levels in self._made:
            node = np.zeros(len(bins), np.int64)
            for feature, edge, _ in levels:
                node = node * 2 + (bins[rows, feature[node]] > edge[node])
            score += levels[-1][2][node]
        return score

    def _grow(self, by_column: Ints, gradient: Floats, curve: Floats) -> Floats:
        columns, rows = by_column.shape
        node = np.zeros(rows, np.int64)
        levels: list[tuple[Ints, Ints, Floats]] = []
        for depth in range(self._depth):
            nodes = 1 << depth
            feature, edge = np.zeros(nodes, np.int64), np.full(nodes, BINS, np.int64)
            best, first = np.full(nodes, 1e-9), node * BINS
            for column in range(columns):
                key = first + by_column[column]
                g, h = (
                    np.bincount(key, values, minlength=nodes * BINS).reshape(nodes, BINS).cumsum(axis=1)
                    for values in (gradient, curve)
                )
                total_g, total_h = g[:, -1:], h[:, -1:]
                gain = g**2 / (h + _RIDGE) + (total_g - g) ** 2 / (total_h - h + _RIDGE)
                gain -= total_g**2 / (total_h + _RIDGE)
                gain[(h < _LEAST_WEIGHT * 0.1) | (total_h - h < _LEAST_WEIGHT * 0.1)] = 0
                at = gain.argmax(axis=1)
                found = gain[np.arange(nodes), at]
                better = found > best
                feature[better], edge[better], best[better] = column, at[better], found[better]
            node = node * 2 + (by_column[feature[node], np.arange(rows)] > edge[node])
            levels.append((feature, edge, np.zeros(0)))
        leaves = 1 << self._depth
        g, h = (np.bincount(node, values, minlength=leaves) for values in (gradient, curve))
        values = self._rate * g / (h + _RIDGE)
        levels[-1] = (*levels[-1][:2], values)
        self._made.append(levels)
        return values[node]


def average_precision(is_fraud: Bools, scores: Floats, weight: Floats | None = None) -> float:
    """Area under precision and recall, as steps; rows of equal scores count together."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    ends = np.flatnonzero(np.append(np.diff(ordered) != 0, True))
    one = np.ones(len(scores)) if weight is None else weight
    caught = np.cumsum((one * is_fraud)[order])[ends]
    alerted = np.cumsum(one[order])[ends]
    steps = np.diff(caught, prepend=0.0)
    return float((steps * caught / alerted).sum() / max(1e-9, caught[-1]))


def recall_at(is_fraud: Bools, scores: Floats, false_positive_rate: float) -> float:
    """Share of fraud above the score that this part of the genuine rows exceeds."""
    genuine = scores[~is_fraud]
    limit = np.quantile(genuine, 1 - false_positive_rate)
    return float((scores[is_fraud] > limit).mean()) if is_fraud.any() else 0.0


# -- What can be known of a row by looking back: whole columns, in order of time --------------------


def previous(key: Ints) -> Ints:
    """For each row the last row before it with the same key; -1 where there is none."""
    order = np.argsort(key, kind="stable")
    found = np.full(len(key), -1, np.int64)
    same = key[order][1:] == key[order][:-1]
    found[order[1:][same]] = order[:-1][same]
    return found


def pair_key(one: Ints, other: Ints) -> Ints:
    """A number for each pair of whole numbers from -1 on."""
    return (one + 1) * (int(other.max(initial=0)) + 2) + other + 1


def first_of_pair(one: Ints, other: Ints) -> Bools:
    """Whether a pair comes for the first time."""
    is_first: Bools = previous(pair_key(one, other)) < 0
    return is_first


def seconds_since(key: Ints, time_s: Floats) -> Floats:
    """Seconds since the last row with the same key; infinite where there is none."""
    last = previous(key)
    return np.where(last < 0, np.inf, time_s - time_s[last])


def rank_within(key: Ints, time_s: Floats, span_s: float) -> Ints:
    """How many rows before have the same key and are at most so many seconds old."""
    order = np.argsort(key, kind="stable")
    # Keys apart by more than any span: one search for all groups.
    _, group = np.unique(key[order], return_inverse=True)
    start = time_s.min()
    far = float(time_s.max() - start) + span_s + 1
    moments = group * far + (time_s[order] - start)
    found = np.zeros(len(key), np.int64)
    found[order] = np.arange(len(key)) - np.searchsorted(moments, moments - span_s)
    return found


def sums_before(key: Ints, values: Floats) -> tuple[Floats, Ints]:
    """Sum of the values of all rows before with the same key, and how many there are."""
    order = np.argsort(key, kind="stable")
    ordered, sums = key[order], np.cumsum(values[order]) - values[order]
    is_first = np.concatenate([[True], ordered[1:] != ordered[:-1]])[: len(key)]
    starts = np.flatnonzero(is_first)
    group = np.cumsum(is_first) - 1
    total, count = np.zeros(len(key)), np.zeros(len(key), np.int64)
    total[order] = sums - sums[starts][group]
    count[order] = np.arange(len(key)) - starts[group]
    return total, count
