import pytest

from banksim.measure import formats
from banksim.measure.formats import THIN


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "n/a"),
        (0, "0"),
        (0.0123456, "0.0123"),
        (0.5, "0.5"),
        (87.34, "87.3"),
        (12345.6, f"12{THIN}346"),
        (-2.5, "−2.50"),
    ],
)
def test_three_significant_digits(value: float | None, text: str) -> None:
    assert formats.figure(value) == text


@pytest.mark.parametrize(
    ("share", "text"),
    [(None, "n/a"), (0.0, "0"), (1.0, "100"), (0.8734, "87.3"), (0.00015, "0.015"), (0.99996, "99.996")],
)
def test_percent(share: float | None, text: str) -> None:
    assert formats.percent(share) == (text if share is None else f"{text}{THIN}%")


def test_almost_all_is_not_all() -> None:
    assert not formats.percent(0.9999999).startswith("100")


@pytest.mark.parametrize(
    ("cents", "currency", "text"),
    [
        (123456, "USD", f"USD{THIN}1{THIN}234.56"),
        (-50, "USD", f"USD{THIN}−0.50"),
        (12_345_678, "EUR", f"EUR{THIN}123{THIN}457"),
        (1_500, "JPY", f"JPY{THIN}1{THIN}500"),
        (None, "USD", "n/a"),
    ],
)
def test_money(cents: int | None, currency: str, text: str) -> None:
    assert formats.money(cents, currency) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, "n/a"),
        (0, "0 s"),
        (7.25, "7.25 s"),
        (90_061, "1 d 1 h"),
        (3_600, "1 h"),
        (86_460, "1 d"),
        (150, "2 min 30 s"),
    ],
)
def test_duration(seconds: float | None, text: str) -> None:
    assert formats.duration(seconds).replace(THIN, " ") == text


def test_interval() -> None:
    assert formats.interval(0.763, 0.8961) == f"76.3–89.6{THIN}%"
    assert formats.interval(None, None) == "n/a"


def test_milliseconds_turn_into_seconds() -> None:
    assert formats.milliseconds(12_345.0) == f"12.3{THIN}s"
    assert formats.milliseconds(0.5) == f"0.5{THIN}ms"


@pytest.mark.parametrize(
    ("transactions", "customers", "simulated_s", "told"),
    [
        (5_000, 1_000, 86_400.0, ""),
        (5_000, 1_000, 43_200.0, ""),
        (5_001, 1_000, 43_200.0, "customers acted 10.0 times a simulated day"),
        (200, 1_000, 86_400.0, "customers acted 0.2 times a simulated day"),
        (0, 1_000, 86_400.0, ""),
        (200, None, 86_400.0, ""),
    ],
)
def test_an_unusual_pace_is_told(
    transactions: int, customers: int | None, simulated_s: float, told: str
) -> None:
    found = formats.pace(transactions, customers, simulated_s)
    assert found.startswith(told) and bool(found) == bool(told)
