"""The self-check of a data set: does it look like what was published, and can fraud be told too easily?

`Sample` keeps the rows as columns of numbers, about 60 bytes a row: the first `MAX_ROWS`, ``left_out``
counts the others.  `separate` tries two naive detectors, `compare` sets genuine rows against published
figures, `Checker` says whether the set is fit to be trusted.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from math import erf, log, sqrt
from typing import Any

from banksim.activity.calendar import PAY_SHARES
from banksim.dataset.stream import Entry
from banksim.model import BanksimError, Channel, Kind, Label
from banksim.model.money import to_units
from banksim.run.plan import Parts
from banksim.world import unit_scale

MAX_ROWS = 2_000_000
KINDS = tuple(Kind)
CHANNELS = tuple(Channel)
_KIND_CODE = {kind: code for code, kind in enumerate(KINDS)}
_CHANNEL_CODE = {channel: code for code, channel in enumerate(CHANNELS)}
GENUINE, FRAUD, DECOY = 0, 1, 2
_LABEL_CODE = {Label.GENUINE: GENUINE, Label.FRAUD: FRAUD, Label.DECOY: DECOY}


class Sample:
    """Columns of equal length.  ``time_s`` is unix seconds; names and campaigns are numbered as they come."""

    def __init__(self) -> None:
        self.time_s = array("d")
        self.amount_cents = array("q")
        self.balance_cents = array("q")
        self.customer = array("q")
        self.id_number = array("q")
        self.name = array("q")
        self.kind = array("b")
        self.channel = array("b")
        self.label = array("b")
        self.campaign = array("q")
        self.left_out = 0
        self._names: dict[str, int] = {}
        self._campaigns: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self.time_s)

    def add(self, entries: list[Entry]) -> None:
        room = MAX_ROWS - len(self)
        self.left_out += max(0, len(entries) - room)
        names, campaigns = self._names, self._campaigns
        for planned, _, before in entries[:room]:
            tx, truth = planned.transaction, planned.truth
            self.time_s.append(tx.timestamp_s)
            self.amount_cents.append(tx.amount_cents)
            self.balance_cents.append(before)
            self.customer.append(tx.account.customer_index)
            self.id_number.append(int(tx.transaction_id[:8], 16))
            # Descriptions of purchases hold the shop's name; there are as many as there are shops.
            self.name.append(names.setdefault(tx.description, len(names)))
            self.kind.append(_KIND_CODE[tx.kind])
            self.channel.append(_CHANNEL_CODE[tx.channel])
            self.label.append(_LABEL_CODE[truth.label])
            self.campaign.append(campaigns.setdefault(truth.campaign_id, len(campaigns)))


# -- Can fraud be told from a glance?  Two naive detectors that must fail ----------------------------
#
# A depth-2 decision tree on amount, hour, weekday, id, name, customer and balance, and a scorer per column
# that learns the fraud rate of each value (of fifty bins, where values are numbers).  Both learn from one
# half of the campaigns and are measured on the other, by average precision: the base rate is what a coin
# reaches, 1 is perfect.  Decoys count as genuine, as they do everywhere.


NO_SKLEARN = "The self-check needs scikit-learn: pip install 'banksim[check]'"
#: Fraud rows, in the half that is learnt from and in the other, below which nothing can be said.
LEAST_FRAUD = 50
_BINS = 50
_SMOOTHING = 50.0
_SEED = 0


@dataclass(frozen=True, slots=True)
class Separations:
    """``base_rate`` is the share of fraud in the half that is measured; ``precisions`` by detector."""

    base_rate: float
    precisions: dict[str, float]


def import_sklearn() -> tuple[Any, Any, Any]:
    """numpy, the tree, and average precision.  Raises BanksimError where they are not installed."""
    try:
        import numpy
        from sklearn.metrics import average_precision_score
        from sklearn.tree import DecisionTreeClassifier
    except ImportError as error:
        raise BanksimError(NO_SKLEARN) from error
    return numpy, DecisionTreeClassifier, average_precision_score


def separate(sample: Sample) -> Separations | None:
    """Try to cheat; None when there is too little fraud to say."""
    np, tree_type, average_precision = import_sklearn()
    columns = {name: np.asarray(values) for name, values in _columns(sample, np).items()}
    fraud = np.asarray(sample.label) == FRAUD
    learns = _learning_half(sample, np)
    tests = ~learns
    if fraud[learns].sum() < LEAST_FRAUD or fraud[tests].sum() < LEAST_FRAUD:
        return None
    table = np.column_stack(list(columns.values()))
    tree = tree_type(max_depth=2, class_weight="balanced", random_state=_SEED)
    tree.fit(table[learns], fraud[learns])
    scores = tree.predict_proba(table[tests])[:, 1]
    found = {"depth-2 tree on all of them": float(average_precision(fraud[tests], scores))}
    for name, values in columns.items():
        scores = _scored(values, fraud, learns, name == "name", np)
        found[f"{name} alone"] = float(average_precision(fraud[tests], scores[tests]))
    return Separations(float(fraud[tests].mean()), found)


def _columns(sample: Sample, np: Any) -> dict[str, Any]:
    hours = np.asarray(sample.time_s) // 3600
    return {
        "amount": sample.amount_cents,
        "hour": hours % 24,
        "weekday": (hours // 24 + 3) % 7,
        "id": sample.id_number,
        "customer": sample.customer,
        "name": sample.name,
        "balance": sample.balance_cents,
    }


def _learning_half(sample: Sample, np: Any) -> Any:
    """Half of the campaigns, whole, and half of the genuine rows."""
    label, campaign = np.asarray(sample.label), np.asarray(sample.campaign)
    by_chance = np.random.default_rng(_SEED).random(len(label)) < 0.5
    return np.where(label == GENUINE, by_chance, campaign % 2 == 0)


def _scored(values: Any, fraud: Any, learns: Any, is_name: bool, np: Any) -> Any:
    """For every row the fraud rate its value had in the learning half, drawn towards the mean."""
    if is_name:
        bins = values
    else:
        edges = np.unique(np.quantile(values[learns], np.linspace(0, 1, _BINS + 1)[1:-1]))
        bins = np.searchsorted(edges, values, side="right")
    size = int(bins.max()) + 1
    rows = np.bincount(bins[learns], minlength=size)
    hits = np.bincount(bins[learns], weights=fraud[learns], minlength=size)
    mean = fraud[learns].mean()
    return ((hits + _SMOOTHING * mean) / (rows + _SMOOTHING))[bins]


# -- Genuine rows against published figures ----------------------------------------------------------
#
# Tolerances are judgement: wide enough for what a persona's own rhythm changes, narrow enough that a
# mistake in the code shows.  A figure that a set cannot have (weekdays of half a week) is not judged.


#: Card purchases by hour, % of a day (J, consistent with X sources).
HOURS = (
    *(0.8, 0.4, 0.25, 0.2, 0.25, 0.6, 1.8, 3.4, 4.8, 5.0, 5.4, 6.4),
    *(8.0, 7.4, 6.0, 6.0, 6.6, 7.6, 7.8, 7.0, 5.6, 4.2, 2.9, 1.6),
)
#: Card purchases by weekday, relative to their mean (J).
WEEKDAYS = (0.90, 0.93, 0.96, 1.02, 1.15, 1.18, 0.86)
DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
#: Payments of a person a month (X, US consumers 2024).
PAYMENTS_A_MONTH = 48.0
#: Mean card purchase in dollars (C, Regulation II, 2023).
MEAN_PURCHASE = 46.7
#: Two kinds of card payments: share and mean in pounds (C, UK Finance, December 2023), brought to
#: `MEAN_PURCHASE` in all, each a log-normal with the sigma of card purchases (C, PaySim's aggregates).
MIXTURE = ((0.73, 17.3), (0.27, 80.0))
PURCHASE_SIGMA = 0.74
#: Share of purchases up to so many units in a Spanish card set (X, BankSim): another country, not judged.
BANDS = ((10, 0.18), (20, 0.37), (50, 0.83), (100, 0.965))
#: Purchases in a shop: 73 % of card payments inside the UK are contactless (C, December 2023).
IN_STORE = 0.73
#: Standard deviation of the logarithm of transfers (C, PaySim's aggregates).
TRANSFER_SIGMA = 1.39
MONTH_DAYS = 30.4
_LEAST_ROWS = 5000
_LEAST_PAID = 100


@dataclass(frozen=True, slots=True)
class Comparison:
    """One figure.  ``passed`` is None where it is shown but not judged."""

    name: str
    target: str
    measured: str
    passed: bool | None
    source: str


class Genuine:
    """The genuine rows of a sample, as arrays."""

    def __init__(self, sample: Sample, np: Any, currency: str) -> None:
        keep = np.asarray(sample.label) == GENUINE
        self.np = np
        self.time_s = np.asarray(sample.time_s)[keep]
        self.units = np.asarray(sample.amount_cents)[keep] * to_units(1, currency) / unit_scale(currency)
        self.customer = np.asarray(sample.customer)[keep]
        self.kind = np.asarray(sample.kind)[keep]
        self.channel = np.asarray(sample.channel)[keep]
        self.purchase = self.kind == KINDS.index(Kind.PURCHASE)
        span_s = (
            float(np.asarray(sample.time_s).max() - np.asarray(sample.time_s).min()) if len(sample) else 0.0
        )
        self.days = span_s / 86_400

    def of(self, kind: Kind) -> Any:
        return self.kind == KINDS.index(kind)


def compare(sample: Sample, np: Any, currency: str, customers: int) -> list[Comparison]:
    """Every figure of this set that has a published counterpart."""
    rows = Genuine(sample, np, currency)
    if rows.purchase.sum() < _LEAST_ROWS:
        return []
    return [
        *_hours(rows),
        *_weekdays(rows),
        *_amounts(rows),
        *_channels(rows),
        *_frequency(rows, customers),
        *_salaries(rows),
        *_spending_wave(rows),
    ]


def _hours(rows: Genuine) -> Iterator[Comparison]:
    np = rows.np
    counts = np.bincount((rows.time_s[rows.purchase] // 3600 % 24).astype(int), minlength=24)
    shares = counts / counts.sum() * 100
    judged = rows.days > 0.99
    for start in range(0, 24, 3):
        target, measured = sum(HOURS[start : start + 3]), float(shares[start : start + 3].sum())
        passed = abs(measured - target) <= 1.0 if judged else None
        name = f"purchases {start:02d}–{start + 3:02d} h"
        yield Comparison(name, f"{target:.1f} %", f"{measured:.1f} %", passed, "J, X")


def _weekdays(rows: Genuine) -> Iterator[Comparison]:
    np = rows.np
    days = (rows.time_s[rows.purchase] // 86_400).astype(int)
    counts = np.bincount((days + 3) % 7, minlength=7)
    # Whole weeks only: else some days came more often.
    judged = rows.days > 6.99 and abs(rows.days / 7 - round(rows.days / 7)) < 0.02
    for day, target in enumerate(WEEKDAYS):
        measured = float(counts[day] / counts.sum() * 7)
        passed = abs(measured - target) <= 0.05 if judged else None
        yield Comparison(f"purchases on {DAY_NAMES[day]}", f"{target:.2f}", f"{measured:.2f}", passed, "J")


def _amounts(rows: Genuine) -> Iterator[Comparison]:
    np, units = rows.np, rows.units[rows.purchase]
    yield _near("mean purchase", MEAN_PURCHASE, float(units.mean()), 0.15, "C")
    for share in (0.25, 0.5, 0.75, 0.95):
        measured = float(np.quantile(units, share))
        yield _near(f"purchase, {share:.0%} quantile", mixture_quantile(share), measured, 0.3, "C")
    for most, target in BANDS:
        measured = float((units <= most).mean())
        yield Comparison(f"purchases up to {most}", f"{target:.1%}", f"{measured:.1%}", None, "X")
    transfers = np.log(rows.units[rows.of(Kind.TRANSFER)])
    if len(transfers) < _LEAST_PAID:
        return
    yield _near("transfers, sigma of the logarithm", TRANSFER_SIGMA, float(transfers.std()), 0.15, "C")


def mixture_quantile(share: float) -> float:
    """The purchase below which ``share`` of `MIXTURE` lies, in units."""
    scale = MEAN_PURCHASE / sum(part * mean for part, mean in MIXTURE)
    low, high = 0.01, 10_000.0
    while high - low > 0.001:
        middle = (low + high) / 2
        below = sum(
            part * _normal_below((log(middle / (mean * scale)) + PURCHASE_SIGMA**2 / 2) / PURCHASE_SIGMA)
            for part, mean in MIXTURE
        )
        low, high = (middle, high) if below < share else (low, middle)
    return low


def _normal_below(deviations: float) -> float:
    return (1 + erf(deviations / sqrt(2))) / 2


def _channels(rows: Genuine) -> Iterator[Comparison]:
    in_store = float((rows.channel[rows.purchase] == CHANNELS.index(Channel.POS)).mean())
    passed = abs(in_store - IN_STORE) <= 0.05
    yield Comparison("purchases in a shop", f"{IN_STORE:.0%}", f"{in_store:.0%}", passed, "C")


def _frequency(rows: Genuine, customers: int) -> Iterator[Comparison]:
    paid_in = rows.of(Kind.SALARY) | rows.of(Kind.DEPOSIT)
    measured = float((~paid_in).sum()) / customers / max(rows.days, 1e-9) * MONTH_DAYS
    judged = _near("payments of a customer a month", PAYMENTS_A_MONTH, measured, 0.10, "X")
    yield judged if rows.days > 6.99 else Comparison(judged.name, judged.target, judged.measured, None, "X")


def _salaries(rows: Genuine) -> Iterator[Comparison]:
    periods = _pay_periods(rows)
    if len(periods) < _LEAST_PAID:
        return
    # Somebody paid monthly shows it after two months at the earliest.
    judged = rows.days > 75
    total = sum(PAY_SHARES.values())
    names = {7: "weekly", 14: "every two weeks", 15: "twice a month", 30: "monthly"}
    for period, name in names.items():
        target, measured = PAY_SHARES[period] / total, periods.count(period) / len(periods)
        passed = abs(measured - target) <= 0.04 if judged else None
        yield Comparison(f"paid {name}", f"{target:.1%}", f"{measured:.1%}", passed, "X")


def _pay_periods(rows: Genuine) -> list[int]:
    """How often each customer with two salaries or more is paid, read off the days of their salaries."""
    salary = rows.of(Kind.SALARY)
    days: dict[int, list[int]] = {}
    for index, time_s in zip(rows.customer[salary].tolist(), rows.time_s[salary].tolist(), strict=True):
        days.setdefault(index, []).append(int(time_s // 86_400))
    periods = []
    for paid in days.values():
        gaps = [b - a for a, b in pairwise(paid)]
        if not gaps:
            continue
        if all(gap % 7 == 0 for gap in gaps):
            periods.append(7 if any(gap % 14 for gap in gaps) else 14)
        else:
            periods.append(30 if min(gaps) > 20 else 15)
    return periods


def _spending_wave(rows: Genuine) -> Iterator[Comparison]:
    """Purchases a day in the week after a salary against the time after that week."""
    np = rows.np
    salary = rows.of(Kind.SALARY)
    days: dict[int, list[float]] = {}
    for index, time_s in zip(rows.customer[salary].tolist(), rows.time_s[salary].tolist(), strict=True):
        days.setdefault(index, []).append(time_s)
    early = late = early_days = late_days = 0.0
    order = np.argsort(rows.customer[rows.purchase], kind="stable")
    who, when = rows.customer[rows.purchase][order], rows.time_s[rows.purchase][order]
    for index, paid in days.items():
        low, high = np.searchsorted(who, [index, index + 1])
        moments = when[low:high]
        for a, b in pairwise(paid):
            if (b - a) / 86_400 < 12 or (b - a) / 86_400 > 35:
                continue
            week_end, first, last = np.searchsorted(moments, [a + 7 * 86_400, a, b])
            early, late = early + week_end - first, late + last - week_end
            early_days, late_days = early_days + 7, late_days + (b - a) / 86_400 - 7
    if early_days < 7 * _LEAST_PAID or not late:
        return
    ratio = float((early / early_days) / (late / late_days))
    passed = 1.05 <= ratio <= 1.5
    yield Comparison(
        "spending in the week after pay day, later = 1", "above 1.05", f"{ratio:.2f}", passed, "X"
    )


def _near(name: str, target: float, measured: float, tolerance: float, source: str) -> Comparison:
    passed = abs(measured - target) <= tolerance * target
    return Comparison(name, f"{target:.3g}", f"{measured:.3g}", passed, source)


# -- The verdict ---------------------------------------------------------------------------------------


#: From this sophistication on, fraud must not be found by a naive detector.
CAREFUL = 0.7
#: The most that a naive detector may reach: this much average precision above the base rate.
MARGIN = 0.05


@dataclass(frozen=True, slots=True)
class Report:
    """The check as Markdown text; ``passed`` when nothing judged missed its target."""

    text: str
    passed: bool


class Checker:
    """Sees every block of rows; `report` at the end.  Raises BanksimError without scikit-learn."""

    def __init__(self, parts: Parts) -> None:
        import_sklearn()
        self._parts = parts
        self._sample = Sample()

    def add(self, entries: list[Entry]) -> None:
        self._sample.add(entries)

    def report(self) -> Report:
        """Compare and try to cheat."""
        np, _, _ = import_sklearn()
        world = self._parts.world
        comparisons = compare(self._sample, np, world.currency, world.population.size)
        comparisons += self._separations(separate(self._sample))
        passed = all(c.passed is not False for c in comparisons)
        return Report(_text(comparisons, self._sample, passed), passed)

    def _separations(self, tried: Separations | None) -> list[Comparison]:
        if tried is None:
            return []
        careful = all(spec.sophistication >= CAREFUL for spec in self._parts.desk.specs)
        return [
            Comparison(
                f"average precision: {name}",
                f"near {tried.base_rate:.3f}",
                f"{precision:.3f}",
                precision <= tried.base_rate + MARGIN if careful else None,
                "rule",
            )
            for name, precision in tried.precisions.items()
        ]


def _text(comparisons: list[Comparison], sample: Sample, passed: bool) -> str:
    words = {True: "pass", False: "**miss**", None: "not judged"}
    lines = ["| figure | target | measured | result | source |", "|---|---|---|---|---|"]
    lines += [
        f"| {c.name} | {c.target} | {c.measured} | {words[c.passed]} | {c.source} |" for c in comparisons
    ]
    judged = sum(c.passed is not None for c in comparisons)
    missed = sum(c.passed is False for c in comparisons)
    verdict = "pass" if passed else "miss"
    lines += ["", f"Self-check: {verdict}. {judged - missed} of {judged} judged figures meet their target."]
    if not comparisons:
        lines = ["Self-check: too few rows to say anything."]
    if sample.left_out:
        lines.append(f"Only the first {len(sample):,} rows were looked at; {sample.left_out:,} were not.")
    return "\n".join(lines)
