"""Can fraud be told from a glance?  Detectors that must fail, and a strong one to compare them with.

All learn on the set of one seed and are measured on that of another, by average precision: the base rate
is what a coin reaches, 1 is perfect.

    one column   scorers that learn the fraud rate of each value (of fifty bins, where values are numbers)
    glance       a depth-2 tree on every column of the file and three features that are one line to write
    row          boosted trees on the same
    reference    boosted trees with what a customer, a device, a shop and a payee did before

Decoys count as genuine, as they do everywhere.

Gradient-boosted trees on binned columns, in numpy: a detector strong enough to measure a data set by.

Trees grow level by level with one split per node (Friedman, 2001; histograms as in LightGBM).  Nothing is
random: the same columns give the same model.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from banksim.dataset.check.sample import Figure, Sample, most
from banksim.world.random import Bools, Floats, Ints

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


#: Fraud rows in a set below which nothing can be said.
LEAST_FRAUD = 50
#: The most a naive detector may reach: this much average precision above the base rate.
MARGIN = 0.05
#: Genuine rows that trees learn from at most; the others are left out and the rest weigh more.
_LEARNS = 40_000
_BINS = 50
_SMOOTHING = 50.0
#: Columns whose values are names, not amounts.
_NAMES = frozenset({"kind", "channel", "category", "name", "away", "status", "account"})
HOUR_S, DAY_S = 3600, 86_400


def columns(sample: Sample) -> dict[str, Floats | Ints]:
    """Every column of the file as a detector may read it, then three features of one line each."""
    time_s, customer = sample.time_s, sample["customer"]
    hours = time_s // HOUR_S
    _, home = _homes(sample)
    return {
        "amount": sample["amount_cents"],
        "cents": sample["amount_cents"] % 100,
        "hour": hours % 24,
        "weekday": (hours // 24 + 3) % 7,
        "customer": customer,
        "account": sample["slot"],
        "id": sample["id_number"],
        "name": sample["name"],
        "balance": sample["balance_cents"],
        "kind": sample["kind"],
        "channel": sample["channel"],
        "category": sample["category"] + 1,
        "latitude": sample.real("latitude"),
        "longitude": sample.real("longitude"),
        "away": (sample["city"] != home).astype(np.int64),
        "status": sample["refused"],
        "device not seen before": first_of_pair(customer, sample["device"]).astype(np.int64),
        "seconds since the last": np.minimum(seconds_since(customer, time_s), 1e8),
        "payee not seen before": (first_of_pair(customer, sample["payee"]) & (sample["payee"] >= 0)).astype(
            np.int64
        ),
    }


def _homes(sample: Sample) -> tuple[Ints, Ints]:
    """The city in which each customer acts most often, and that of each row's customer."""
    customer, city = sample["customer"].astype(np.int64), sample["city"].astype(np.int64)
    size = int(city.max()) + 1
    keys, counts = np.unique(customer * size + city, return_counts=True)
    order = np.lexsort((counts, keys // size))
    home = np.zeros(int(customer.max()) + 1, np.int64)
    home[keys[order] // size] = keys[order] % size
    return home, home[customer]


def history(sample: Sample) -> dict[str, Floats | Ints]:
    """What the past says, each row seen with nothing but the rows before it."""
    time_s, customer, kind = sample.time_s, sample["customer"], sample["kind"]
    device, payee, merchant = sample["device"], sample["payee"], sample["merchant"]
    out = np.log(np.maximum(1, sample["amount_cents"]).astype(np.float64))
    own_kind = pair_key(customer, kind)
    mean, rows = _mean_before(own_kind, out)
    shop_mean, _ = _mean_before(pair_key(customer, sample["category"]), out)
    paid, bought = payee >= 0, merchant >= 0
    new_device, new_shop = first_of_pair(device, customer), first_of_pair(customer, merchant)
    transfer_from = np.where(paid, payee, -1 - np.arange(len(payee)))
    received = _last_received(sample)
    shop_price, shop_rows = _mean_before(np.where(bought, merchant, -1), out)
    first_visit = np.where(new_shop & bought, 0, 1 + np.arange(len(merchant)))
    spot = sample.real("latitude") * 1000 + sample.real("longitude")
    place = np.unique(spot, return_inverse=True)[1].astype(np.int64)
    same_amount = pair_key(customer, sample["amount_cents"])
    return {
        "amount against own mean": out - mean,
        "amount against own mean in category": out - shop_mean,
        "rows of this kind before": rows,
        "seconds since the last of this kind": np.minimum(seconds_since(own_kind, time_s), 1e8),
        "of this kind in an hour": rank_within(own_kind, time_s, HOUR_S),
        "of this kind in a day": rank_within(own_kind, time_s, DAY_S),
        "of any kind in a day": rank_within(customer, time_s, DAY_S),
        "of any kind in a week": rank_within(customer, time_s, 7 * DAY_S),
        "customers of the device before": sums_before(device, new_device.astype(np.float64))[0],
        "rows of the device before": sums_before(pair_key(customer, device), out)[1],
        "seconds since the device's last": np.minimum(seconds_since(device, time_s), 1e8),
        "of the device in an hour": rank_within(device, time_s, HOUR_S),
        "shop not seen before": (new_shop & bought).astype(np.int64),
        "shops not seen before in a day": rank_within(pair_key(customer, first_visit), time_s, DAY_S),
        "first visits to the shop in a day": rank_within(pair_key(merchant, first_visit), time_s, DAY_S),
        "amount against the shop's mean": np.where(bought, out - shop_price, 0.0),
        "rows at the shop before": shop_rows,
        "city not seen before": first_of_pair(customer, sample["city"]).astype(np.int64),
        "rows of this kind at the place in an hour": rank_within(pair_key(place, kind), time_s, HOUR_S),
        "seconds since the same amount": np.minimum(seconds_since(same_amount, time_s), 1e8),
        "rows at the shop in an hour": np.where(bought, rank_within(merchant, time_s, HOUR_S), 0),
        "payments to the payee in a day": np.where(paid, rank_within(transfer_from, time_s, DAY_S), 0),
        "payments to the payee in a week": np.where(paid, rank_within(transfer_from, time_s, 7 * DAY_S), 0),
        "payments to the payee by the customer": sums_before(pair_key(customer, payee), out)[1],
        "seconds since money came in": np.minimum(received[0], 1e8),
        "share of what came in": np.minimum(received[1], 1e3),
        "share of the balance": sample["amount_cents"] / np.maximum(1, sample["balance_cents"]),
    }


def _mean_before(key: Ints, values: Floats) -> tuple[Floats, Ints]:
    total, count = sums_before(key, values)
    return (total + 3 * values.mean()) / (count + 3), count


def _last_received(sample: Sample) -> tuple[Floats, Floats]:
    """Seconds since the payer was last paid by a customer, and the amount as a part of what came then."""
    time_s, cents = sample.time_s, sample["amount_cents"].astype(np.float64)
    count = len(time_s)
    paid = np.flatnonzero((sample["payee"] >= 0) & (sample["refused"] == 0))
    keys = np.sort(sample["payee"][paid].astype(np.int64) * count + paid)
    at = np.searchsorted(keys, sample["customer"].astype(np.int64) * count + np.arange(count)) - 1
    last = keys[np.maximum(at, 0)] if len(keys) else np.full(count, -1)
    known = (at >= 0) & (last // count == sample["customer"])
    source = np.where(known, last % count, 0)
    since = np.where(known, time_s - time_s[source], np.inf)
    return since, np.where(known, cents / np.maximum(1, cents[source]), 1e3)


def naive(train: Sample, test: Sample, judged: bool) -> Iterator[Figure]:
    """Average precision of what must fail, learnt on one set and measured on the other."""
    if min(train.is_fraud.sum(), test.is_fraud.sum()) < LEAST_FRAUD:
        return
    learnt, measured = columns(train), columns(test)
    base = float(test.is_fraud.mean())
    for name, values in measured.items():
        scores = _scored(learnt[name], train.is_fraud, values, name in _NAMES)
        yield _limited(f"{name} alone", average_precision(test.is_fraud, scores), base, judged)
    glance = boosted(learnt, train.is_fraud, Boosted(trees=1, depth=2, rate=1.0))
    scores = glance.scores(_table(measured))
    yield _limited("depth-2 tree on all of them", average_precision(test.is_fraud, scores), base, judged)
    row = boosted(learnt, train.is_fraud, Boosted())
    found = average_precision(test.is_fraud, row.scores(_table(measured)))
    yield Figure(
        "average precision: boosted trees on all of them", "shown", found, 0, 1, "rule", "{:.3f}", False
    )


def reference(train: Sample) -> Boosted:
    """The strong model, learnt on one set."""
    return boosted(columns(train) | history(train), train.is_fraud, Boosted(trees=120, depth=4))


def reference_scores(model: Boosted, test: Sample) -> Floats:
    return model.scores(_table(columns(test) | history(test)))


def _limited(name: str, precision: float, base: float, judged: bool) -> Figure:
    found = most(f"average precision: {name}", base + MARGIN, precision, "rule", "{:.3f}")
    return Figure(
        found.name, "near the base rate", precision, found.low, found.high, "rule", "{:.3f}", judged
    )


def boosted(learnt: Mapping[str, Floats | Ints], is_fraud: Bools, model: Boosted) -> Boosted:
    """Trees learnt from all fraud and an even choice of genuine rows, which weigh as much as all of them."""
    genuine = np.flatnonzero(~is_fraud)
    step = max(1, -(-len(genuine) // _LEARNS))
    keep = np.sort(np.concatenate([genuine[::step], np.flatnonzero(is_fraud)]))
    weight = np.where(is_fraud[keep], 1.0, float(step))
    return model.fit(_table(learnt, keep), is_fraud[keep], weight)


def _table(named: Mapping[str, Floats | Ints], keep: Ints | slice = slice(None)) -> Floats:
    return np.column_stack([np.asarray(values, np.float64)[keep] for values in named.values()])


def _scored(learnt: Floats | Ints, fraud: Bools, values: Floats | Ints, is_name: bool) -> Floats:
    """For every value the fraud rate it had where it was learnt, drawn towards the mean."""
    if is_name or len(np.unique(learnt)) <= 2:
        known, bins = learnt.astype(np.int64), values.astype(np.int64)
    else:
        edges = np.unique(np.quantile(learnt, np.linspace(0, 1, _BINS + 1)[1:-1]))
        known, bins = (np.searchsorted(edges, each, side="right") for each in (learnt, values))
    size = int(max(known.max(), bins.max())) + 1
    rows = np.bincount(known, minlength=size)
    hits = np.bincount(known, weights=fraud, minlength=size)
    scores: Floats = ((hits + _SMOOTHING * fraud.mean()) / (rows + _SMOOTHING))[bins]
    return scores
