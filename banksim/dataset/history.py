"""What a detector can know of a row by looking back: plain functions of whole columns, in order of time."""

from __future__ import annotations

import numpy as np

from banksim.world.draws import Bools, Floats, Ints


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
