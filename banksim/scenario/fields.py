"""Field types of the scenario schema, each with its own text for a wrong value.

pydantic checks; the error texts are ours.  Every type here carries one text ("a number
from 0 to 1") that follows "expected" in an error line and describes the type in the
reference, so each limit is written once.

Booleans are refused where a number is wanted (YAML's `yes` would count as 1), and so
are infinities and NaN.  Numeric text is accepted: YAML reads `1e-3` as text.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    WithJsonSchema,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

#: The error type that marks "the message is the text after 'expected'".
EXPECTED = "expected"

HOURS_PER_DAY = 24


class Block(BaseModel):
    """A mapping of the scenario file: fixed keys, unknown ones refused, immutable."""

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=False)


@dataclass(frozen=True, slots=True)
class Expected:
    """Any failure of the annotated type reads "expected ``text``"."""

    text: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        message = self.text.replace("{", "{{").replace("}", "}}")
        return core_schema.custom_error_schema(handler(source), EXPECTED, custom_error_message=message)


def refuse_bool(value: Any) -> Any:
    """Pass everything except a truth value, which Python would accept as 0 or 1."""
    if isinstance(value, bool):
        raise ValueError("a truth value is not a number")
    return value


def _plain(limit: float) -> str:
    """A limit without exponent, however large."""
    return str(limit) if isinstance(limit, int) else f"{limit:.15g}"


@dataclass(frozen=True, slots=True)
class Number:
    """A finite number between limits: ``low``..``high`` inclusive, ``above`` and ``below`` exclusive.

    Works on ``float``, ``int`` and ``Decimal`` annotations; the error text follows from the limits.
    """

    low: float | None = None
    high: float | None = None
    above: float | None = None
    below: float | None = None

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        inner = dict(handler(source))
        inner |= {
            key: value
            for key, value in (("ge", self.low), ("le", self.high), ("gt", self.above), ("lt", self.below))
            if value is not None
        }
        if inner["type"] != "int":
            inner["allow_inf_nan"] = False
        checked = core_schema.no_info_before_validator_function(refuse_bool, inner)
        return core_schema.custom_error_schema(
            checked, EXPECTED, custom_error_message=self.words(whole=inner["type"] == "int")
        )

    def words(self, whole: bool) -> str:
        """The limits as text: "a whole number from 1 to 5", "a number above 0 and at most 100"."""
        noun = "a whole number" if whole else "a number"
        if self.low is not None and self.high is not None:
            return f"{noun} from {_plain(self.low)} to {_plain(self.high)}"
        limits = []
        for word, limit in (
            ("at least", self.low),
            ("above", self.above),
            ("at most", self.high),
            ("below", self.below),
        ):
            if limit is not None:
                limits.append(f"{word} {_plain(limit)}")
        return " ".join([noun, " and ".join(limits)]).strip()


def _whole_hundredths(amount: Decimal) -> Decimal:
    """5000, 5000.0 and 5000.00 are one amount, with one text."""
    return amount.quantize(Decimal("0.01"))


def _check_hours(window: tuple[int, int]) -> tuple[int, int]:
    start, end = window[0] % HOURS_PER_DAY, window[1]
    if start == end % HOURS_PER_DAY and (start, end) != (0, HOURS_PER_DAY):
        raise ValueError("an empty window")
    return start, end


def _check_ascending(span: tuple[float, float]) -> tuple[float, float]:
    if span[0] > span[1]:
        raise ValueError("the larger number first")
    return span


def _one_or_two(value: Any) -> Any:
    """``4`` is short for ``[4, 4]``."""
    return value if isinstance(value, list | tuple) else (value, value)


@dataclass(frozen=True, slots=True)
class Matches:
    """Text that matches the whole regular expression, which is also in the JSON Schema."""

    pattern: str

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        compiled = re.compile(self.pattern)

        def check(text: str) -> str:
            if not compiled.fullmatch(text):
                raise ValueError("not of the form")
            return text

        return core_schema.no_info_after_validator_function(check, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {**handler(schema), "pattern": f"^(?:{self.pattern})$"}


Share = Annotated[float, Number(0, 1)]
Multiplier = Annotated[float, Number(0, 1000)]
Positive = Annotated[float, Number(above=0)]
Minutes = Annotated[float, Number(0, 527_040)]
PositiveMinutes = Annotated[float, Number(above=0, high=527_040)]
Count = Annotated[int, Number(1, 10_000_000)]
Port = Annotated[int, Number(1, 65_535)]
Balance = Annotated[
    Decimal,
    Number(0, 1_000_000_000),
    AfterValidator(_whole_hundredths),
    WithJsonSchema({"type": "number", "minimum": 0, "maximum": 1_000_000_000}),
]
Amount = Annotated[float, Number(above=0, high=1_000_000_000)]
Hours = Annotated[float, Number(0, 8784)]
Hops = Annotated[int, Number(1, 100)]
Hour = Annotated[int, Number(0, 23)]
Month = Annotated[int, Number(1, 12)]

#: Clock hours [start, end), end exclusive; may wrap past midnight.  A start of 24 is read as 0.
HourWindow = Annotated[
    tuple[Annotated[int, Number(0, 24)], Annotated[int, Number(0, 24)]],
    AfterValidator(_check_hours),
    Expected("two different whole hours [start, end] from 0 to 24"),
]
AmountRange = Annotated[
    tuple[Amount, Amount],
    AfterValidator(_check_ascending),
    Expected("two amounts above 0, the smaller first"),
]
DelayRange = Annotated[
    tuple[Hours, Hours],
    BeforeValidator(_one_or_two, json_schema_input_type=Hours | tuple[Hours, Hours]),
    AfterValidator(_check_ascending),
    Expected("hours from 0, one number or two with the smaller first"),
]
HopRange = Annotated[
    tuple[Hops, Hops],
    BeforeValidator(_one_or_two, json_schema_input_type=Hops | tuple[Hops, Hops]),
    AfterValidator(_check_ascending),
    Expected("a whole number from 1 to 100, or two with the smaller first"),
]
LatencyRange = Annotated[
    tuple[Annotated[float, Number(0, 600_000)], Annotated[float, Number(0, 600_000)]],
    BeforeValidator(_one_or_two, json_schema_input_type=float | tuple[float, float]),
    AfterValidator(_check_ascending),
    Expected("milliseconds from 0 to 600000, one number or two with the smaller first"),
]
AmountList = Annotated[tuple[Amount, ...], Expected("a list of amounts above 0")]
Url = Annotated[
    str,
    Matches(r"(https?://[^\s/?#@]+(/[^\s?#]*)?)?"),
    Expected("an address starting with http:// or https:// without a user name (see basic:), or '' for none"),
]
KafkaServers = Annotated[
    str,
    Matches(r"(embedded|[^\s,:/]+:\d{1,5}(\s*,\s*[^\s,:/]+:\d{1,5})*)?"),
    Expected("host:port, or several with commas between, or 'embedded'"),
]
Label = Annotated[
    str,
    Matches(r"\S(.{0,98}\S)?"),
    Expected("a name of 1 to 100 characters"),
]


# -- `transaction_rate`: how many transactions a wall-clock second, hour by hour --------------------
#
# Rates are on the wall clock at any speed, because that is the load of the system under test, unless
# `per` says otherwise.  Missing multipliers count as 1.


Tps = Annotated[float, Number(0, 100_000)]
Weekday = Annotated[
    str,
    Field(pattern="^(monday|tuesday|wednesday|thursday|friday|saturday|sunday)$"),
    Expected("monday, tuesday, wednesday, thursday, friday, saturday or sunday"),
]


class TransactionRate(Block):
    """The offered rate over the day, the week and the year."""

    peak_tps: Tps = Field(description="Transactions per second inside `business_hours`.")
    off_peak_tps: Tps = Field(description="Transactions per second outside `business_hours`.")
    business_hours: HourWindow = Field(
        default=(8, 18),
        description="Clock hours [start, end) of the peak rate; the end hour is not part of it, 24 is "
        "midnight, and [22, 4] runs past midnight.",
    )
    weekend_multiplier: Multiplier = Field(
        default=1.0,
        description="Factor on Saturdays and Sundays; without effect when `weekday_multipliers` is given.",
    )
    hourly_multipliers: dict[Hour, Multiplier] = Field(
        default_factory=dict, description="Factor by clock hour (0 to 23); hours not named count as 1."
    )
    weekday_multipliers: dict[Weekday, Multiplier] = Field(
        default_factory=dict,
        description="Factor by weekday (monday to sunday); days not named count as 1.",
    )
    seasonal_multipliers: dict[Month, Multiplier] = Field(
        default_factory=dict, description="Factor by month (1 to 12); months not named count as 1."
    )
    per: Literal["wall", "simulated"] = Field(
        default="wall",
        description="Whose second the rates are of: `wall`, so that a higher speed makes the day thinner; "
        "`simulated`, so that it multiplies the load and each customer's day stays as it is.",
    )


#: Histories begin before a run and campaigns end after it: both need room.
FIRST_YEAR, LAST_YEAR = 1000, 9000


def _without_zone(moment: datetime) -> datetime:
    """Simulated time has no zone; UTC is taken as written, any other zone refused."""
    offset = moment.utcoffset()
    if offset:
        raise ValueError("a time zone")
    if not FIRST_YEAR <= moment.year <= LAST_YEAR:
        raise ValueError("too near an end of the calendar")
    return moment.replace(tzinfo=None)


StartMoment = Annotated[
    datetime,
    AfterValidator(_without_zone),
    WithJsonSchema({"type": "string", "pattern": r"^\d{4}-\d{2}-\d{2}([T ]\d{2}:\d{2}(:\d{2})?Z?)?$"}),
    Expected("a date and time without time zone, of the years 1000 to 9000, such as 2026-01-05 00:00:00"),
]
Locale = Annotated[str, Field(pattern=r"^[a-z]{2,3}_[A-Z]{2}$"), Expected("a locale such as en_US")]


# -- Holidays ----------------------------------------------------------------------------------------
#
# `us`: the federal holidays (5 U.S.C. 6103), on their own day.  `target`: the closing days of T2, the payment
# system of the euro (European Central Bank).

HOLIDAY_LISTS: Mapping[str, tuple[tuple[int, ...], ...]] = {
    "us": (
        (1, 1), (1, 0, 3), (2, 0, 3), (5, 0, -1), (6, 19), (7, 4), (9, 0, 1), (10, 0, 2), (11, 11),
        (11, 3, 4), (12, 25),
    ),
    "target": ((1, 1), (-2,), (1,), (5, 1), (12, 25), (12, 26)),
}  # fmt: skip
_EPOCH_DAY = date(1970, 1, 1).toordinal()


def _holiday(value: Any) -> str:
    if value in HOLIDAY_LISTS:
        return str(value)
    is_day = isinstance(value, date) and not isinstance(value, datetime)
    day = value if is_day else date.fromisoformat(str(value))
    if not FIRST_YEAR <= day.year <= LAST_YEAR:
        raise ValueError("too near an end of the calendar")
    return str(day.isoformat())


Holiday = Annotated[
    str,
    BeforeValidator(_holiday),
    WithJsonSchema({"type": "string", "pattern": r"^(us|target|\d{4}-\d{2}-\d{2})$"}),
    Expected("a date such as 2026-12-25, or us or target"),
]


@lru_cache(maxsize=64)
def closed_days(holidays: tuple[str, ...], year: int) -> frozenset[int]:
    """Holidays as days since 1 January 1970; those of a list for the years around ``year``."""
    days = [date.fromisoformat(text) for text in holidays if text not in HOLIDAY_LISTS]
    rules = [rule for name in holidays if name in HOLIDAY_LISTS for rule in HOLIDAY_LISTS[name]]
    days += [_day_of(rule, near) for near in range(year - 2, year + 3) for rule in rules]
    return frozenset(day.toordinal() - _EPOCH_DAY for day in days)


def _day_of(rule: tuple[int, ...], year: int) -> date:
    """The day of a rule: month and day; month, weekday (0: Monday) and which of them (-1: the last); or days
    after Easter Sunday.
    """
    if len(rule) == 2:
        return date(year, rule[0], rule[1])
    if len(rule) == 1:
        return easter_sunday(year) + timedelta(days=rule[0])
    month, weekday, which = rule
    if which > 0:
        first = date(year, month, 1)
        return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (which - 1))
    last = date(year, month + 1, 1) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def easter_sunday(year: int) -> date:
    """By the Gregorian calendar (the anonymous algorithm of Meeus, Jones and Butcher)."""
    golden, (century, rest) = year % 19, divmod(year, 100)
    leap, odd = divmod(century, 4)
    moon = (19 * golden + century - leap - (century - (century + 8) // 25 + 1) // 3 + 15) % 30
    quarter, left = divmod(rest, 4)
    week = (32 + 2 * odd + 2 * quarter - moon - left) % 7
    late = (golden + 11 * moon + 22 * week) // 451
    month, day = divmod(moon + week - 7 * late + 114, 31)
    return date(year, month, day + 1)
