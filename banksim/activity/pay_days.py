"""When whom is paid, and how free the money sits afterwards.

A customer belongs to one of a few pay classes, by a hash of seed and index: weekly or every
two weeks on a fixed working day, on the 15th and the last of a month, or once near the
month's end.  A pay day on a weekend moves to the Friday before.  So "is this the pay day of
customer 71,306" costs no customer, no habits and no memory, and intervals between
salaries are whole weeks or months, as on real statements.

Spending is highest in the week after pay day (X, CaixaBank): `SPENDING` is how willing a
customer is to spend so many days after it.
"""

from __future__ import annotations

from datetime import date, timedelta
from zlib import crc32

from banksim.world import stream_key

#: How many are paid how often (X, BLS 2019): every 7 days, 14 days, twice a month, once a month.
PAY_SHARES = {7: 33.8, 14: 42.2, 15: 18.6, 30: 5.4}
#: Last days of the month on which those paid once a month are paid (judgement).
_MONTHLY_DAYS = (25, 26, 27, 28, 29, 30, 31)
#: Willingness to spend by days since pay day: in the first, the second and later weeks (judgement).
SPENDING = (1.0,) * 7 + (0.86,) * 7 + (0.78,) * 40
_MOST_DAYS = 40
_TABLE_SIZE = 4096
_EPOCH = date(1970, 1, 1)
#: Days whose tables are kept.
_MAX_DAYS_KEPT = 64

#: A pay class: days between two pay days (as in `PAY_SHARES`), and which of them.
PayClass = tuple[int, int]
_CLASSES: tuple[PayClass, ...] = (
    *((7, weekday) for weekday in range(5)),
    *((14, day) for day in (0, 1, 2, 3, 4, 7, 8, 9, 10, 11)),
    (15, 0),
    *((30, day) for day in _MONTHLY_DAYS),
)


class PayDays:
    """The pay calendar of one seed's customers.  Days are counted from 1 January 1970."""

    def __init__(self, seed: int) -> None:
        self._salt = stream_key(seed, "pay days") & 0xFFFFFFFF
        self._class_at = _class_table()
        self._days: dict[int, tuple[int, ...]] = {}

    def period_days(self, index: int) -> int:
        """7, 14, 15 (twice a month) or 30 (once)."""
        return _CLASSES[self.class_of(index)][0]

    def class_of(self, index: int) -> int:
        """The customer's pay class, as a position in what `since` returns."""
        return self._class_at[crc32(index.to_bytes(8, "little"), self._salt) >> 20]

    def since(self, day: int) -> tuple[int, ...]:
        """Days since the last pay day of each class on ``day``; 0 on a pay day itself."""
        found = self._days.get(day)
        if found is None:
            if len(self._days) >= _MAX_DAYS_KEPT:
                self._days.clear()
            found = self._days[day] = tuple(_days_since(pay, day) for pay in _CLASSES)
        return found


def _class_table() -> tuple[int, ...]:
    """Positions of `_CLASSES`, each as often as its share of `_TABLE_SIZE`."""
    members = {period: [k for k, (p, _) in enumerate(_CLASSES) if p == period] for period in PAY_SHARES}
    total = sum(PAY_SHARES.values())
    table: list[int] = []
    passed = 0.0
    for period, share in PAY_SHARES.items():
        passed += share
        end = round(_TABLE_SIZE * passed / total)
        same = members[period]
        table += [same[k % len(same)] for k in range(end - len(table))]
    return tuple(table)


def _days_since(pay: PayClass, day: int) -> int:
    for back in range(_MOST_DAYS):
        if _is_pay_day(pay, day - back):
            return back
    return _MOST_DAYS


def _is_pay_day(pay: PayClass, day: int) -> bool:
    period, which = pay
    if period <= 14:
        return (day + 3) % period == which  # day 0 was a Thursday
    moment = _EPOCH + timedelta(days=day)
    if moment.weekday() > 4:
        return False
    # On a Friday also what falls on the weekend after it.
    covered = [moment + timedelta(days=k) for k in range(3 if moment.weekday() == 4 else 1)]
    return any(_falls_on(period, which, nominal) for nominal in covered)


def _falls_on(period: int, which: int, moment: date) -> bool:
    is_last = (moment + timedelta(days=1)).month != moment.month
    if period == 15:
        return moment.day == 15 or is_last
    return moment.day == which or (is_last and which > moment.day)
