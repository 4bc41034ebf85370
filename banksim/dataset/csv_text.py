"""Cells of CSV files: safe in spreadsheets, and cheap by the million.

A spreadsheet runs a cell that begins with = + - @ as a formula, so texts that begin so get
an apostrophe in front; numbers are ours and never do.
"""

from __future__ import annotations

from datetime import UTC, datetime

from banksim.domain.money import minor_digits

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_QUOTED = frozenset(',"\n\r')
_HOUR_MS = 3_600_000
_MINUTE_SECOND = tuple(f"{second // 60:02d}:{second % 60:02d}." for second in range(3600))
_MILLISECOND = tuple(f"{ms:03d}Z" for ms in range(1000))
#: Cents as they follow the whole units.
FRACTION = tuple(f".{cents:02d}" for cents in range(100))


def cell(text: str) -> str:
    """``text`` as one cell: guarded against formulas, quoted where it must be."""
    if text.startswith(_FORMULA):
        text = "'" + text
    if not _QUOTED.isdisjoint(text):
        return '"' + text.replace('"', '""') + '"'
    return text


class Money:
    """Cents as decimal text in one currency."""

    def __init__(self, currency: str) -> None:
        self._whole = minor_digits(currency) == 0

    def text(self, cents: int) -> str:
        """``Money("USD").text(1250) == "12.50"``."""
        if self._whole:
            return str(cents)
        if cents < 0:
            return "-" + self.text(-cents)
        return f"{cents // 100}{FRACTION[cents % 100]}"


class Times:
    """Unix seconds as ISO 8601 text in UTC; fast for moments that rise."""

    def __init__(self) -> None:
        self._hour = -1
        self._prefix = ""

    def text(self, timestamp_s: float) -> str:
        """``"2026-01-05T09:30:12.250Z"``; milliseconds are cut, not rounded."""
        hour, rest_ms = divmod(int(timestamp_s * 1000), _HOUR_MS)
        if hour != self._hour:
            self._hour = hour
            self._prefix = f"{datetime.fromtimestamp(hour * 3600, UTC):%Y-%m-%dT%H:}"
        return self._prefix + _MINUTE_SECOND[rest_ms // 1000] + _MILLISECOND[rest_ms % 1000]


def customer_id(index: int) -> str:
    return f"C{index:08d}"


def account_id(index: int, slot: int) -> str:
    return f"A{index:08d}{slot}"
