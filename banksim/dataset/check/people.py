"""People who differ, and what they have in common: figures of customers, bills, networks and devices.

All are of genuine rows unless the name says otherwise.  Sources of targets are named in docs/realism.md.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from banksim.dataset.check.sample import (
    CHANNELS,
    DECLINES,
    GENUINE,
    KINDS,
    Figure,
    Sample,
    between,
    least,
    most,
)
from banksim.dataset.check.separation import first_of_pair, rank_within, seconds_since
from banksim.model import CREDIT_KINDS, Channel, Decline, Kind
from banksim.world.random import Bools, Floats, Ints

DAY_S = 86_400
#: Days in which a detector gets to know the customers; devices and payees are judged after them.
BURN_IN_DAYS = 30
#: Rows of one customer from which on a habit can be seen.
_HABIT = 20
_PERCENT = "{:.1%}"


def figures(sample: Sample, home_country: str, balances: tuple[float, float]) -> list[Figure]:
    """``balances`` are the sums of all accounts before and after, in cents."""
    time_s = sample.time_s
    days = float(time_s.max() - time_s.min()) / DAY_S
    found = [*_customers(sample), *_network(sample), *_refusals(sample)]
    if days > 2 * BURN_IN_DAYS:
        found += [*_months(sample), *_devices(sample)]
    if days > 80:
        drift = balances[1] / balances[0] - 1
        found.append(between("change of all balances", -0.1, 0.1, drift, "rule", "{:+.1%}"))
    found += _tells(sample, home_country)
    return found


def intraclass(values: Floats, group: Ints) -> float:
    """Part of the variance that lies between groups (one-way ANOVA estimate)."""
    _, group, counts = np.unique(group, return_inverse=True, return_counts=True)
    size, total = len(counts), len(values)
    if size < 2 or total <= size:
        return 0.0
    means = np.bincount(group, values) / counts
    between_ms = float((counts * (means - values.mean()) ** 2).sum()) / (size - 1)
    within_ms = float(((values - means[group]) ** 2).sum()) / (total - size)
    usual = (total - float((counts**2).sum()) / total) / (size - 1)
    return (between_ms - within_ms) / (between_ms + (usual - 1) * within_ms)


def _of_personas(values: Floats, group: Ints, persona: Ints) -> float:
    """`intraclass` within personas, weighted by rows: what they have in common does not count."""
    parts = [(intraclass(values[mask], group[mask]), mask.sum()) for mask in _masks(persona)]
    return float(sum(value * rows for value, rows in parts) / sum(rows for _, rows in parts))


def _masks(column: Ints) -> list[Bools]:
    return [column == value for value in np.unique(column)]


def _customers(sample: Sample) -> Iterator[Figure]:
    genuine = sample["label"] == GENUINE
    customer, persona, time_s = (
        sample["customer"][genuine],
        sample["persona"][genuine],
        sample.time_s[genuine],
    )
    kind, amount = sample["kind"][genuine], sample["amount_cents"][genuine]
    counts = [np.unique(customer[mask], return_counts=True)[1] for mask in _masks(persona)]
    spread = sum(c.var() / c.mean() * len(c) for c in counts) / sum(map(len, counts))
    yield between("transactions of a customer, var/mean", 20, 150, float(spread), "S")
    everybody = np.sort(np.concatenate(counts))[::-1]
    share = everybody[: max(1, len(everybody) // 10)].sum() / everybody.sum()
    yield between("share of the busiest tenth", 0.15, 0.30, float(share), "S", _PERCENT)
    buys = kind == KINDS.index(Kind.PURCHASE)
    who, of = customer[buys], persona[buys]
    if not buys.any():
        return
    log_amount = np.log(amount[buys])
    yield between("likeness of a customer's amounts (ICC)", 0.2, 0.6, _of_personas(log_amount, who, of), "S")
    hour = (time_s[buys] % DAY_S) / 3600
    yield least("likeness of a customer's hours (ICC)", 0.02, _of_personas(hour, who, of), "J")
    remote = (sample["channel"][genuine][buys] != CHANNELS.index(Channel.POS)).astype(float)
    yield least("likeness of a customer's remote share (ICC)", 0.02, _of_personas(remote, who, of), "J")
    category = sample["category"][genuine][buys]
    rest = log_amount - (np.bincount(category, log_amount) / np.maximum(1, np.bincount(category)))[category]
    yield least(
        "likeness of a shop's prices (ICC)", 0.03, intraclass(rest, sample["merchant"][genuine][buys]), "J"
    )
    out = ~np.isin(kind, [KINDS.index(k) for k in CREDIT_KINDS])
    yield between(
        "burstiness of a customer's payments", 0.2, 0.4, burstiness(customer[out], time_s[out]), "M"
    )


def burstiness(customer: Ints, time_s: Floats) -> float:
    """Mean of (σ − μ) / (σ + μ) of the gaps, over customers with enough of them (Goh and Barabási, 2008)."""
    order = np.lexsort((time_s, customer))
    customer, time_s = customer[order], time_s[order]
    same = customer[1:] == customer[:-1]
    gap, owner = np.diff(time_s)[same], customer[1:][same]
    _, owner, counts = np.unique(owner, return_inverse=True, return_counts=True)
    mean = np.bincount(owner, gap) / counts
    spread = np.sqrt(np.maximum(0, np.bincount(owner, gap**2) / counts - mean**2))
    enough = counts >= _HABIT
    return float(((spread - mean) / np.maximum(1e-9, spread + mean))[enough].mean()) if enough.any() else 0.0


# ---- months: what comes again


def _months(sample: Sample) -> Iterator[Figure]:
    genuine = sample["label"] == GENUINE
    posted = genuine & (sample["refused"] == 0)
    bills = {"utilities", "telecom", "insurance", "rent"}
    codes = sample.codes["category"]
    is_bill = posted & np.isin(sample["category"], [codes[name] for name in bills if name in codes])
    gaps = _gaps(sample, is_bill)
    if len(gaps) > _HABIT:
        yield between(
            "days from one bill to the next, median", 28, 31, float(np.median(gaps)), "rule", "{:.1f}"
        )
        yield most(
            "days from one bill to the next, CV", 0.2, float(gaps.std() / gaps.mean()), "rule", "{:.2f}"
        )
    rent = posted & (sample["category"] == codes.get("rent", -2))
    gaps = _gaps(sample, rent)
    if len(gaps) > _HABIT:
        yield between(
            "days from one rent to the next, median", 28, 31, float(np.median(gaps)), "rule", "{:.1f}"
        )
    paid = posted & (sample["category"] == codes.get("subscription", -2))
    same, again = _repeats(sample, paid)
    if again > _HABIT:
        yield least("subscriptions at the price of last time", 0.9, same / again, "rule", _PERCENT)


def _gaps(sample: Sample, keep: Bools) -> Floats:
    """Days between payments of one customer to one biller."""
    customer, merchant, time_s = sample["customer"][keep], sample["merchant"][keep], sample.time_s[keep]
    order = np.lexsort((time_s, merchant, customer))
    pair = np.stack([customer, merchant])[:, order]
    same = (pair[:, 1:] == pair[:, :-1]).all(axis=0)
    days: Floats = np.diff(time_s[order])[same] / DAY_S
    return days


def _repeats(sample: Sample, keep: Bools) -> tuple[int, int]:
    """How many payments to a biller are the same sum as the last, and of how many."""
    customer, merchant, cents = (sample[name][keep] for name in ("customer", "merchant", "amount_cents"))
    order = np.lexsort((sample.time_s[keep], merchant, customer))
    columns = np.stack([customer, merchant, cents])[:, order]
    same = columns[:, 1:] == columns[:, :-1]
    again = same[:2].all(axis=0)
    return int((again & same[2]).sum()), int(again.sum())


# ---- who pays whom


def _network(sample: Sample) -> Iterator[Figure]:
    paid = (sample["label"] == GENUINE) & (sample["payee"] >= 0) & (sample["payee"] != sample["customer"])
    payer, payee = sample["customer"][paid], sample["payee"][paid]
    edges = np.unique(np.stack([payer, payee]), axis=1)
    if edges.shape[1] < 100:
        return
    size = int(edges.max()) + 1
    degree = np.bincount(edges[1], minlength=size)
    yield between("payers of a customer, var/mean", 5, 60, float(degree.var() / degree.mean()), "C")
    keys, back = edges[0] * size + edges[1], edges[1] * size + edges[0]
    yield between(
        "payments to a customer that are returned", 0.1, 0.6, float(np.isin(keys, back).mean()), "J", _PERCENT
    )
    if size <= 3000:
        yield least("circles of three, against chance", 2, _clustering(edges, size), "J", "{:.1f}")


def _clustering(edges: Ints, size: int) -> float:
    """Transitivity of the undirected network, as a multiple of its density."""
    linked = np.zeros((size, size), np.float32)
    linked[edges[0], edges[1]] = linked[edges[1], edges[0]] = 1
    degree = linked.sum(axis=1)
    wedges = float((degree * (degree - 1)).sum())
    closed = float(((linked @ linked) * linked).sum())
    return closed / max(1.0, wedges) / max(1e-9, float(linked.mean()))


# ---- refusals and devices


#: Of the genuine rows, lowest and highest: IBM's TabFormer cards have 24 and 4 of 10,000 with a bad PIN and a
#: bad expiry date, and 100 without the funds.
_DECLINED = (
    (Decline.FUNDS, 0.01, 0.05, "M"),
    (Decline.WRONG_PIN, 0.001, 0.005, "M"),
    (Decline.EXPIRED_CARD, 0.0001, 0.0015, "M"),
    (Decline.LIMIT, 0.0001, 0.003, "J"),
)


def _refusals(sample: Sample) -> Iterator[Figure]:
    label, refused = sample["label"], sample["refused"] > 0
    yield between(
        "genuine payments refused", 0.02, 0.06, float(refused[label == GENUINE].mean()), "X", "{:.2%}"
    )
    reasons = np.bincount(sample["refused"][label == GENUINE], minlength=len(DECLINES))
    for decline, low, high, source in _DECLINED:
        share = float(reasons[DECLINES.index(decline)]) / max(1, int(reasons.sum()))
        yield between(f"genuine payments refused: {decline}", low, high, share, source, "{:.3%}")
    customer, time_s = sample["customer"], sample.time_s
    out = (label == GENUINE) & ~np.isin(sample["kind"], [KINDS.index(k) for k in CREDIT_KINDS])
    at = np.flatnonzero(out)
    at = at[np.lexsort((time_s[at], customer[at]))]
    follows = (customer[at][1:] == customer[at][:-1]) & (np.diff(time_s[at]) < 3600)
    if refused[at].sum() > _HABIT:
        retried = float(follows[refused[at][:-1]].mean())
        yield least("refusals tried again within the hour", 0.2, retried, "J", _PERCENT)
    wrong = sample["refused"][at][:-1] == DECLINES.index(Decline.WRONG_PIN)
    if wrong.sum() > _HABIT:
        soon = float((follows & (np.diff(time_s[at]) <= 60))[wrong].mean())
        yield least("wrong PINs tried again within a minute", 0.4, soon, "J", _PERCENT)
    base = float(sample.is_fraud.mean())
    if base > 0 and refused.sum() > _HABIT:
        yield most(
            "refused rows that are fraud, base rate = 1",
            5,
            float(sample.is_fraud[refused].mean()) / base,
            "rule",
            "{:.1f}",
        )


def _devices(sample: Sample) -> Iterator[Figure]:
    label, device, customer = sample["label"], sample["device"], sample["customer"]
    late = sample.time_s > sample.time_s.min() + BURN_IN_DAYS * DAY_S
    new = first_of_pair(customer, device)
    genuine = label == GENUINE
    yield between(
        "genuine rows with a device new to the customer",
        0.01,
        0.05,
        float(new[genuine & late].mean()),
        "M",
        "{:.2%}",
    )
    if (new & late).sum() > _HABIT and sample.is_fraud.any():
        yield most(
            "a device new to the customer is fraud",
            0.3,
            float(sample.is_fraud[new & late].mean()),
            "rule",
            _PERCENT,
        )
    pairs = np.unique(np.stack([device[genuine], customer[genuine]]), axis=1)
    users = np.bincount(pairs[0])
    shared = users[device[genuine]] > 1
    yield between(
        "genuine rows with a device that several customers use",
        0.01,
        0.15,
        float(shared.mean()),
        "J",
        _PERCENT,
    )


# ---- what must not give fraud away


def _tells(sample: Sample, home_country: str) -> Iterator[Figure]:
    fraud, genuine = sample.is_fraud, sample["label"] == GENUINE
    if fraud.sum() < _HABIT:
        return
    customer, kind, time_s = sample["customer"], sample["kind"], sample.time_s
    transfer = kind == KINDS.index(Kind.TRANSFER)
    third = transfer & (rank_within(customer * len(KINDS) + kind, time_s, 3600) >= 2)
    if third.sum() > _HABIT:
        yield most(
            "a third transfer within the hour is fraud", 0.5, float(fraud[third].mean()), "rule", _PERCENT
        )
    whole = sample["amount_cents"] % 100 == 0
    if (fraud & transfer).sum() > _HABIT:
        apart = float(whole[transfer & genuine].mean() - whole[transfer & fraud].mean())
        yield between("whole sums among transfers, genuine less fraud", -0.2, 0.2, apart, "rule", "{:+.2f}")
    abroad = np.array([not name.startswith(home_country) for name in sample.codes["city"]])[sample["city"]]
    ratio = float(abroad[fraud].mean() / max(1e-9, abroad[genuine].mean()))
    yield least("fraud abroad, genuine = 1", 1.0, ratio, "P", "{:.1f}")
    fresh = seconds_since(customer, time_s) < 60
    yield most(
        "a payment within a minute of the last is fraud", 0.5, float(fraud[fresh].mean()), "rule", _PERCENT
    )
